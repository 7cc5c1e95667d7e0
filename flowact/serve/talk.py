"""Voice, ear and language of a server, shared by all sessions; each session gets a conversation of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flowact.core.errors import ConfigError
from flowact.serve.messages import Mode, ServerEvent
from flowact.serve.voices.asr import Transcriber, choose_transcriber
from flowact.serve.voices.config import VoicesConfig
from flowact.serve.voices.conversation import Conversation
from flowact.serve.voices.llm import ChatModel, choose_chat
from flowact.serve.voices.planner_llm import LanguagePlanner, choose_planner
from flowact.serve.voices.tts import Speaker, choose_speaker
from flowact.serve.voices.vad import Judge, VoiceDetector, load_silero
from flowact.stream.live import LiveSession
from flowact.stream.planner import RulePlanner


@dataclass(frozen=True)
class Equipment:
    """What conversations are held with; None is what this server does not have.

    Attributes:
        speaker: text to speech.
        transcriber: speech to text.
        chat: the language model.
        judge: hears whether somebody speaks.
        config: of services; of them the planner is one for each session.
        missing: one line for each thing that is not there, with what to do.
    """

    speaker: Speaker | None = None
    transcriber: Transcriber | None = None
    chat: ChatModel | None = None
    judge: Judge | None = None
    config: VoicesConfig = field(default_factory=VoicesConfig)
    missing: tuple[str, ...] = ()

    def converse(self, live: LiveSession, tell: Callable[[ServerEvent], None], mode: Mode) -> Conversation:
        """Begin the conversation of a session; what it has to say to the client goes to `tell`."""
        detector = None if self.judge is None else VoiceDetector(self.judge)
        return Conversation(live, self.speaker, self.transcriber, self.chat, tell, detector, mode)

    def plan(self, portrait: NDArray[np.uint8], seed: int) -> LanguagePlanner | None:
        """The planner of a session with a language model, if one is configured; None leaves it to the engine's rules.

        `portrait` is uint8 RGB [H, W, 3].
        """
        return choose_planner(self.config, RulePlanner(seed), portrait)

    async def close(self) -> None:
        """Let go of connections."""
        parts = [part for part in (self.speaker, self.transcriber, self.chat) if part is not None]
        await asyncio.gather(*(part.close() for part in parts))


def equip(environment: Mapping[str, str]) -> Equipment:
    """Find voice, ear and language as the environment asks for them; what nobody asked for may be missing.

    Raises:
        ConfigError: something that was asked for cannot be used.
    """
    config = VoicesConfig.from_environment(environment)
    missing: list[str] = []
    speaker: Speaker | None = None
    judge: Judge | None = None
    try:
        speaker = choose_speaker(config)
    except ConfigError as error:
        if "FLOWACT_TTS" in environment:
            raise
        missing.append(str(error))
    try:
        judge = load_silero()
    except ConfigError as error:
        missing.append(str(error))
    transcriber, chat = choose_transcriber(config), choose_chat(config)
    if transcriber is None:
        missing.append("speech of the user is not understood: set FLOWACT_ASR_URL or FLOWACT_ASR_FOLDER")
    if chat is None:
        missing.append("there is no language model: typed text is read out; set FLOWACT_LLM_URL and FLOWACT_LLM_MODEL")
    return Equipment(speaker, transcriber, chat, judge, config, tuple(missing))

"""One conversation with one living person: words and sound of the user in, answers into the session.

Only one answer lives at a time and the newest wins: a new text, a wish to speak, a cancellation or the user's voice
ends it, with its language model and its synthesis. A cough does not: what interrupts is long enough to be speech. What
was not heard is not remembered, and is not shown either: the words of a sentence come when it begins to sound.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from flowact.core.errors import FlowActError
from flowact.core.types import State
from flowact.serve.messages import Mode, ServerEvent, Transcript, Trouble
from flowact.serve.voices.answer import Answer
from flowact.serve.voices.asr import Transcriber
from flowact.serve.voices.history import History
from flowact.serve.voices.llm import ChatModel
from flowact.serve.voices.puppeteer import Puppeteer
from flowact.serve.voices.tts import Speaker
from flowact.serve.voices.vad import VoiceConfirmed, VoiceDetector, VoiceEnded, VoiceStarted
from flowact.stream.live import Interrupted, SessionStats

logger = logging.getLogger(__name__)


class Person(Protocol):
    """The doors of a `LiveSession` that a conversation uses."""

    def say(self, sound: NDArray[np.float32], rate: int, segment: str = ...) -> None:
        """Speak."""
        ...

    def end_segment(self, segment: str = ...) -> None:
        """No more of this speech."""
        ...

    def overhear(self, sound: NDArray[np.float32], rate: int) -> None:
        """Hear the user."""
        ...

    def user_speech(self, speaking: bool) -> None:
        """Know whether the user speaks."""
        ...

    def note_words(self, who: Literal["user", "avatar"], text: str) -> None:
        """Know what is said."""
        ...

    def interrupt(self) -> Interrupted:
        """Fall silent."""
        ...

    def snapshot_stats(self) -> SessionStats:
        """How much speech waits, among others."""
        ...


@dataclass(frozen=True)
class ConversationConfig:
    """Times of a conversation.

    Attributes:
        lead_s: synthesis pauses while more than this waits to be spoken.
        look_s: how often it looks whether it may go on.
        foresee_s: the planner learns of words so long before they sound: about what a chunk takes to be shown.
        before_s: sound of the puppeteer before the onset of the voice that is spoken too.
    """

    lead_s: float = 20.0
    look_s: float = 0.2
    foresee_s: float = 1.5
    before_s: float = 0.4


class Conversation:
    """Joins one session with a voice, an ear and a language. Use it from the event loop; its doors return at once."""

    def __init__(
        self,
        session: Person,
        speaker: Speaker | None,
        transcriber: Transcriber | None,
        chat: ChatModel | None,
        events: Callable[[ServerEvent], None],
        detector: VoiceDetector | None = None,
        mode: Mode = "conversation",
        config: ConversationConfig | None = None,
    ) -> None:
        """Nothing here is closed by the conversation but what it started itself.

        Args:
            session: the living person.
            speaker: its voice; None: answers are text only.
            transcriber: None: what the user says is noticed but not understood.
            chat: None: what the user writes is spoken as it is.
            events: is told of transcripts and troubles; returns at once.
            detector: of the user's voice, for this conversation alone; None: the microphone is not used.
            mode: "conversation", or "puppet" where the microphone is the avatar's own voice.
            config: times.
        """
        self._session, self._speaker, self._transcriber, self._chat = session, speaker, transcriber, chat
        self._tell, self._detector, self._mode = events, detector, mode
        self._config = config or ConversationConfig()
        self._history = History()
        self._numbers = itertools.count(1)
        self._current: Answer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._understanding = asyncio.Lock()
        self._unread = self._wishes = 0
        self._is_owed = False
        self._puppeteer = Puppeteer(session, self._config.before_s, self._numbers)
        self._told: set[str] = set()
        self._is_closed = False

    # -- doors -----------------------------------------------------------------------------------------------------

    def submit(self, text: str) -> None:
        """The user writes: the avatar answers, or speaks the text where there is no language model."""
        if self._is_closed:
            return
        self._wish()
        self._note_user(text)
        if self._chat is None:
            self._begin(_just(text))
        else:
            self._begin(self._chat.answer(self._history.messages()))

    def say(self, text: str) -> None:
        """The avatar speaks this."""
        if not self._is_closed:
            self._wish()
            self._begin(_just(text))

    def cancel(self) -> None:
        """Stop thinking and speaking."""
        self._puppeteer.forget()
        if not self._wish():
            self._session.interrupt()

    def hear(self, sound: NDArray[np.float32], rate: int) -> None:
        """The microphone: mono [S] in -1..1, any rate and piece size.

        Raises:
            ShapeError: not mono floats at a possible rate.
            SessionError: as a puppet, the session is closed or too much speech waits.
        """
        if self._is_closed:
            return
        if self._detector is None:
            self._tell_once("no_voice_detector", "this server does not listen to microphones: silero-vad is missing")
            return
        if self._mode == "conversation":
            self._session.overhear(sound, rate)
        changes = self._detector.hear(sound, rate)
        if self._mode == "puppet":
            if self._detector.is_speaking and not self._puppeteer.is_speaking:
                self._stop()
            self._puppeteer.hear(sound, rate, self._detector.is_speaking)
            return
        for change in changes:
            match change:
                case VoiceStarted():
                    self._session.user_speech(True)
                case VoiceConfirmed():
                    self._fall_silent()
                case VoiceEnded():
                    self._heard(change)

    def set_mode(self, mode: Mode) -> None:
        """Say whose voice the microphone carries from now on."""
        if mode == self._mode or self._is_closed:
            return
        self._wish()
        self._puppeteer.let_go()
        self._session.user_speech(False)
        self._mode = mode

    def note_played(self, segment: str, played_s: float) -> None:
        """`played_s` seconds of a speech were shown by now. Call it for every tick of speech, in order."""
        answer = self._current
        if answer is None or answer.segment != segment:
            return
        for sentence in answer.begin(played_s):
            self._tell(Transcript(who="avatar", text=sentence, final=False))
        for sentence in answer.foresee(self._config.foresee_s):
            self._session.note_words("avatar", sentence)

    def note_done(self, segment: str, played_s: float, interrupted: bool) -> None:
        """A speech was played to its end, or was cut off by somebody else. Call it for every one, in order."""
        answer = self._current
        if answer is None or answer.segment != segment:
            return
        if interrupted:
            answer.cancel()
            self._settle(answer, played_s)
        elif answer.is_complete:
            self._settle(answer, None)

    async def close(self) -> None:
        """End everything that was started here, and wait for its end."""
        self._is_closed = True
        self._current = None
        self._puppeteer.let_go()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def is_answering(self) -> bool:
        """Whether the avatar thinks of an answer or speaks it."""
        return self._current is not None

    # -- answers ---------------------------------------------------------------------------------------------------

    def _begin(self, sentences: AsyncGenerator[str, None]) -> None:
        answer = self._current = Answer(f"answer-{next(self._numbers)}")
        answer.task = self._start(self._speak(answer, sentences))

    async def _speak(self, answer: Answer, sentences: AsyncGenerator[str, None]) -> None:
        """Sentences become sound as they come. Whatever ends it, what it opened is closed."""
        try:
            async with contextlib.aclosing(sentences):
                async for sentence in sentences:
                    await self._speak_sentence(answer, sentence)
        except FlowActError as error:
            self._tell(Trouble(code="no_answer", message=str(error)))
        if answer is not self._current:
            return
        answer.is_complete = True
        if answer.has_sound:
            self._session.end_segment(answer.segment)
        else:
            self._settle(answer, None)

    async def _speak_sentence(self, answer: Answer, sentence: str) -> None:
        if self._speaker is None:
            self._tell_once("no_voice", "the avatar has no voice here, so it answers in text; set FLOWACT_TTS")
            answer.spoken.add(sentence, 0.0)
            answer.shown += 1
            self._tell(Transcript(who="avatar", text=sentence, final=False))
            return
        async with contextlib.aclosing(self._speaker.speak(sentence)) as pieces:
            async for piece in pieces:
                while self._session.snapshot_stats().queued_s > self._config.lead_s:
                    await asyncio.sleep(self._config.look_s)
                if answer is not self._current:
                    return
                if piece.text and answer.foresees_next(self._config.foresee_s):
                    self._session.note_words("avatar", piece.text)
                self._session.say(piece.sound, piece.rate, answer.segment)
                answer.has_sound = True
                answer.spoken.add(piece.text, len(piece.sound) / piece.rate)

    def _stop(self) -> bool:
        """End the current answer, silence what sounds of it; whether there was one."""
        answer = self._current
        if answer is None:
            return False
        answer.cancel()
        played_s = 0.0
        if answer.has_sound:
            broken = self._session.interrupt()
            played_s = broken.played_s if broken.segment == answer.segment else 0.0
        self._settle(answer, played_s)
        return True

    def _wish(self) -> bool:
        """As `_stop`, for a wish that is newer than all utterances that are not understood yet."""
        self._wishes += 1
        self._is_owed = False
        return self._stop()

    def _fall_silent(self) -> None:
        """The user speaks: whatever sounds ends, also the speech of a program."""
        is_speaking = self._is_speaking
        if not self._stop() and is_speaking:
            self._session.interrupt()

    @property
    def _is_speaking(self) -> bool:
        """Whether the avatar speaks, or is about to; thinking is not speaking."""
        if self._current is not None and self._current.has_sound:
            return True
        stats = self._session.snapshot_stats()
        return stats.queued_s > 0 or stats.state is State.TALK

    def _settle(self, answer: Answer, played_s: float | None) -> None:
        """Remember what was heard of an answer: `played_s` seconds, or all of it."""
        self._current = None
        heard = answer.spoken.text if played_s is None else answer.spoken.until(played_s)
        self._history.add_avatar(heard)
        if heard or answer.shown:
            self._tell(Transcript(who="avatar", text=heard, final=True))

    # -- the microphone --------------------------------------------------------------------------------------------

    def _heard(self, ended: VoiceEnded) -> None:
        if ended.is_whole:
            self._session.user_speech(False)
        if not ended.is_confirmed and self._is_speaking:
            self._answer_when_due()  # a cough interrupts nobody and is no question, but the one before it may be
            return
        if self._transcriber is None:
            self._tell_once(
                "no_transcriber",
                "speech is not understood here: write instead, or set FLOWACT_ASR_URL or FLOWACT_ASR_FOLDER",
            )
            return
        self._unread += 1
        self._start(self._understand(self._transcriber, ended.sound, self._wishes))

    async def _understand(self, transcriber: Transcriber, sound: NDArray[np.float32], wishes: int) -> None:
        """Utterances become words in their order; the last is answered, unless the user goes on or wished otherwise."""
        text = ""
        try:
            async with self._understanding:
                text = await transcriber.transcribe(sound)
        except FlowActError as error:
            self._tell(Trouble(code="not_understood", message=str(error)))
        finally:
            self._unread -= 1
        if self._is_closed:
            return
        if text and wishes == self._wishes:
            self._stop()
            self._is_owed = True
        if text:
            self._note_user(text)
        self._answer_when_due()

    def _answer_when_due(self) -> None:
        """Answer what the user said, unless there is more of it to be understood."""
        is_going_on = self._unread > 0 or (self._detector is not None and self._detector.is_speaking)
        if not self._is_owed or is_going_on:
            return
        self._is_owed = False
        if self._chat is None:
            self._tell_once("no_language_model", "there is no language model to answer speech; set FLOWACT_LLM_URL")
            return
        self._begin(self._chat.answer(self._history.messages()))

    def _note_user(self, text: str) -> None:
        self._history.add_user(text)
        self._session.note_words("user", text)
        self._tell(Transcript(who="user", text=text, final=True))

    # -- tasks -----------------------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a conversation failed", exc_info=error)
            if self._current is not None and self._current.task is task:
                self._stop()
            self._tell(Trouble(code="internal", message="the answer failed; the server's log says why"))

    def _tell_once(self, code: str, message: str) -> None:
        if code not in self._told:
            self._told.add(code)
            self._tell(Trouble(code=code, message=message))


async def _just(text: str) -> AsyncGenerator[str, None]:
    yield text

"""Settings of voices and language, read from `FLOWACT_*` variables of the environment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from flowact.core.errors import ConfigError

SYSTEM_PROMPT = (
    "You are a friendly person in a live video call. Your words are spoken aloud, so answer in one to three short, "
    "plain sentences, as people talk. No lists, no markdown, no emoji, no stage directions."
)


@dataclass(frozen=True)
class VoicesConfig:
    """Which services a conversation uses. Every URL is the base of an OpenAI-compatible API, such as ".../v1".

    Attributes:
        llm_url: of the language model; "" for none: the avatar then reads typed text out.
        llm_model: its name there.
        llm_key: its API key; local servers take any.
        llm_prompt: system prompt of the answers.
        llm_timeout_s: longest wait for the first words, and between words.
        tts: "flite" or "flite:VOICE", "openai" for a service, "none" for an avatar without a voice.
        tts_url: of the speech service.
        tts_model: its name there.
        tts_voice: name of the service's voice.
        tts_key: its API key.
        asr_url: of the transcription service; "" for none.
        asr_model: its name there.
        asr_key: its API key.
        asr_folder: folder of a faster-whisper model on this machine, instead of a service; "" for none.
        planner_url: of the multimodal model that chooses behaviours; "" leaves them to the rules.
        planner_model: its name there.
        planner_key: its API key.
        planner_deadline_s: answers that take longer are not used.
        planner_sees: whether it is shown the portrait, once a session.
        planner_hears: whether it is given the last seconds of the user's voice.
    """

    llm_url: str = ""
    llm_model: str = ""
    llm_key: str = field(default="", repr=False)
    llm_prompt: str = SYSTEM_PROMPT
    llm_timeout_s: float = 20.0
    tts: str = "flite"
    tts_url: str = ""
    tts_model: str = ""
    tts_voice: str = "alloy"
    tts_key: str = field(default="", repr=False)
    asr_url: str = ""
    asr_model: str = "whisper-1"
    asr_key: str = field(default="", repr=False)
    asr_folder: str = ""
    planner_url: str = ""
    planner_model: str = ""
    planner_key: str = field(default="", repr=False)
    planner_deadline_s: float = 1.5
    planner_sees: bool = False
    planner_hears: bool = False

    def __post_init__(self) -> None:
        """Check what belongs together."""
        for service in ("llm", "tts", "asr", "planner"):
            url, model = getattr(self, f"{service}_url"), getattr(self, f"{service}_model")
            if url and not url.startswith(("http://", "https://")):
                raise ConfigError(
                    f'{_variable(service + "_url")} is "{url}"; expected http://... or https://..., ending in /v1'
                )
            if url and not model:
                raise ConfigError(
                    f"{_variable(service + '_url')} is set but {_variable(service + '_model')} is not; "
                    "give the name of the model there"
                )
        for name in ("llm_timeout_s", "planner_deadline_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{_variable(name)} is {value}; expected seconds above 0")
        if self.asr_url and self.asr_folder:
            raise ConfigError(
                f"{_variable('asr_url')} and {_variable('asr_folder')} are both set; "
                "set one of them: a service or a folder"
            )

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> VoicesConfig:
        """Read `FLOWACT_LLM_URL`, `FLOWACT_TTS` and so on: `FLOWACT_` and the field's name in capitals.

        Raises:
            ConfigError: a value cannot be used.
        """
        given: dict[str, str | float | bool] = {}
        for item in fields(VoicesConfig):
            name = _variable(item.name)
            text = environment.get(name, "").strip()
            if text:
                given[item.name] = _read(name, text, type(item.default))
        return VoicesConfig(**given)  # type: ignore[arg-type]


def _variable(field_name: str) -> str:
    return f"FLOWACT_{field_name.upper()}"


def _read(name: str, text: str, kind: type) -> str | float | bool:
    if kind is bool:
        if text.lower() not in ("1", "0", "true", "false", "yes", "no"):
            raise ConfigError(f'{name} is "{text}"; expected 1 or 0')
        return text.lower() in ("1", "true", "yes")
    if kind is float:
        try:
            return float(text)
        except ValueError as error:
            raise ConfigError(f'{name} is "{text}"; expected seconds, such as 2.5') from error
    return text

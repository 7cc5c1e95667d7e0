"""The avatar's voice: text in, sound out sentence by sentence, so that it begins to speak before all is synthesised."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import unicodedata
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flowact.core.errors import ConfigError
from flowact.serve.voices.client import connect, service_errors
from flowact.serve.voices.config import VoicesConfig
from flowact.serve.voices.errors import ServiceError
from flowact.serve.voices.pcm import PcmReader
from flowact.serve.voices.sentences import speakable, split_text

FLITE_VOICES = ("slt", "rms", "kal16", "awb")

_FLITE_TIMEOUT_S = 30.0
_SERVICE_TIMEOUT_S = 20.0
# As loud as the speech that the model was trained on.
_PEAK = 0.5


@dataclass(frozen=True)
class SpeechPiece:
    """Sound that follows what came before without a gap.

    Attributes:
        sound: [S] float32 mono in -1..1.
        rate: samples a second.
        text: the words of a sentence, with its first piece; "" with its other pieces.
    """

    sound: NDArray[np.float32]
    rate: int
    text: str


class Speaker(Protocol):
    """A voice. It keeps nothing between calls, so sessions may share it."""

    def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        """The sound of a text, piece by piece; nothing for a text without words.

        Closing the generator, or cancelling the task that waits for it, ends the synthesis at once.

        Raises:
            ServiceError: the text cannot be spoken.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class FliteSpeaker:
    """The small free synthesiser `flite`, an external program: English, without a network."""

    def __init__(self, voice: str = "slt") -> None:
        """`voice` is one of `FLITE_VOICES`.

        Raises:
            ConfigError: an unknown voice, or the program is missing.
        """
        if voice not in FLITE_VOICES:
            raise ConfigError(f'flite has no voice "{voice}"; expected one of {", ".join(FLITE_VOICES)}')
        program = shutil.which("flite")
        if program is None:
            raise ConfigError(
                "the avatar's voice needs the program flite, which was not found on PATH; install it with: "
                "apt-get install flite, or set FLOWACT_TTS=openai with FLOWACT_TTS_URL, or FLOWACT_TTS=none"
            )
        self._program, self._voice = program, voice

    async def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        """The sound of a text, one piece a sentence, 16 kHz."""
        for sentence in map(speakable, split_text(text)):
            if sentence:
                sound, rate = await self._synthesise(sentence)
                yield SpeechPiece(sound, rate, sentence)

    async def close(self) -> None:
        """Nothing is held."""

    async def _synthesise(self, sentence: str) -> tuple[NDArray[np.float32], int]:
        plain = _to_ascii(sentence)
        if not plain:
            raise ServiceError(
                f"flite speaks English only and cannot pronounce {sentence[:60]!r}; set FLOWACT_TTS=openai and "
                "FLOWACT_TTS_URL to a voice of that language"
            )
        with tempfile.TemporaryDirectory(prefix="flowact-voice-") as folder:
            words, sound = Path(folder) / "words.txt", Path(folder) / "sound.wav"
            words.write_text(plain + "\n", "ascii")
            await self._run("-voice", self._voice, "-f", str(words), "-o", str(sound))
            reader = PcmReader()
            samples = reader.feed(sound.read_bytes()) if sound.is_file() else np.zeros(0, np.float32)
        peak = float(np.abs(samples).max(initial=0.0))
        if peak == 0:
            raise ServiceError(f"flite made no sound for {sentence[:60]!r}; use other words")
        return samples * np.float32(_PEAK / peak), reader.rate_hz

    async def _run(self, *arguments: str) -> None:
        """Run flite to its end; it never outlives this call."""
        process = await asyncio.create_subprocess_exec(
            self._program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_FLITE_TIMEOUT_S):
                _, said = await process.communicate()
        except TimeoutError as error:
            raise ServiceError(f"flite took longer than {_FLITE_TIMEOUT_S:.0f} s for a sentence") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            reason = said.decode(errors="replace").strip()[-160:]
            raise ServiceError(f"flite failed with code {process.returncode}: {reason}")


class OpenAISpeaker:
    """A voice behind an OpenAI-compatible `/audio/speech`, streamed while it is made."""

    def __init__(self, url: str, model: str, voice: str, key: str = "", rate_hz: int = 24_000) -> None:
        """`rate_hz` is that of the service's raw sound; one that answers with WAV tells its own.

        Raises:
            ConfigError: the package `openai` is not installed.
        """
        self._url, self._model, self._voice, self._rate_hz = url, model, voice, rate_hz
        self._client = connect(url, key, _SERVICE_TIMEOUT_S)

    async def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        """The sound of a text, in pieces as they arrive."""
        for sentence in map(speakable, split_text(text)):
            if sentence:
                async with contextlib.aclosing(self._stream(sentence)) as pieces:
                    async for piece in pieces:
                        yield piece

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _stream(self, sentence: str) -> AsyncGenerator[SpeechPiece, None]:
        reader, words = PcmReader(self._rate_hz), sentence
        with service_errors("the voice", self._url):
            async with self._client.audio.speech.with_streaming_response.create(
                model=self._model, voice=self._voice, input=sentence, response_format="pcm"
            ) as response:
                async for data in response.iter_bytes(4096):
                    sound = reader.feed(data)
                    if len(sound):
                        yield SpeechPiece(sound, reader.rate_hz, words)
                        words = ""
        if words:
            raise ServiceError(f"the voice at {self._url} made no sound for {sentence[:60]!r}")


def choose_speaker(config: VoicesConfig) -> Speaker | None:
    """The voice that is configured; None for an avatar without one.

    Raises:
        ConfigError: it is unknown, incomplete or not installed.
    """
    name, _, voice = config.tts.partition(":")
    if name == "none":
        return None
    if name == "flite":
        return FliteSpeaker(voice or "slt")
    if name != "openai":
        raise ConfigError(f'FLOWACT_TTS is "{config.tts}"; expected flite, flite:VOICE, openai or none')
    if not config.tts_url:
        raise ConfigError("FLOWACT_TTS is openai but FLOWACT_TTS_URL is not set; give the base of the service, .../v1")
    return OpenAISpeaker(config.tts_url, config.tts_model, config.tts_voice, config.tts_key)


def _to_ascii(text: str) -> str:
    """English letters and marks only: accents fall away; "" when no letter or number is left."""
    marks = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": ", ", "…": "...", "ß": "ss"})
    plain = unicodedata.normalize("NFKD", text.translate(marks)).encode("ascii", "ignore").decode()
    return plain if any(c.isalnum() for c in plain) else ""

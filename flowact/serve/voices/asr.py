"""The user's words: an utterance in, text out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flowact.core.clock import SAMPLE_RATE_HZ
from flowact.core.errors import ConfigError
from flowact.serve.voices.client import connect, service_errors
from flowact.serve.voices.config import VoicesConfig
from flowact.serve.voices.pcm import to_wav

_TIMEOUT_S = 20.0


class Transcriber(Protocol):
    """Understands speech. It keeps nothing between calls, so sessions may share it."""

    async def transcribe(self, utterance: NDArray[np.float32]) -> str:
        """The words of an utterance [S] float32 at 16 kHz; "" when there are none.

        Raises:
            ServiceError: it could not be understood because something failed.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class OpenAITranscriber:
    """Transcription behind an OpenAI-compatible `/audio/transcriptions`."""

    def __init__(self, url: str, model: str, key: str = "") -> None:
        """Nothing is sent yet.

        Raises:
            ConfigError: the package `openai` is not installed.
        """
        self._url, self._model = url, model
        self._client = connect(url, key, _TIMEOUT_S)

    async def transcribe(self, utterance: NDArray[np.float32]) -> str:
        """The words of an utterance, uploaded as WAV."""
        with service_errors("the transcriber", self._url):
            answer = await self._client.audio.transcriptions.create(
                model=self._model, file=("speech.wav", to_wav(utterance, SAMPLE_RATE_HZ), "audio/wav")
            )
            return " ".join(answer.text.split())

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class FasterWhisperTranscriber:
    """A faster-whisper model from a folder of this machine. Nothing is ever downloaded."""

    def __init__(self, folder: Path | str, device: str = "auto") -> None:
        """Load the model.

        Raises:
            ConfigError: the package or the folder is missing, or the folder holds no such model.
        """
        folder = Path(folder)
        if not (folder / "model.bin").is_file():
            raise ConfigError(
                f"FLOWACT_ASR_FOLDER is {folder}, which holds no faster-whisper model (model.bin is missing); "
                "give the folder of a CTranslate2 model that you downloaded"
            )
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise ConfigError(
                "FLOWACT_ASR_FOLDER needs the package faster-whisper, which is not installed; install it with: "
                "pip install faster-whisper"
            ) from error
        try:
            self._model = WhisperModel(str(folder), device=device, local_files_only=True)
        except (RuntimeError, ValueError, OSError) as error:
            raise ConfigError(f"{folder} is no usable faster-whisper model ({error}); get it again") from error

    async def transcribe(self, utterance: NDArray[np.float32]) -> str:
        """The words of an utterance, computed in a worker thread."""
        return await asyncio.to_thread(self._transcribe, utterance)

    async def close(self) -> None:
        """Nothing is held."""

    def _transcribe(self, utterance: NDArray[np.float32]) -> str:
        segments, _ = self._model.transcribe(utterance, beam_size=1)
        return " ".join(" ".join(segment.text for segment in segments).split())


def choose_transcriber(config: VoicesConfig) -> Transcriber | None:
    """The transcriber that is configured; None where the user can only write.

    Raises:
        ConfigError: it cannot be used.
    """
    if config.asr_folder:
        return FasterWhisperTranscriber(config.asr_folder)
    return OpenAITranscriber(config.asr_url, config.asr_model, config.asr_key) if config.asr_url else None

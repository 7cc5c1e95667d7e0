import sys
import types

import numpy as np
import pytest

from flowact.core.errors import ConfigError
from flowact.serve.voices.asr import FasterWhisperTranscriber, OpenAITranscriber, choose_transcriber
from flowact.serve.voices.config import VoicesConfig
from flowact.serve.voices.errors import ServiceError
from flowact.serve.voices.pcm import PcmReader

UTTERANCE = (0.2 * np.sin(np.arange(8000) * 0.1)).astype(np.float32)


async def test_an_utterance_is_uploaded_as_wav(services):
    services.reply = "good  morning"
    transcriber = choose_transcriber(VoicesConfig(asr_url=services.url, asr_model="tiny"))
    assert await transcriber.transcribe(UTTERANCE) == "good morning"
    await transcriber.close()
    reader = PcmReader()
    np.testing.assert_allclose(reader.feed(services.uploads[0]), UTTERANCE, atol=1e-4)
    assert reader.rate_hz == 16_000
    assert services.requests == [{"model": "tiny"}]


async def test_a_service_that_fails_is_told(services):
    services.mode = "500"
    transcriber = OpenAITranscriber(services.url, "tiny")
    with pytest.raises(ServiceError, match="cannot decode"):
        await transcriber.transcribe(UTTERANCE)
    await transcriber.close()


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"model\.bin"):
        FasterWhisperTranscriber(tmp_path)


def test_a_missing_package_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "model.bin").touch()
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(ConfigError, match="pip install faster-whisper"):
        FasterWhisperTranscriber(tmp_path)


async def test_a_local_model_is_never_downloaded(tmp_path, monkeypatch):
    seen = {}

    class WhisperModel:
        def __init__(self, path, **options):
            seen.update(options, path=path)

        def transcribe(self, sound, **options):
            return iter([types.SimpleNamespace(text=" Hello"), types.SimpleNamespace(text=" you. ")]), None

    monkeypatch.setitem(sys.modules, "faster_whisper", types.SimpleNamespace(WhisperModel=WhisperModel))
    (tmp_path / "model.bin").touch()
    transcriber = choose_transcriber(VoicesConfig(asr_folder=str(tmp_path)))
    assert await transcriber.transcribe(UTTERANCE) == "Hello you."
    assert seen["local_files_only"] is True
    assert seen["path"] == str(tmp_path)

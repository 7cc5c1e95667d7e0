import asyncio
import contextlib
import os
import stat

import numpy as np
import pytest

from flowact.core.errors import ConfigError
from flowact.serve.voices import tts
from flowact.serve.voices.config import VoicesConfig
from flowact.serve.voices.errors import ServiceError
from flowact.serve.voices.tts import FliteSpeaker, OpenAISpeaker, choose_speaker

needs_flite = pytest.mark.skipif(tts.shutil.which("flite") is None, reason="flite is not installed")


async def spoken(speaker, text):
    async with contextlib.aclosing(speaker.speak(text)) as pieces:
        return [piece async for piece in pieces]


@pytest.fixture
def fake_flite(tmp_path, monkeypatch):
    """A program named flite that does what its script says."""

    def make(script):
        program = tmp_path / "bin" / "flite"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IEXEC)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return make


@needs_flite
async def test_flite_speaks_sentence_by_sentence():
    pieces = await spoken(FliteSpeaker("kal16"), "Hello there. *How* are you? 😀")
    assert [piece.text for piece in pieces] == ["Hello there.", "How are you?"]
    for piece in pieces:
        assert piece.rate == 16_000
        assert piece.sound.dtype == np.float32
        assert 0.3 < len(piece.sound) / piece.rate < 3
        assert np.abs(piece.sound).max() == pytest.approx(0.5)


@needs_flite
async def test_nothing_in_the_text_reaches_a_shell(tmp_path):
    await spoken(FliteSpeaker("kal16"), f"a; touch {tmp_path}/x $(touch {tmp_path}/x) `touch {tmp_path}/x` -o y")
    assert not (tmp_path / "x").exists()


@needs_flite
async def test_another_language_is_refused_and_accents_are_not():
    with pytest.raises(ServiceError, match="English"):
        await spoken(FliteSpeaker("kal16"), "你好吗")
    assert [p.text for p in await spoken(FliteSpeaker("kal16"), "Café “Zürich”")] == ["Café “Zürich”"]
    assert await spoken(FliteSpeaker("kal16"), "... 🎉 !") == []


def test_a_missing_flite_says_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ConfigError, match="apt-get install flite"):
        choose_speaker(VoicesConfig())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (VoicesConfig(tts="flite:bob"), "slt"),
        (VoicesConfig(tts="festival"), "openai"),
        (VoicesConfig(tts="openai"), "FLOWACT_TTS_URL"),
    ],
)
def test_an_unknown_voice_is_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        choose_speaker(config)


async def test_a_cancelled_sentence_ends_its_process(fake_flite, tmp_path):
    fake_flite(f"echo $$ > {tmp_path}/pid; exec sleep 60")
    task = asyncio.create_task(spoken(FliteSpeaker(), "Hello."))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize(("script", "message"), [("echo broken >&2; exit 3", "code 3: broken"), ("exit 0", "no sound")])
async def test_a_flite_that_fails_is_told(fake_flite, script, message):
    fake_flite(script)
    with pytest.raises(ServiceError, match=message):
        await spoken(FliteSpeaker(), "Hello.")


@pytest.mark.parametrize(("mode", "rate"), [("good", 24_000), ("wav", 16_000)])
async def test_service_streams_sound(services, mode, rate):
    services.mode = mode
    speaker = OpenAISpeaker(services.url, "voice", "alloy")
    pieces = await spoken(speaker, "Hello there. How are you?")
    await speaker.close()
    assert [piece.text for piece in pieces if piece.text] == ["Hello there.", "How are you?"]
    assert {piece.rate for piece in pieces} == {rate}
    assert sum(len(piece.sound) for piece in pieces) == 2 * 4800
    assert services.requests[0]["voice"] == "alloy"


@pytest.mark.parametrize(("mode", "message"), [("500", "no such voice"), ("empty", "no sound")])
async def test_a_service_that_fails_is_told(services, mode, message):
    services.mode = mode
    speaker = OpenAISpeaker(services.url, "voice", "alloy")
    with pytest.raises(ServiceError, match=message):
        await spoken(speaker, "Hello there.")
    await speaker.close()


async def test_a_service_that_is_not_there_is_told():
    speaker = OpenAISpeaker("http://127.0.0.1:1/v1", "voice", "alloy")
    with pytest.raises(ServiceError, match="is it running"):
        await spoken(speaker, "Hello there.")
    await speaker.close()

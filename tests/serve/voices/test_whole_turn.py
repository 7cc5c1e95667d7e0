"""A spoken question becomes a spoken answer, through the real voice and ear and services behind HTTP."""

import asyncio
import contextlib
import shutil

import numpy as np
import pytest

from flowact.serve.voices.asr import OpenAITranscriber
from flowact.serve.voices.conversation import Conversation
from flowact.serve.voices.llm import OpenAIChat
from flowact.serve.voices.pcm import PcmReader
from flowact.serve.voices.tts import FliteSpeaker
from flowact.serve.voices.vad import VoiceDetector, load_silero
from tests.serve.voices.fake_services import FakePerson


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
async def test_a_spoken_question_gets_a_spoken_answer(services):
    pytest.importorskip("onnxruntime")
    async with contextlib.aclosing(FliteSpeaker("rms").speak("Hello, what is your name please?")) as pieces:
        question = np.concatenate([piece.sound async for piece in pieces])
    sound = np.pad(question, (8_000, 16_000))
    transcriber, chat = OpenAITranscriber(services.url, "asr"), OpenAIChat(services.url, "llm")
    person, events = FakePerson(), []
    services.reply = "My name is Ann. And yours?"
    talk = Conversation(person, FliteSpeaker("kal16"), transcriber, chat, events.append, VoiceDetector(load_silero()))
    for start in range(0, len(sound), 320):
        talk.hear(sound[start : start + 320], 16_000)
    async with asyncio.timeout(150):
        while not person.names("end_segment"):
            await asyncio.sleep(0.01)
    for tick in range(1, round(25 * person.sounds["answer-1"]) + 1):
        talk.note_played("answer-1", tick * 0.04)
    await talk.close()
    await transcriber.close()
    await chat.close()
    assert person.names("user_speech") == [("user_speech", True), ("user_speech", False)]
    assert len(PcmReader().feed(services.uploads[0])) > len(question)
    assert services.requests[1]["messages"][-1] == {"role": "user", "content": services.reply}
    assert [e.text for e in events if e.type == "transcript"] == [services.reply, "My name is Ann.", "And yours?"]
    assert 1.0 < person.sounds["answer-1"] < 5.0
    assert [e for e in events if e.type == "error"] == []

"""A conversation with everything around it faked: voice, language model, transcriber, person."""

import asyncio
import contextlib

import numpy as np

from flowact.serve.voices.conversation import Conversation, ConversationConfig
from flowact.serve.voices.tts import SpeechPiece
from flowact.serve.voices.vad import VadConfig, VoiceDetector
from tests.serve.voices.fake_services import FakePerson


class FakeSpeaker:
    """One second of sound a sentence; waits at `gate`."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = 0

    async def speak(self, text):
        try:
            await self.gate.wait()
            yield SpeechPiece(np.zeros(8000, np.float32), 16_000, text)
            yield SpeechPiece(np.zeros(8000, np.float32), 16_000, "")
        finally:
            self.closed += 1

    async def close(self):
        pass


class FakeChat:
    """Sentences; a None waits for ever, an exception is raised."""

    def __init__(self, *sentences):
        self.sentences, self.asked, self.closed = sentences, [], 0

    async def answer(self, messages):
        self.asked.append(list(messages))
        try:
            for sentence in self.sentences:
                if sentence is None:
                    await asyncio.Event().wait()
                if isinstance(sentence, Exception):
                    raise sentence
                yield sentence
        finally:
            self.closed += 1

    async def close(self):
        pass


class FakeTranscriber:
    def __init__(self, *texts):
        self.texts, self.gate, self.heard = list(texts), asyncio.Event(), []
        self.gate.set()

    async def transcribe(self, utterance):
        self.heard.append(len(utterance))
        await self.gate.wait()
        text = self.texts.pop(0)
        if isinstance(text, Exception):
            raise text
        return text

    async def close(self):
        pass


class Stage:
    """A conversation with everything around it."""

    def __init__(self, chat=None, transcriber=None, mode="conversation", speaker="fake", person=None):
        self.person, self.events = person or FakePerson(), []
        self.speaker = FakeSpeaker() if speaker == "fake" else speaker
        detector = VoiceDetector(lambda window, state: (float(window[-1]), state), VadConfig())
        self.conversation = Conversation(
            self.person,
            self.speaker,
            transcriber,
            chat,
            self.events.append,
            detector,
            mode,
            ConversationConfig(2.0, 0.01),
        )

    def transcripts(self, who, final=True):
        return [e.text for e in self.events if e.type == "transcript" and e.who == who and e.final == final]

    def troubles(self):
        return [e.code for e in self.events if e.type == "error"]


@contextlib.asynccontextmanager
async def staged(*args, **options):
    stage = Stage(*args, **options)
    try:
        yield stage
    finally:
        await stage.conversation.close()


async def settle(turns=60):
    for _ in range(turns):
        await asyncio.sleep(0)

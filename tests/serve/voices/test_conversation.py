import asyncio

import numpy as np
import pytest

from flowact.core.errors import SessionError
from flowact.core.types import State
from flowact.serve.voices.errors import ServiceError
from flowact.serve.voices.vad import WINDOW
from tests.serve.voices.fake_services import FakePerson
from tests.serve.voices.stage import FakeChat, FakeTranscriber, Stage, settle, staged

SPEECH, SILENCE = np.full(12 * WINDOW, 0.9, np.float32), np.zeros(20 * WINDOW, np.float32)
COUGH = SPEECH[: 7 * WINDOW]


async def test_without_a_model_typed_text_is_spoken():
    async with staged() as stage:
        stage.conversation.submit("Good morning.")
        await settle()
        assert stage.person.calls == [
            ("note_words", "user", "Good morning."),
            ("note_words", "avatar", "Good morning."),
            ("say", "answer-1"),
            ("end_segment", "answer-1"),
        ]
        assert stage.conversation.is_answering
        stage.conversation.note_done("answer-1", 1.0, False)
        assert not stage.conversation.is_answering
        assert stage.transcripts("avatar") == ["Good morning."]


async def test_an_answer_is_one_segment_and_is_remembered_once_it_was_played():
    chat = FakeChat("One.", "Two.")
    async with staged(chat) as stage:
        stage.conversation.submit("Count.")
        await settle()
        assert stage.person.sounds == {"answer-1": 2.0}
        assert stage.person.names("end_segment") == [("end_segment", "answer-1")]
        stage.conversation.note_done("answer-1", 2.0, False)
        stage.conversation.submit("Again.")
        await settle()
        assert [turn["content"] for turn in chat.asked[1]] == ["Count.", "One. Two.", "Again."]


async def test_words_are_shown_when_they_sound():
    async with staged(FakeChat("One.", "Two.")) as stage:
        stage.conversation.submit("Count.")
        await settle()
        assert stage.transcripts("avatar", final=False) == []
        for tick in range(1, 51):
            stage.conversation.note_played("answer-1", tick * 0.04)
            shown = stage.transcripts("avatar", final=False)
            assert shown == (["One."] if tick <= 25 else ["One.", "Two."])
        stage.conversation.note_played("appended", 0.04)
        assert stage.transcripts("avatar") == []
        stage.conversation.note_done("answer-1", 2.0, False)
        assert stage.transcripts("avatar") == ["One. Two."]


async def test_the_planner_learns_of_words_shortly_before_they_sound():
    async with staged(FakeChat("One.", "Two.", "Three.", "Four.")) as stage:
        noted = lambda: [call[2] for call in stage.person.names("note_words") if call[1] == "avatar"]  # noqa: E731
        stage.conversation.submit("Count.")
        await settle()
        assert noted() == ["One.", "Two."]
        stage.conversation.note_played("answer-1", 0.48)
        assert noted() == ["One.", "Two."]
        stage.conversation.note_played("answer-1", 0.52)
        assert noted() == ["One.", "Two.", "Three."]
        stage.conversation.note_played("answer-1", 3.0)
        assert noted() == ["One.", "Two.", "Three.", "Four."]


async def test_a_cough_ends_no_answer_and_is_none():
    transcriber = FakeTranscriber("Yes")
    async with staged(FakeChat("One.", None), transcriber) as stage:
        stage.conversation.submit("Count.")
        await settle()
        stage.conversation.hear(COUGH, 16_000)
        stage.conversation.hear(SILENCE, 16_000)
        await settle()
        assert stage.person.names("interrupt", "user_speech") == [("user_speech", True), ("user_speech", False)]
        assert stage.conversation.is_answering
        assert transcriber.heard == []
        stage.conversation.hear(SPEECH, 16_000)
        assert stage.person.names("interrupt") == [("interrupt",)]


async def test_a_short_word_is_heard_while_the_avatar_is_silent():
    chat = FakeChat("Good.")
    async with staged(chat, FakeTranscriber("Yes")) as stage:
        stage.conversation.hear(COUGH, 16_000)
        stage.conversation.hear(SILENCE, 16_000)
        await settle()
        assert chat.asked == [[{"role": "user", "content": "Yes"}]]


@pytest.mark.parametrize("noise", ["", ServiceError("the transcriber broke")])
async def test_a_noise_after_a_question_does_not_cost_the_answer(noise):
    chat, transcriber = FakeChat("Yes."), FakeTranscriber("What is it?", noise)
    async with staged(chat, transcriber) as stage:
        transcriber.gate.clear()
        stage.conversation.hear(SPEECH, 16_000)
        stage.conversation.hear(SILENCE, 16_000)
        await settle()
        stage.conversation.hear(COUGH, 16_000)
        transcriber.gate.set()
        await settle()
        assert chat.asked == []
        stage.conversation.hear(SILENCE, 16_000)
        await settle()
        assert chat.asked == [[{"role": "user", "content": "What is it?"}]]


async def test_the_newest_wins():
    chat = FakeChat("One.", None)
    async with staged(chat) as stage:
        stage.conversation.submit("Count.")
        await settle()
        stage.person.played_s = 0.5
        stage.conversation.say("Never mind.")
        await settle()
        names = [call for call in stage.person.calls if call[0] in ("say", "interrupt", "end_segment")]
        assert names == [("say", "answer-1"), ("interrupt",), ("say", "answer-2"), ("end_segment", "answer-2")]
        assert chat.closed == 1


async def test_barge_in_silences_cancels_and_forgets_what_was_not_heard():
    chat = FakeChat("One two three four.", None)
    async with staged(chat, FakeTranscriber("Stop it")) as stage:
        stage.conversation.submit("Count.")
        await settle()
        stage.person.played_s = 0.5
        stage.conversation.hear(SPEECH, 16_000)
        await settle()
        assert stage.person.names("interrupt", "user_speech") == [("user_speech", True), ("interrupt",)]
        assert chat.closed == 1
        assert stage.transcripts("avatar") == ["One two ..."]
        stage.conversation.note_done("answer-1", 0.5, True)  # comes after the fact and changes nothing
        stage.conversation.hear(SILENCE, 16_000)
        await settle()
        assert stage.person.names("user_speech")[-1] == ("user_speech", False)
        assert stage.transcripts("user") == ["Count.", "Stop it"]
        assert [turn["content"] for turn in chat.asked[1]] == ["Count.", "One two ...", "Stop it"]


async def test_an_answer_that_was_never_heard_is_not_remembered():
    chat = FakeChat("One.")
    async with staged(chat) as stage:
        stage.speaker.gate.clear()
        stage.conversation.submit("Count.")
        await settle()
        stage.conversation.submit("Sing.")
        await settle()
        assert stage.person.names("interrupt") == []
        assert chat.asked[1] == [{"role": "user", "content": "Count.\nSing."}]
        assert stage.speaker.closed == 1
        assert stage.transcripts("avatar") == []


async def test_speech_of_a_program_is_interrupted_too():
    async with staged() as stage:
        stage.person.state = State.TALK
        stage.conversation.hear(SPEECH, 16_000)
        assert stage.person.names("interrupt") == [("interrupt",)]


async def test_a_silent_avatar_is_not_interrupted():
    async with staged() as stage:
        stage.conversation.hear(SPEECH, 16_000)
        assert stage.person.names("interrupt") == []
        assert stage.person.names("overhear") == [("overhear", len(SPEECH), 16_000)]


async def test_cancel_always_silences():
    async with staged() as stage:
        stage.conversation.cancel()
        assert stage.person.names("interrupt") == [("interrupt",)]


async def test_who_goes_on_speaking_is_answered_once():
    chat, transcriber = FakeChat("Yes."), FakeTranscriber("My name", "is Ann")
    async with staged(chat, transcriber) as stage:
        transcriber.gate.clear()
        stage.conversation.hear(SPEECH, 16_000)
        stage.conversation.hear(SILENCE, 16_000)
        await settle()
        stage.conversation.hear(SPEECH, 16_000)
        transcriber.gate.set()
        await settle()
        assert chat.asked == []
        stage.conversation.hear(SILENCE, 16_000)
        await settle()
        assert chat.asked == [[{"role": "user", "content": "My name\nis Ann"}]]


async def test_words_that_are_understood_late_do_not_end_a_newer_wish():
    chat, transcriber = FakeChat("Yes."), FakeTranscriber("What?")
    async with staged(chat, transcriber) as stage:
        transcriber.gate.clear()
        stage.conversation.hear(SPEECH, 16_000)
        stage.conversation.hear(SILENCE, 16_000)
        await settle()
        stage.conversation.say("Let me tell you.")
        await settle()
        transcriber.gate.set()
        await settle()
        assert stage.conversation.is_answering
        assert chat.asked == []
        assert stage.transcripts("user") == ["What?"]


async def test_without_a_transcriber_it_says_so_once_and_text_still_works():
    async with staged(FakeChat("Yes.")) as stage:
        for _ in range(2):
            stage.conversation.hear(SPEECH, 16_000)
            stage.conversation.hear(SILENCE, 16_000)
        assert stage.troubles() == ["no_transcriber"]
        stage.conversation.submit("Hello?")
        await settle()
        assert "answer-1" in stage.person.sounds


async def test_without_a_voice_answers_are_text():
    async with staged(FakeChat("One.", "Two."), speaker=None) as stage:
        stage.conversation.submit("Count.")
        await settle()
        assert stage.transcripts("avatar") == ["One. Two."]
        assert stage.troubles() == ["no_voice"]
        assert stage.person.sounds == {}
        assert not stage.conversation.is_answering


async def test_a_model_that_breaks_off_is_told_and_its_words_are_spoken():
    async with staged(FakeChat("One.", ServiceError("the language model broke"))) as stage:
        stage.conversation.submit("Count.")
        await settle()
        assert stage.troubles() == ["no_answer"]
        assert stage.person.names("end_segment") == [("end_segment", "answer-1")]


async def test_an_utterance_that_cannot_be_transcribed_is_told():
    transcriber = FakeTranscriber(ServiceError("the transcriber broke"), "Hello")
    async with staged(FakeChat("Yes."), transcriber) as stage:
        for _ in range(2):
            stage.conversation.hear(SPEECH, 16_000)
            stage.conversation.hear(SILENCE, 16_000)
            await settle()
        assert stage.troubles() == ["not_understood"]
        assert stage.transcripts("user") == ["Hello"]
        assert stage.conversation.is_answering


async def test_a_bug_is_logged_and_the_conversation_goes_on(caplog):
    chat = FakeChat("One.", RuntimeError("bug"))
    async with staged(chat) as stage:
        stage.conversation.submit("Count.")
        await settle()
        assert stage.troubles() == ["internal"]
        assert "bug" in caplog.text
        assert stage.person.names("interrupt") == [("interrupt",)]
        stage.conversation.say("Still here.")
        await settle()
        assert "answer-2" in stage.person.sounds


async def test_synthesis_waits_while_much_is_queued():
    async with staged(FakeChat("One.", "Two.", "Three.")) as stage:
        stage.person.queued_s = 5.0
        stage.conversation.submit("Count.")
        await settle()
        assert stage.person.sounds == {}
        stage.person.queued_s = 0.0
        async with asyncio.timeout(60):
            while not stage.person.names("end_segment"):
                await asyncio.sleep(0.01)
        assert stage.person.sounds == {"answer-1": 3.0}


async def test_a_session_that_closed_ends_the_answer():
    class Closed(FakePerson):
        def say(self, sound, rate, segment="speech"):
            raise SessionError("the session is closed")

    async with staged(person=Closed()) as stage:
        stage.conversation.say("Hello.")
        await settle()
        assert stage.troubles() == ["no_answer"]
        assert not stage.conversation.is_answering


async def test_a_puppet_speaks_with_the_microphone():
    async with staged(mode="puppet") as stage:
        pieces = np.array_split(np.concatenate([SILENCE, SPEECH, SPEECH, SILENCE, SPEECH]), 70)
        for piece in pieces:
            stage.conversation.hear(piece, 16_000)
        assert stage.person.calls == [("say", "puppet-1"), ("end_segment", "puppet-1"), ("say", "puppet-2")]
        # All of the voice, some sound before it and the pause that ended it.
        assert stage.person.sounds["puppet-1"] == pytest.approx(0.768 + 0.4 + 0.5 - 0.128, abs=0.1)
        stage.conversation.set_mode("conversation")
        assert stage.person.calls[-2:] == [("end_segment", "puppet-2"), ("user_speech", False)]


async def test_nothing_outlives_the_session():
    chat, transcriber = FakeChat("One.", None), FakeTranscriber("never")
    transcriber.gate.clear()
    stage = Stage(chat, transcriber)
    stage.conversation.hear(SPEECH, 16_000)
    stage.conversation.hear(SILENCE, 16_000)
    stage.conversation.submit("Count.")
    await settle()
    before = asyncio.all_tasks()
    assert len(before) > 1
    await stage.conversation.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert chat.closed == 1
    told = len(stage.events)
    stage.conversation.submit("Hello?")
    stage.conversation.hear(SPEECH, 16_000)
    await settle()
    assert len(stage.events) == told
    assert asyncio.all_tasks() == {asyncio.current_task()}

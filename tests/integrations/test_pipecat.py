from __future__ import annotations

import asyncio
import warnings
from typing import Any, cast

import numpy as np
import pytest

# Its packages warn while they are imported; that is not ours to fail on.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("pipecat", reason="pipecat-ai is not installed: pip install 'flowact[pipecat]'")
    from pipecat.frames.frames import (
        ErrorFrame,
        Frame,
        InputAudioRawFrame,
        InterruptionFrame,
        OutputAudioRawFrame,
        OutputImageRawFrame,
        OutputTransportReadyFrame,
        TextFrame,
        TTSAudioRawFrame,
        TTSStartedFrame,
        TTSStoppedFrame,
        UserStartedSpeakingFrame,
        UserStoppedSpeakingFrame,
    )
    from pipecat.tests.utils import SleepFrame, run_test

    from flowact.integrations.pipecat import AvatarBehaviorFrame, FlowActVideoService

from flowact.core.types import State
from tests.integrations.fake_person import SIDE, FakePerson, speech

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def said(seconds: float, pieces: int = 1, context: str | None = None) -> list[Frame]:
    return [TTSAudioRawFrame(speech(seconds / pieces), 24_000, 1, context_id=context) for _ in range(pieces)]


async def run(person: FakePerson, frames: list[Frame]) -> tuple[list[Frame], list[Frame]]:
    """What comes out downstream and upstream."""
    down, up = await run_test(FlowActVideoService(session=cast(Any, person)), frames_to_send=frames, start_timeout=20.0)
    return list(down), list(up)


def spoken(frames: list[Frame]) -> list[TTSAudioRawFrame]:
    return [frame for frame in frames if isinstance(frame, TTSAudioRawFrame)]


def only(frames: list[Frame], *kinds: type) -> list[Frame]:
    return [frame for frame in frames if isinstance(frame, kinds)]


async def test_speech_comes_back_in_pairs_and_its_end_last() -> None:
    ready, start, stop = OutputTransportReadyFrame(), TTSStartedFrame(context_id="c"), TTSStoppedFrame(context_id="c")
    down, up = await run(FakePerson(), [ready, start, *said(0.4, 3, "c"), stop, TextFrame("next")])
    assert only(up, ErrorFrame) == []
    media = only(down, OutputImageRawFrame, OutputAudioRawFrame)
    assert len(media) % 2 == 0
    for picture, sound in zip(media[::2], media[1::2]):
        assert isinstance(picture, OutputImageRawFrame)
        assert isinstance(sound, OutputAudioRawFrame)
        assert (picture.size, picture.format, len(picture.image)) == ((SIDE, SIDE), "RGB", SIDE * SIDE * 3)
        assert (len(sound.audio), sound.sample_rate, sound.num_channels) == (1280, 16_000, 1)
    voice = spoken(down)
    assert len(voice) == 10
    assert {frame.context_id for frame in voice} == {"c"}
    level = np.frombuffer(b"".join(f.audio for f in voice), np.int16)[640:-640].astype(float)
    assert np.sqrt(np.mean(level**2)) == pytest.approx(0.5 * 32767 / np.sqrt(2), rel=0.02)
    assert down.index(start) < down.index(voice[0])
    assert down.index(voice[-1]) < down.index(stop)
    assert sum(isinstance(f, TTSStoppedFrame) for f in down) == 1
    assert any(isinstance(f, TextFrame) for f in down)


async def test_nothing_is_shown_before_the_transport_is_ready() -> None:
    person = FakePerson()
    down, _ = await run(person, [*said(0.2), SleepFrame(sleep=0.2)])
    assert only(down, OutputImageRawFrame, OutputAudioRawFrame) == []
    assert person.taken == []
    assert person.closed_reason is not None


async def test_an_interruption_silences_and_the_next_speech_is_heard() -> None:
    person = FakePerson()
    first = [TTSStartedFrame(context_id="a"), *said(5.0, 5, "a"), TTSStoppedFrame(context_id="a")]
    late = said(0.4, 1, "a")  # the speech service had it in the pipe
    second = [TTSStartedFrame(context_id="b"), *said(0.2, 1, "b"), TTSStoppedFrame(context_id="b")]
    frames = [OutputTransportReadyFrame(), *first, SleepFrame(sleep=0.4), InterruptionFrame(), *late]
    down, _ = await run(person, [*frames, SleepFrame(sleep=0.3), *second])
    assert person.interruptions == 1
    voice = spoken(down)
    old = [frame for frame in voice if frame.context_id == "a"]
    assert 0 < len(old) < 60
    cut = next(i for i, frame in enumerate(down) if isinstance(frame, InterruptionFrame))
    assert all(down.index(frame) < cut for frame in old)
    assert [frame.context_id for frame in voice[len(old) :]] == ["b"] * 5
    assert [frame.context_id for frame in down if isinstance(frame, TTSStoppedFrame)] == ["b"]
    after = [frame for frame in down[cut:] if isinstance(frame, OutputAudioRawFrame)]
    assert any(not np.frombuffer(frame.audio, np.int16).any() for frame in after)


async def test_a_speech_without_sound_ends_at_once() -> None:
    down, _ = await run(FakePerson(), [OutputTransportReadyFrame(), TTSStartedFrame(), TTSStoppedFrame()])
    assert len(only(down, TTSStoppedFrame)) == 1


async def test_behaviours_become_wishes() -> None:
    person = FakePerson()
    frames = [
        AvatarBehaviorFrame(text="a person waves"),
        AvatarBehaviorFrame(text="a person thinks", state=State.THINK, urgent=False),
        AvatarBehaviorFrame(text=""),
        AvatarBehaviorFrame(text="x" * 100_000),
    ]
    down, up = await run(person, cast("list[Frame]", frames))
    assert only(down, AvatarBehaviorFrame) == []
    waves, thinks, nothing = person.actions
    assert waves is not None
    assert (waves.state, waves.prompt, waves.urgent) == (State.GESTURE, "a person waves", True)
    assert thinks is not None
    assert (thinks.state, thinks.urgent) == (State.THINK, False)
    assert nothing is None
    assert len(only(up, ErrorFrame)) == 1


async def test_the_user_is_heard_and_passed_on() -> None:
    person = FakePerson()
    heard = InputAudioRawFrame(speech(0.1, 16_000), 16_000, 1)
    frames: list[Frame] = [UserStartedSpeakingFrame(), heard, UserStoppedSpeakingFrame()]
    down, _ = await run(person, frames)
    assert [type(frame) for frame in down] == [type(frame) for frame in frames]
    assert person.user == [True, False]
    assert person.overheard == 1600


async def test_a_person_who_is_gone_is_reported() -> None:
    person = FakePerson()
    service = FlowActVideoService(session=cast(Any, person))

    async def go() -> None:
        while len(person.taken) < 3:
            await asyncio.sleep(0.01)
        person.close("the engine broke")

    going = asyncio.create_task(go())
    frames = [OutputTransportReadyFrame(), SleepFrame(sleep=0.5), *said(0.1)]
    _, up = await run_test(service, frames_to_send=frames, start_timeout=20.0)
    await going
    errors = [frame.error for frame in up if isinstance(frame, ErrorFrame)]
    assert any("the engine broke" in error for error in errors)
    assert any("cannot speak" in error for error in errors)

"""Going back to a latent frame that was shown: nothing of what came after it is left."""

import numpy as np
import pytest

from flowact.core.types import State
from flowact.stream.avatar import Avatar
from flowact.stream.live import Action, LiveSession
from flowact.stream.session import ResumePoint, Session
from tests.stream.fake_live import NoPlanner, VirtualClock, fill

WARM = np.random.default_rng(7).normal(0, 0.1, 30 * 640).astype(np.float32)


def voice(seed: int, ticks: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, ticks * 640).astype(np.float32)


def run(session: Session, chunks: int, seed: int, prompt: str = "talk") -> list[tuple[np.ndarray, ResumePoint]]:
    """The latent frames of `chunks` shifts, each with its point."""
    session.hear(voice(seed, 12 * chunks + 4))
    latents = []
    for _ in range(chunks):
        done = session.generate(session.condition(prompt))
        if done is not None:
            latents += list(session.decode_stepwise(done))
    return latents


@pytest.mark.parametrize("cut", [0, 1, 2, 5])
def test_a_resumed_stream_does_not_know_what_was_dropped(avatar: Avatar, portrait: np.ndarray, cut: int) -> None:
    far, near = avatar.open(portrait, seed=3), avatar.open(portrait, seed=3)
    shown = run(far, 6, seed=1)
    point = shown[cut][1]
    noise = far.noise.get_state()
    far.resume(point, WARM)
    near.resume(point, WARM)
    near.noise.set_state(noise)
    after_far, after_near = run(far, 4, seed=2), run(near, 4, seed=2)
    assert len(after_far) == 6
    for (a, _), (b, _) in zip(after_far, after_near, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_memory_of_a_point_is_what_was_shown_up_to_it(avatar: Avatar, portrait: np.ndarray) -> None:
    session = avatar.open(portrait, seed=3)
    points = [point for _, point in run(session, 4, seed=1)]
    whole = session.point
    assert bool((points[-1].bank.recent == whole.bank.recent).all())
    assert bool((points[-1].bank.filled == whole.bank.filled).all())
    assert bool((points[1].bank.recent[:, -1] != points[2].bank.recent[:, -1]).any())


def test_decoding_latent_by_latent_shows_the_same_pictures(avatar: Avatar, portrait: np.ndarray) -> None:
    one, other = avatar.open(portrait, seed=3), avatar.open(portrait, seed=3)
    stepwise = np.concatenate([frames for frames, _ in run(one, 4, seed=1)])
    other.hear(voice(1, 52))
    chunks = [other.generate(other.condition("talk")) for _ in range(4)]
    whole = np.concatenate([other.decode(chunk) for chunk in chunks if chunk is not None])
    assert np.abs(stepwise.astype(int) - whole).max() <= 1


def test_sound_wanted_is_exactly_what_makes_a_session_ready(avatar: Avatar, portrait: np.ndarray) -> None:
    session = avatar.open(portrait)
    assert session.frames_wanted == 16
    session.hear(voice(1, 15))
    assert session.frames_wanted == 1
    assert not session.ready
    session.hear(voice(2, 1))
    assert session.frames_wanted == 0
    assert session.ready
    session.condition("talk")
    assert session.frames_wanted == 12
    session.resume(session.point, WARM)
    assert session.frames_wanted == 16
    session.hear(voice(3, 16))
    assert session.ready


def test_a_live_session_goes_on_from_the_point_of_its_cut(avatar: Avatar, portrait: np.ndarray) -> None:
    clock = VirtualClock()
    live = LiveSession(avatar, portrait, seed=5, planner=NoPlanner(), clock=clock)
    fill(live)
    for _ in range(3):
        live.take()
    live.act(Action(State.REACT, "a person looks surprised", urgent=True))
    assert live._session is not None
    noise = live._session.noise.get_state()
    cut_again = avatar.open(portrait, seed=5)
    resumed: list[tuple[ResumePoint, np.ndarray]] = []
    resume = live._session.resume

    def spy(point: ResumePoint, sound: np.ndarray) -> None:
        resumed.append((point, sound))
        resume(point, sound)

    live._session.resume = spy  # type: ignore[method-assign]
    fill(live)
    (point, sound), *more = resumed
    assert not more
    cut_again.resume(point, sound)
    cut_again.noise.set_state(noise)
    cut_again.hear(np.zeros(52 * 640, np.float32))
    expected = []
    while len(expected) < 12:
        done = cut_again.generate(cut_again.condition("a person looks surprised"))
        if done is not None:
            expected += [frame for frames, _ in cut_again.decode_stepwise(done) for frame in frames]
    ticks = [live.take() for _ in range(live.snapshot_stats().lead_ticks)]
    fresh = [tick for tick in ticks if tick.epoch == 1]
    assert len(fresh) >= 12
    for tick, frame in zip(fresh, expected):
        # Latent frames that are decoded together or one by one may round otherwise.
        assert np.abs(tick.frame.astype(int) - frame).max() <= 1

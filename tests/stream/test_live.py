"""One living person: what is seen and heard belongs together, whatever happens when."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowact.core.errors import SessionError, ShapeError
from flowact.core.types import State, Tick
from flowact.stream.live import Action, LiveConfig, LiveSession
from flowact.stream.planner import Moment
from tests.stream.fake_live import NoPlanner, TapeAvatar, VirtualClock, fill, heard, picture, speech, still

WAVE = Action(State.GESTURE, "a person waves hello", urgent=True)


class Stage:
    """A live session under a virtual clock, with a record of what came out."""

    def __init__(self, cost_s: float = 0.0, planner: Any = None) -> None:
        self.clock = VirtualClock()
        self.avatar = TapeAvatar(compute=self._compute, between=self._run_inside)
        self.inside: list[Any] = []
        self.cost_s, self.due_s = cost_s, 0.0
        self.session = LiveSession(
            self.avatar, still(), planner=planner or NoPlanner(), clock=self.clock  # type: ignore[arg-type]
        )  # fmt: skip
        self.ticks: list[Tick] = []

    def _compute(self) -> None:
        """A shift takes its time, and the pacer goes on meanwhile, once it has begun."""
        end_s = self.clock.now_s + self.cost_s
        while self.ticks and self.due_s <= end_s:
            self.take()
        self.clock.now_s = max(self.clock.now_s, end_s)
        self._run_inside()

    def _run_inside(self) -> None:
        if self.inside:
            self.inside.pop(0)()

    def take(self, count: int = 1) -> list[Tick]:
        """Ticks at their pace, without the engine."""
        for _ in range(count):
            self.clock.now_s = max(self.clock.now_s, self.due_s)
            self.due_s = self.clock.now_s + 0.04
            self.ticks.append(self.session.take())
        return self.ticks[-count:]

    def play(self, count: int) -> list[Tick]:
        """At least `count` ticks while the engine keeps the lead full."""
        begin = len(self.ticks)
        while len(self.ticks) < begin + count:
            fill(self.session)
            self.take()
        return self.ticks[begin:]

    def say(self, first: int, count: int, segment: str = "s", ends: bool = True) -> None:
        self.session.say(speech(first, count), 16_000, segment)
        if ends:
            self.session.end_segment(segment)


def test_the_lead_is_bounded_and_an_idle_person_is_silent() -> None:
    stage = Stage()
    fill(stage.session)
    assert 12 <= stage.session.snapshot_stats().lead_ticks <= 24
    ticks = stage.play(60)
    assert [t.index for t in ticks] == list(range(len(ticks)))
    assert not any(t.is_held or t.sound.any() or t.segment for t in ticks)
    assert {t.state for t in ticks} == {State.IDLE}


def test_speech_cuts_into_the_idle_lead_and_is_whole() -> None:
    stage = Stage(cost_s=0.05)
    stage.play(20)
    stage.say(1, 50)
    ticks = stage.play(100)
    spoken = [t for t in ticks if t.segment == "s"]
    assert [heard(t.sound) for t in spoken] == list(range(1, 51))
    assert [picture(t.frame) for t in ticks] == [heard(t.sound) for t in ticks]
    assert [t.ends_segment for t in spoken] == [False] * 49 + [True]
    assert spoken[0].index - ticks[0].index <= 12  # a refill of 0.15 s and its margin, to the next latent frame
    assert spoken[0].epoch == ticks[0].epoch + 1
    assert stage.session.snapshot_stats().reactions_s[-1] < 0.5
    assert not any(t.is_held for t in ticks)


def test_what_was_dropped_leaves_no_trace_in_the_memory() -> None:
    stage = Stage(cost_s=0.05)
    stage.play(20)
    stage.say(1, 50)
    stage.play(60)
    assert len(stage.avatar.resumed) == 1
    shown = [picture(t.frame) for t in stage.ticks]
    point = stage.session._timeline.end_point()
    assert list(point[: len(shown)]) == shown  # type: ignore[index]


def test_speech_after_speech_follows_without_a_gap_and_without_a_cut() -> None:
    stage = Stage()
    stage.play(12)
    stage.say(1, 60, "a")
    stage.say(61, 60, "b")
    ticks = stage.play(160)
    spoken = [heard(t.sound) for t in ticks if t.segment is not None]
    assert spoken == list(range(1, 121))
    first = next(i for i, t in enumerate(ticks) if t.segment)
    assert all(t.segment for t in ticks[first : first + 120])
    assert len(stage.avatar.resumed) == 1
    assert [t.segment for t in ticks if t.ends_segment] == ["a", "b"]


def test_speech_waits_until_there_is_enough_of_it() -> None:
    stage = Stage()
    stage.play(12)
    stage.say(1, 39, ends=False)
    assert not any(t.segment for t in stage.play(30))
    stage.say(40, 10, ends=True)
    assert [heard(t.sound) for t in stage.play(90) if t.segment] == list(range(1, 50))


def test_sound_that_comes_too_slowly_is_torn_between_chunks_only_and_nothing_is_lost() -> None:
    stage = Stage()
    stage.play(12)
    stage.say(1, 42, ends=False)
    stage.play(120)
    stage.say(43, 60, ends=True)
    ticks = stage.play(160)
    spoken = [t for t in stage.ticks if t.segment]
    assert [heard(t.sound) for t in spoken] == list(range(1, 103))
    gaps = [b.index - a.index for a, b in pairwise(spoken)]
    assert sum(g > 1 for g in gaps) == 1
    assert all(picture(t.frame) == heard(t.sound) for t in ticks)


def test_an_interruption_silences_the_next_tick_but_one_and_rests_the_mouth_after_the_cut() -> None:
    stage = Stage(cost_s=0.05)
    stage.play(12)
    stage.say(1, 200)
    stage.play(60)
    last = stage.ticks[-1]
    told = stage.session.interrupt()
    assert told.segment == "s"
    assert told.played_s == pytest.approx(heard(last.sound) * 0.04)
    assert told.epoch == last.epoch + 1
    fading, *after = stage.play(80)
    assert abs(fading.sound[0]) > 0
    assert abs(fading.sound[-1]) < 1e-6
    assert not any(t.sound.any() or t.segment or t.ends_segment for t in after)
    moving = [t.index for t in (fading, *after) if picture(t.frame)]
    assert moving == list(range(moving[0], moving[0] + len(moving)))
    assert len(moving) <= 12
    assert all(t.epoch >= told.epoch for t in (fading, *after))
    assert not any(t.is_held for t in after)


def test_an_interruption_of_nothing_reports_nothing_and_cuts_nothing() -> None:
    stage = Stage()
    stage.play(30)
    told = stage.session.interrupt()
    assert (told.segment, told.played_s, told.epoch) == (None, 0.0, 1)
    stage.play(30)
    assert stage.avatar.resumed == []


def test_speech_that_waits_only_is_interrupted_too() -> None:
    stage = Stage()
    stage.play(12)
    stage.say(1, 20, "later", ends=False)
    told = stage.session.interrupt()
    assert (told.segment, told.played_s) == ("later", 0.0)
    assert not any(t.segment for t in stage.play(80))


def test_speech_after_an_interruption_is_spoken_from_its_beginning() -> None:
    stage = Stage(cost_s=0.05)
    stage.play(12)
    stage.say(1, 100, "old")
    stage.play(50)
    stage.session.interrupt()
    stage.say(500, 50, "new")
    ticks = stage.play(110)
    assert [heard(t.sound) for t in ticks if t.segment] == list(range(500, 550))
    assert len(stage.avatar.resumed) <= 3


def test_a_result_that_an_interruption_overtook_is_not_shown() -> None:
    stage = Stage(cost_s=0.05)
    stage.play(12)
    stage.say(1, 300)
    stage.play(40)
    stage.take(8)
    made = stage.session.snapshot_stats().lead_ticks + len(stage.ticks)
    stage.inside = [stage.session.interrupt]
    stage.session.advance()
    stats = stage.session.snapshot_stats()
    assert (stats.lead_ticks + len(stage.ticks), stats.discarded_chunks) == (made, 1)


def test_an_urgent_action_keeps_the_speech_and_a_calm_one_does_not_cut() -> None:
    stage = Stage(cost_s=0.05)
    stage.play(12)
    stage.say(1, 150)
    stage.play(40)
    cuts = len(stage.avatar.resumed)
    stage.session.act(WAVE)
    stage.play(50)
    assert len(stage.avatar.resumed) == cuts + 1
    assert stage.avatar.prompts[-1] == WAVE.prompt
    stage.session.act(Action(State.TALK, "a person talks"))
    ticks = stage.play(120)
    assert len(stage.avatar.resumed) == cuts + 1
    assert [heard(t.sound) for t in stage.ticks if t.segment] == list(range(1, 151))
    assert all(picture(t.frame) == heard(t.sound) for t in stage.ticks)
    assert stage.avatar.prompts[-1] == "a person talks"
    assert {t.state for t in ticks} == {State.GESTURE, State.TALK}


def test_urgent_actions_in_a_row_do_not_starve_the_stream() -> None:
    stage = Stage(cost_s=0.05)
    stage.play(12)
    for _ in range(10):
        stage.session.act(WAVE)
        stage.play(5)
    assert len(stage.avatar.resumed) <= 3
    assert not any(t.is_held for t in stage.ticks)


def test_a_wish_holds_until_it_is_released() -> None:
    class Talker:
        def propose(self, moment: Moment) -> Action | None:
            return Action(State.LISTEN, "a person listens")

    stage = Stage(planner=Talker())
    stage.session.act(Action(State.THINK, "a person thinks"))
    stage.play(12)
    assert set(stage.avatar.prompts) == {"a person thinks"}
    stage.session.release()
    stage.play(60)
    assert stage.avatar.prompts[-1] == "a person listens"


def test_an_underrun_holds_picture_and_sound_together_and_nothing_is_lost() -> None:
    stage = Stage()
    stage.play(12)
    stage.say(1, 100)
    stage.play(30)
    lead = stage.session.snapshot_stats().lead_ticks
    ticks = stage.take(lead + 7)
    assert [t.is_held for t in ticks] == [False] * lead + [True] * 7
    assert all(t.frame is ticks[lead - 1].frame and not t.sound.any() for t in ticks[lead:])
    stage.play(120)
    assert [heard(t.sound) for t in stage.ticks if t.segment] == list(range(1, 101))
    assert all(picture(t.frame) == heard(t.sound) for t in stage.ticks if not t.is_held)
    assert [t.index for t in stage.ticks] == list(range(len(stage.ticks)))
    assert stage.session.snapshot_stats().held_ticks == 7


def test_a_tick_from_before_an_interruption_loses_its_sound_at_every_exit() -> None:
    stage = Stage()
    stage.play(12)
    stage.say(1, 100)
    tick = next(t for t in stage.play(60) if t.segment)
    assert stage.session.audible(tick) is tick
    stage.session.interrupt()
    late = stage.session.audible(tick)
    assert not late.sound.any()
    assert late.segment is None
    assert late.frame is tick.frame


def test_what_the_user_says_moves_no_lips() -> None:
    stage = Stage()
    seen: list[Moment] = []
    stage.session._planner.propose = lambda moment: seen.append(moment)  # type: ignore[method-assign,func-returns-value]
    stage.session.overhear(0.5 * np.ones(4800, np.float32), 48_000)
    stage.session.user_speech(True)
    stage.session.note_words("user", "hello")
    ticks = stage.play(40)
    assert not any(picture(t.frame) or t.sound.any() for t in ticks)
    assert seen[0].is_user_speaking
    assert seen[0].user_text == "hello"
    assert seen[0].user_loudness_db == pytest.approx(-6, abs=0.5)
    assert not seen[0].is_avatar_speaking


def test_bad_sound_and_too_much_of_it_are_refused() -> None:
    session = Stage().session
    with pytest.raises(ShapeError, match="mono"):
        session.say(np.zeros((2, 100), np.float32), 16_000)
    with pytest.raises(ShapeError, match="float32"):
        session.say(np.zeros(100, np.int16), 16_000)  # type: ignore[arg-type]
    with pytest.raises(SessionError, match="120"):
        session.say(np.zeros(121 * 16_000, np.float32), 16_000)
    session.close("bye")
    with pytest.raises(SessionError, match="bye"):
        session.say(np.zeros(10, np.float32), 16_000)
    assert session.deadline() is None


DOORS = ("take", "say", "end", "act", "interrupt")
OUTER = st.tuples(st.sampled_from((*DOORS, "advance", "fill")), st.integers(1, 45))
INNER = st.lists(st.tuples(st.sampled_from(DOORS), st.integers(1, 45)), max_size=3)


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(OUTER, INNER), min_size=3, max_size=15), st.sampled_from([0.0, 0.03, 0.2]))
def test_any_order_of_events_keeps_ticks_whole(story: list[Any], cost_s: float) -> None:
    stage = Stage(cost_s)
    said, broken = 1, 0
    parts = 0
    fades: set[int] = set()

    def do(op: tuple[str, int]) -> None:
        nonlocal said, broken, parts
        name, value = op
        if name == "take":
            stage.take(value % 25)
        elif name == "fill":
            stage.session.advance()
            stage.session.advance()
        elif name == "advance":
            stage.session.advance()
        elif name == "say":
            stage.session.say(speech(said, value), 16_000, f"s{parts}")
            said += value
        elif name == "end":
            stage.session.end_segment(f"s{parts}")
            parts += 1
        elif name == "act":
            stage.session.act(WAVE)
        else:
            stage.session.interrupt()
            broken, parts = said - 1, parts + 1
            fades.add(len(stage.ticks))
            marks.append((len(stage.ticks), broken))

    marks: list[tuple[int, int]] = []
    for op, inner in story:
        stage.inside = [lambda op=op: do(op) for op in inner]  # type: ignore[misc]
        do(op)
    stage.inside = []
    stage.session.end_segment(f"s{parts}")
    stage.play(60 + said + 60)

    ticks = stage.ticks
    assert [t.index for t in ticks] == list(range(len(ticks)))
    assert all(a.epoch <= b.epoch for a, b in pairwise(ticks))
    assert not any(t.sound.any() for t in ticks if t.is_held)
    for at, last in marks:  # nothing said before an interruption sounds after it, but for one fading tick
        assert all(heard(t.sound) == 0 or heard(t.sound) > last for t in ticks[at + 1 :])
    for n, t in enumerate(ticks):
        if not t.is_held and n not in fades:
            assert heard(t.sound) in (0, picture(t.frame))
            assert bool(t.segment) == bool(heard(t.sound))
    spoken = [heard(t.sound) for t in ticks if t.segment]
    assert spoken == sorted(set(spoken))
    assert spoken[len(spoken) - (said - 1 - broken) :] == list(range(broken + 1, said))
    shown = [picture(t.frame) for t in ticks if not t.is_held]
    point = stage.session._timeline.end_point()
    assert list(point[: len(shown)]) == shown  # type: ignore[index]


def test_the_ring_never_holds_more_than_two_chunks_for_any_cost() -> None:
    for cost_s in (0.0, 0.05, 0.2, 1.0):
        stage = Stage(cost_s)
        for _ in range(40):
            if stage.session.deadline() is not None:
                stage.session.advance()
            assert stage.session.snapshot_stats().lead_ticks <= LiveConfig().most_lead_ticks
            stage.take(3)

"""The rules for tiers and threads alone, fed with made-up costs."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flowact.core.errors import ConfigError
from flowact.diffusion.guidance import ClassifierFree, EmbeddedGuidance, NoGuidance, VoiceGuidance
from flowact.stream.costs import Costs
from flowact.stream.threads import ThreadRules, Threads
from flowact.stream.tiers import Tier, TierRules, Tiers, guidance_at, ladder_for

LADDER = (Tier.FULL, Tier.SPARSE, Tier.PLAIN)
TIME_S = 0.48
RULES = TierRules()


class Story:
    """A stream whose chunks cost what `costs` says of each tier, times a jitter."""

    def __init__(self, seed: int = 0, jitter: float = 0.0) -> None:
        self.tiers, self.now_s, self.chance, self.jitter = Tiers(LADDER), 0.0, random.Random(seed), jitter
        self.history: list[tuple[float, Tier]] = [(0.0, Tier.FULL)]

    def run(self, seconds: float, *costs_s: float) -> Story:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            cost_s = costs_s[self.tiers.tier] * (1 + self.chance.uniform(-self.jitter, self.jitter))
            self.now_s += max(TIME_S, cost_s)
            self.tiers.observe(self.now_s, cost_s, TIME_S)
            if self.tiers.tier is not self.history[-1][1]:
                self.history.append((self.now_s, self.tiers.tier))
        return self


COSTS = st.floats(0.02, 1.5).flatmap(
    lambda full: st.tuples(st.just(full), st.floats(0.72, 1.0), st.floats(0.72, 1.0)).map(
        lambda t: (t[0], t[0] * t[1], t[0] * t[1] * t[2])
    )
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(COSTS, st.floats(0, 0.05), st.integers(0, 99))
def test_a_tier_that_can_last_is_reached_if_there_is_one(
    costs_s: tuple[float, float, float], jitter: float, seed: int
) -> None:
    story = Story(seed, jitter).run(20, *costs_s)
    lasting = [tier for tier in LADDER if costs_s[tier] * (1 + jitter) <= RULES.most_load * TIME_S]
    hopeless = [tier for tier in LADDER if costs_s[tier] * (1 - jitter) > RULES.most_load * TIME_S]
    if lasting:
        assert story.tiers.tier <= lasting[0] or story.history[-1][0] > 20 - 3  # a step up that is being tried
    assert story.tiers.tier not in hopeless or story.tiers.tier is LADDER[-1] or story.history[-1][0] > 20 - 3


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0.3, 30), COSTS), min_size=1, max_size=12), st.floats(0, 0.9), st.integers(0, 99))
def test_tiers_step_up_no_faster_than_stated(
    parts: list[tuple[float, tuple[float, float, float]]], jitter: float, seed: int
) -> None:
    story = Story(seed, jitter)
    for seconds, costs_s in parts:
        story.run(seconds, *costs_s)
    changes = story.history[1:]
    assert story.tiers.changes == len(changes)
    ups = [at_s for (_, a), (at_s, b) in pairwise(story.history) if b < a]
    for at_s in ups:
        before = [other_s for other_s, _ in changes if other_s < at_s]
        assert at_s - before[-1] >= RULES.hold_s
    assert all(abs(b - a) == 1 for (_, a), (_, b) in pairwise(story.history))
    assert len(changes) <= 2 * story.now_s / RULES.hold_s + len(LADDER)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(COSTS, st.floats(0, 0.9), st.floats(1, 200), st.integers(0, 99))
def test_the_best_tier_comes_back_when_the_load_goes(
    costs_s: tuple[float, float, float], jitter: float, seconds: float, seed: int
) -> None:
    story = Story(seed, jitter).run(seconds, *costs_s)
    story.jitter = 0.0
    story.run(2 * RULES.longest_hold_s + 12, 0.15, 0.14, 0.13)
    assert story.tiers.tier is Tier.FULL


def test_a_step_up_that_does_not_last_is_tried_less_and_less_often() -> None:
    # The upper tier costs more than `growth` says.
    story = Story().run(600, 0.6, 0.25, 0.2)
    ups = [at_s for (_, a), (at_s, b) in pairwise(story.history) if b < a]
    pauses_s = [b - a for a, b in pairwise(ups)]
    assert 5 <= len(ups) <= 15
    assert all(b > 0.9 * a for a, b in pairwise(pauses_s))
    assert pauses_s[-1] >= RULES.longest_hold_s
    story.run(200, 0.15, 0.14, 0.13)
    begin = len(story.history)
    story.run(10, 0.6, 0.4, 0.35)
    story.run(10, 0.15, 0.14, 0.13)
    assert [tier for _, tier in story.history[begin:]] == [Tier.SPARSE, Tier.FULL]  # soon again


def test_one_slow_chunk_in_time_changes_nothing_and_a_late_one_does() -> None:
    tiers = Tiers(LADDER)
    for cost_s in (0.1, 0.7, 0.1, 0.1, 0.7, 0.1):
        tiers.observe(0.0, cost_s, TIME_S)
    assert tiers.tier is Tier.FULL
    tiers.observe(1.0, 0.3, TIME_S, is_late=True)  # late because others had their turns
    assert tiers.tier is Tier.FULL
    tiers.observe(1.0, 0.7, TIME_S, is_late=True)
    assert tiers.tier is Tier.SPARSE


def test_more_people_leave_less_time_for_a_chunk() -> None:
    tiers = Tiers(LADDER)
    for _ in range(20):
        tiers.observe(0.0, 0.115, TIME_S / 3)
    assert tiers.tier is Tier.FULL
    for _ in range(5):
        tiers.observe(0.0, 0.115, TIME_S / 4)
    assert tiers.tier is Tier.SPARSE


def test_rules_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ConfigError, match="hold_s"):
        TierRules(hold_s=10, longest_hold_s=5)
    with pytest.raises(ConfigError, match="growth"):
        TierRules(growth=0.9)


def test_guidance_is_left_out_where_it_says_nothing_or_costs_too_much() -> None:
    voice, free, embedded = VoiceGuidance(3.0, torch.ones(1, 1)), ClassifierFree(), EmbeddedGuidance()
    assert ladder_for(voice) == ladder_for(free) == LADDER
    assert ladder_for(embedded) == ladder_for(NoGuidance()) == LADDER[:2]
    for tier in (Tier.FULL, Tier.SPARSE):
        assert guidance_at(tier, voice, is_voiced=True) is voice
        assert guidance_at(tier, voice, is_voiced=False) == NoGuidance()
        assert guidance_at(tier, free, is_voiced=False) is free  # it guides the prompt as well
    assert guidance_at(Tier.PLAIN, voice, is_voiced=True) == guidance_at(Tier.PLAIN, free, True) == NoGuidance()
    assert guidance_at(Tier.PLAIN, embedded, is_voiced=True) is embedded


# -- threads -----------------------------------------------------------------------------------------------------------


def test_one_thread_from_the_start_where_more_are_not_faster() -> None:
    assert Threads(2, 0.13, 0.19).count == 2
    assert Threads(2, 0.18, 0.19).count == 1
    assert Threads(1, 0.19, 0.19).count == 1
    assert not Threads(1, 0.19, 0.19).wants_probe(1e9)


def test_threads_go_down_soon_and_come_back_by_probes_only() -> None:
    threads = Threads(2, 0.13, 0.19)
    assert not threads.observe(0, 0.25)  # one slow chunk
    assert not threads.observe(0, 0.13)
    assert not threads.observe(0, 0.25)
    assert threads.observe(1, 0.25)
    assert threads.count == 1
    assert not threads.observe(2, 9.0)
    assert not threads.wants_probe(5.9)
    assert threads.wants_probe(6.0)
    assert not threads.probed(6.0, 0.5, 0.03)  # the neighbour is still there: the pause doubles
    assert not threads.wants_probe(15.9)
    for at_s in (16.0, 16.5):
        assert threads.wants_probe(at_s)
        assert not threads.probed(at_s, 0.02, 0.03)
    assert threads.probed(17.0, 0.02, 0.03)
    assert threads.count == 2
    assert threads.changes == 2


def test_a_chunk_that_does_not_end_is_noticed_before_its_end() -> None:
    threads = Threads(2, 0.13, 0.19)
    assert not threads.observe(0, 0.3, is_whole=False)
    assert not threads.observe(0, 0.3, is_whole=False)  # parts of one chunk are not two chunks
    assert threads.observe(0, 0.39, is_whole=False)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0.02, 3), st.floats(0.005, 0.5), st.floats(0.005, 0.5)), min_size=1), st.integers())
def test_threads_never_change_faster_than_stated(said: list[tuple[float, float, float]], seed: int) -> None:
    threads, chance, now_s = Threads(2, 0.13, 0.19), random.Random(seed), 0.0
    ups: list[float] = []
    for cost_s, many_s, one_s in said * 5:
        now_s += chance.uniform(0.05, 1.0)
        count = threads.count
        threads.observe(now_s, cost_s)
        if threads.wants_probe(now_s):
            threads.probed(now_s, many_s, one_s)
            if threads.count > count:
                ups.append(now_s)
    rules = ThreadRules()
    assert all(b - a >= rules.hold_s for a, b in pairwise(ups))
    assert threads.changes <= 2 * len(ups) + 1


def test_costs_of_another_way_to_compute_are_forgotten_but_for_the_latest() -> None:
    costs = Costs()
    for seconds in (3.0, 2.0, 0.2):
        costs.add_chunk(seconds)
        costs.add_refill(3 * seconds)
    costs.add_chunk(0.1, is_full=False)
    mean_s = costs.mean_chunk_s
    assert (costs.chunk_s(0.99), costs.refill_s(3)) == (3.0, 9.0)
    costs.start_afresh()
    assert costs.chunk_s(0.99) == 0.1
    assert costs.refill_s(3) == pytest.approx(0.3)
    assert costs.mean_chunk_s == mean_s == pytest.approx(0.9 * (0.9 * 3 + 0.1 * 2) + 0.1 * 0.2)

"""A machine that is too slow, too busy or too full, on a virtual clock: what viewers see of it."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flowact.core.types import State
from flowact.stream.avatar import Avatar
from flowact.stream.planner import Action
from flowact.stream.tiers import Tier
from tests.stream.fake_live import heard, picture
from tests.stream.virtual_engine import CHUNK_S, VirtualEngine

WAVE = Action(State.GESTURE, "a person waves hello", urgent=True)


def chat(engine: VirtualEngine, index: int = 0, every_s: float = 4.0, ticks: int = 60) -> None:
    """The person of a session says something again and again."""
    number = 0

    def talk() -> None:
        nonlocal number
        number += 1
        engine.talk(engine.sessions[index], ticks, f"s{index}-{number}")
        engine.after(every_s, talk)

    engine.after(1.0 + index * 0.7, talk)


def whole(engine: VirtualEngine) -> None:
    """All sessions: ticks at their pace without a gap, sound and lips together."""
    for ticks in engine.ticks:
        assert [tick.index for _, tick in ticks] == list(range(len(ticks)))
        assert np.allclose(np.diff([at_s for at_s, _ in ticks]), 0.04)
        assert all(heard(tick.sound) in (0, picture(tick.frame)) for _, tick in ticks if not tick.is_held)
        assert not any(tick.sound.any() for _, tick in ticks if tick.is_held)


@pytest.mark.parametrize("neighbours", [1, 2])
def test_neighbours_that_take_the_cores_for_ten_seconds(neighbours: int) -> None:
    engine = VirtualEngine()
    engine.open()
    chat(engine)
    engine.run(20)
    assert engine.held() == 0
    assert (engine.turns.threads, engine.turns.tier) == (2, Tier.FULL)
    engine.set_busy(neighbours)
    begin_s = engine.now_s
    engine.run(10)
    assert engine.turns.threads == 1
    assert engine.held(since_s=begin_s) <= 25  # while it is found out
    assert engine.held(since_s=begin_s + 3) == 0
    engine.set_busy(0)
    begin_s = engine.now_s
    engine.run(25)
    assert (engine.turns.threads, engine.turns.tier) == (2, Tier.FULL)
    assert engine.turns.thread_changes == 2
    assert engine.held(since_s=begin_s) == 0
    whole(engine)


def test_a_slower_machine_gives_up_pictures_first_and_guidance_last() -> None:
    engine = VirtualEngine(chunk_s=0.24, threads=2)
    engine.slowdown = dict.fromkeys(engine.slowdown, 1.0)
    engine.open()
    chat(engine, ticks=90)
    engine.run(20)
    assert engine.turns.tier is Tier.FULL
    tiers = []
    for slower in (1.9, 2.4):  # a chunk in full: 0.46 s, 0.58 s
        engine.slowdown = dict.fromkeys(engine.slowdown, slower)
        begin_s = engine.now_s
        engine.run(30)
        tiers.append(engine.turns.tier)
        assert engine.held(since_s=begin_s + 15) <= 25  # of 375; each cut needs three shifts at once
    assert tiers == [Tier.SPARSE, Tier.PLAIN]
    assert engine.sessions[0].snapshot_stats().tier is Tier.PLAIN
    engine.slowdown = dict.fromkeys(engine.slowdown, 1.0)
    engine.run(60)
    assert engine.turns.tier is Tier.FULL
    assert engine.avatar.painted[-1] == 1
    whole(engine)


@pytest.mark.slow
@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.floats(0.05, 0.5), st.lists(st.tuples(st.floats(0.5, 12), st.integers(0, 2)), min_size=1, max_size=5))
def test_any_load_leaves_whole_ticks_and_passes(chunk_s: float, loads: list[tuple[float, int]]) -> None:
    engine = VirtualEngine(chunk_s)
    engine.open()
    chat(engine)
    for seconds, neighbours in loads:
        engine.set_busy(neighbours)
        engine.run(seconds)
    engine.set_busy(0)
    engine.chunk_s = min(chunk_s, 0.15)
    engine.run(100)  # the longest pause before a probe, and the steps up
    assert (engine.turns.threads, engine.turns.tier) == (2, Tier.FULL)
    begin_s = engine.now_s
    engine.run(10)
    assert engine.held(since_s=begin_s) == 0
    whole(engine)


# -- cuts --------------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.floats(0.1, 2.5), st.floats(0.1, 3.0), st.integers(0, 999))
def test_no_cuts_keep_a_stream_from_going_on(chunk_s: float, pause_s: float, seed: int) -> None:
    """However slow the machine, however often somebody speaks, waves and interrupts: two refills in a row are enough
    for a picture that is new.
    """
    engine, chance = VirtualEngine(chunk_s, threads=1), random.Random(seed)
    session, said = engine.open(), 0

    def meddle() -> None:
        nonlocal said
        said += 1
        what = chance.choice(("say", "interrupt", "interrupt", "act"))
        if what == "say":
            engine.talk(session, 30, f"s{said}")
        elif what == "act":
            session.act(WAVE)
        else:
            session.interrupt()
        engine.after(chance.uniform(0.5, 1.5) * pause_s, meddle)

    meddle()
    chunk_s *= engine.slowdown[1, 0]
    begin_s = engine.now_s
    engine.run(20 * chunk_s)
    assert engine.ticks[0][0][0] - begin_s < 4 * chunk_s
    shown = [at_s for at_s, tick in engine.ticks[0] if not tick.is_held]
    refill_s = 3 * chunk_s  # three shifts; the first two have fewer chunks, and only the last is decoded
    assert max(b - a for a, b in pairwise(shown)) < 2 * refill_s + chunk_s + 0.2
    assert engine.now_s - shown[-1] < 2 * refill_s + chunk_s + 0.2
    whole(engine)


def test_interruptions_without_end_on_a_machine_with_two_neighbours() -> None:
    engine = VirtualEngine()
    engine.set_busy(2)
    session = engine.open()

    def meddle() -> None:
        engine.talk(session, 50, f"s{engine.now_s}")
        session.interrupt()
        engine.talk(session, 50, f"t{engine.now_s}")
        engine.after(0.3, meddle)

    meddle()
    begin_s = engine.now_s
    engine.run(30)
    assert engine.ticks[0][0][0] - begin_s < 2.5
    assert sum(not tick.is_held for _, tick in engine.ticks[0]) > 30 * 25 / 8
    whole(engine)


# -- many --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("people", "chunk_s"), [(4, 0.08), (3, 0.12), (6, 0.05)])
def test_many_people_live_together_without_a_held_tick(people: int, chunk_s: float) -> None:
    engine = VirtualEngine(chunk_s)
    for index in range(people):
        engine.open()
        chat(engine, index, every_s=6.0, ticks=50)
        engine.run(0.7)
    begin_s = engine.now_s
    engine.run(40)
    assert all(engine.held(index, begin_s + 2) <= 6 for index in range(people))
    whole(engine)


def test_too_many_people_get_less_each_and_all_of_them_the_same() -> None:
    engine = VirtualEngine(0.115)
    for index in range(4):
        engine.open()
        chat(engine, index, every_s=6.0, ticks=80)
    engine.run(40)
    assert engine.turns.tier is not Tier.FULL
    shares = [engine.held(index) / len(engine.ticks[index]) for index in range(4)]
    assert max(shares) < 0.15
    assert max(shares) - min(shares) < 0.08
    whole(engine)


# -- what is left out --------------------------------------------------------------------------------------------------


def test_a_silent_person_costs_one_evaluation_a_pass() -> None:
    engine = VirtualEngine()
    session = engine.open()
    engine.run(5)
    assert not any(engine.avatar.guided)
    engine.talk(session, 50, "s")
    before = len(engine.avatar.guided)
    engine.run(10)
    guided = engine.avatar.guided[before:]
    assert all(guided[1:6])
    assert not any(guided[9:])
    assert engine.costs.mean_chunk_s == pytest.approx(CHUNK_S, rel=0.05)  # admission counts on people who speak


def test_every_second_picture_is_that_of_the_full_stream(avatar: Avatar, portrait: Any) -> None:
    full, sparse = avatar.open(portrait, seed=3), avatar.open(portrait, seed=3)
    sound = np.random.default_rng(1).normal(0, 0.1, 64 * 640).astype(np.float32)
    full.hear(sound)
    sparse.hear(sound)
    for _ in range(4):
        a, b = full.generate(full.condition("talk")), sparse.generate(sparse.condition("talk"))
        if a is None or b is None:
            continue
        for (frames, point), (held, other) in zip(full.decode_stepwise(a), sparse.decode_stepwise(b, 2), strict=True):
            assert held.shape == frames.shape
            np.testing.assert_array_equal(held[::2], held[1::2])
            assert np.abs(held[1::2].astype(int) - frames[1::2]).max() <= 1
            for mine, its in zip(point.decoding.memory, other.decoding.memory, strict=True):
                torch.testing.assert_close(mine, its)

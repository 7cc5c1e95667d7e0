from __future__ import annotations

import pytest

from bench.figures import Arrivals, Deadlines, deadlines, middle_and_worst, slope_per_hour, spread

TICK = 0.04


def on_time(count: int, start_s: float = 10.0) -> list[float]:
    return [start_s + i * TICK for i in range(count)]


def test_spread() -> None:
    found = spread([float(i) for i in range(101)])
    assert found == {"count": 101, "p50": 50, "p95": 95, "p99": 99, "worst": 100}


def test_spread_of_nothing_is_no_number() -> None:
    assert spread([]) == {"count": 0, "p50": None, "p95": None, "p99": None, "worst": None}


def test_middle_and_worst() -> None:
    assert middle_and_worst([3.0, 1.0, 2.0]) == {"count": 3, "median": 2.0, "worst": 3.0}


def test_slope() -> None:
    at_s = [float(i) for i in range(0, 3600, 60)]
    assert slope_per_hour(at_s, [500 + 7.5 * t / 3600 for t in at_s]) == 7.5
    assert slope_per_hour(at_s, [500.0] * len(at_s)) == 0


def test_two_minutes_are_the_least_for_a_slope() -> None:
    assert slope_per_hour([0.0, 60.0, 119.0], [1.0, 2.0, 3.0]) is None
    assert slope_per_hour([0.0, 60.0, 120.0], [1.0, 2.0, 3.0]) == pytest.approx(60.0)


def test_all_in_time() -> None:
    late = [at_s + 0.039 * (i % 2) for i, at_s in enumerate(on_time(50))]
    for released_s in (on_time(50), late):
        assert deadlines(released_s, [False] * 50) == Deadlines(50, 0, 0, 0, 0.0)


def test_a_held_tick_is_missed() -> None:
    found = deadlines(on_time(10), [i in (4, 5) for i in range(10)])
    assert (found.due, found.missed, found.held, found.freezes) == (10, 2, 2, 1)
    assert found.longest_freeze_s == pytest.approx(3 * TICK)  # the picture of tick 3 is seen until tick 6 comes
    assert found.met == pytest.approx(0.8)


def test_two_freezes_are_told_apart() -> None:
    assert deadlines(on_time(10), [i in (2, 7) for i in range(10)]).freezes == 2


def test_a_freeze_that_does_not_end_is_counted() -> None:
    found = deadlines(on_time(10), [i >= 8 for i in range(10)])
    assert (found.missed, found.freezes) == (2, 1)
    assert found.longest_freeze_s == pytest.approx(3 * TICK)


def test_ticks_released_too_late_are_missed_until_the_pacer_has_caught_up() -> None:
    released_s = on_time(10)
    stop_s = released_s[3] + 0.13
    released_s = [max(at_s, stop_s) if i >= 3 else at_s for i, at_s in enumerate(released_s)]
    found = deadlines(released_s, [False] * 10)  # ticks 3, 4, 5 are 130, 90 and 50 ms late, tick 6 only 10
    assert (found.due, found.missed, found.held, found.freezes) == (10, 3, 0, 1)
    assert found.longest_freeze_s == pytest.approx(0.17)


def test_after_a_long_stall_the_clock_starts_again_and_what_was_due_is_missed() -> None:
    released_s = on_time(5) + on_time(5, start_s=10.0 + 5 * TICK + 0.8)
    found = deadlines(released_s, [False] * 10)
    assert found.due == 10 + 19  # of 20 ticks in 0.8 s the last one is the tick that came late
    assert found.missed == 20
    assert found.longest_freeze_s == pytest.approx(0.84)


def test_nothing_released() -> None:
    assert deadlines([], []) == Deadlines(0, 0, 0, 0, 0.0)
    assert deadlines([], []).met == 0


def test_a_missing_flag_is_an_error() -> None:
    with pytest.raises(ValueError, match="argument"):
        deadlines(on_time(3), [False] * 2)


def test_gaps_between_chunks() -> None:
    seen = Arrivals()
    made = 0
    for chunk, at_s in enumerate((0.0, 0.5, 0.9)):
        for latent in range(3):  # a chunk arrives as three latent frames of four ticks
            made += 4
            seen.look(at_s + 0.01 * latent, made, epoch=0)
            seen.look(at_s + 0.01 * latent + 0.005, made, epoch=0)
        assert len(seen.gaps_s) == max(0, chunk - 1)
    # The first look finds four ticks that may be older; after it, chunks end at 0.5, 0.9.
    assert seen.gaps_s == [pytest.approx(0.4)]


def test_a_cut_ends_a_gap() -> None:
    seen = Arrivals()
    for made, epoch, at_s in ((0, 0, 0.0), (12, 0, 0.5), (20, 0, 0.9), (12, 1, 1.0), (24, 1, 5.0), (36, 1, 5.5)):
        seen.look(at_s, made, epoch)
    assert seen.gaps_s == [pytest.approx(0.5)]

import pytest

from flowact.evaluate.metrics.resources import resident_mb, score_resources


def test_a_constant_stream_and_a_growing_one():
    constant = score_resources([5.0] * 6 + [0.4] * 40, [900.0] * 46)
    assert (constant.chunk_s, constant.slowdown, constant.chunks) == (0.4, 1.0, 40)
    assert constant.growth_mb_per_minute == pytest.approx(0, abs=1e-6)
    growing = score_resources([0.4 + 0.01 * i for i in range(46)], [900.0 + i for i in range(46)])
    assert growing.slowdown > 1.3
    assert growing.growth_mb_per_minute == pytest.approx(125)
    assert growing.peak_mb == 945


def test_a_short_stream_says_nothing():
    assert score_resources([0.4] * 9, [900.0] * 9) is None


def test_this_process_holds_something():
    assert resident_mb() > 10

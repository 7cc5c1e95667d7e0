import numpy as np
import pytest

from flowact.evaluate.metrics.lips import MAX_LAG_FRAMES, correlate, lag_curve, score_lips


@pytest.fixture
def opening() -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(300)
    return np.convolve(noise, np.ones(3), "same").astype(np.float32)


def test_a_late_mouth_has_a_positive_lag(opening):
    late = np.roll(opening, 2)
    score = score_lips([late, late], [opening, opening])
    assert score.best_lag == 2
    assert score.at_best_lag > 0.98 > score.correlation
    assert score.within_one == 0.0


def test_an_early_mouth_has_a_negative_lag(opening):
    assert int(lag_curve(np.roll(opening, -3), opening).argmax()) - MAX_LAG_FRAMES == -3


def test_scale_and_offset_do_not_matter_but_sign_does(opening):
    assert score_lips([5 * opening + 3], [opening]).correlation == pytest.approx(1, abs=1e-5)
    assert score_lips([-opening], [opening]).correlation == pytest.approx(-1, abs=1e-5)


def test_spread_tells_lips_that_hardly_part(opening):
    assert score_lips([0.2 * opening, 0.4 * opening], [opening, opening]).spread == pytest.approx(0.3, abs=1e-5)


def test_silent_clips_are_left_out_and_frozen_mouths_count_as_zero(opening):
    still = np.zeros_like(opening)
    assert score_lips([opening], [still]) is None
    score = score_lips([opening, still], [opening, opening])
    assert (score.clips, score.correlation) == (2, pytest.approx(0.5, abs=1e-5))


def test_unseen_frames_are_left_out(opening):
    seen = opening.copy()
    seen[::4] = np.nan
    assert correlate(seen, opening) == pytest.approx(1, abs=1e-5)
    assert correlate(np.full_like(opening, np.nan), opening) == 0.0

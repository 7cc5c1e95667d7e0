import numpy as np
import pytest

from flowact.core.clock import SAMPLE_RATE_HZ
from flowact.studio.augment import degrade


def _bursts():
    """Noise bursts every half second: their onsets show any shift in time."""
    time = np.arange(3 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.2 * noise * (time % 0.5 < 0.15)).astype(np.float32)


@pytest.mark.parametrize("seed", range(12))
def test_time_is_kept(seed):
    clean = _bursts()
    heard = degrade(clean, np.random.default_rng(seed))
    assert heard.shape == clean.shape
    assert heard.dtype == np.float32
    assert np.abs(heard).max() <= 1.0
    lags = np.arange(-80, 81)
    match = [np.dot(np.roll(clean, lag)[400:-400], heard[400:-400]) for lag in lags]
    assert abs(int(lags[int(np.argmax(np.abs(match)))])) <= 8  # half a millisecond


def test_silence_stays_finite_and_mostly_gets_noise():
    silent = np.zeros(SAMPLE_RATE_HZ, np.float32)
    heard = [degrade(silent, np.random.default_rng(seed)) for seed in range(20)]
    assert all(np.isfinite(one).all() for one in heard)
    assert sum(float(np.abs(one).max()) > 0 for one in heard) >= 10

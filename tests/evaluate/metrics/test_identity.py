import numpy as np
import pytest

from flowact.core.errors import ConfigError
from flowact.evaluate.metrics.identity import equal_error, mean_direction, pair_similarities, score_identity

X, Y = np.asarray([1, 0], np.float32), np.asarray([0, 1], np.float32)


def test_a_person_who_becomes_another_is_not_kept():
    score = score_identity([(X, X), (X, Y), (Y, Y)], [X, X, X], 0.5)
    assert score.kept == pytest.approx(2 / 3)
    assert score.kept_portrait == pytest.approx(1 / 3)
    assert score.clips == 3


def test_equal_error_of_separate_and_of_equal_distributions():
    rate, threshold = equal_error(np.asarray([0.8, 0.9, 0.95]), np.asarray([-0.2, 0.0, 0.3, 0.4]))
    assert rate == 0
    assert 0.4 < threshold <= 0.8
    values = np.linspace(0, 1, 101)
    assert equal_error(values, values)[0] == pytest.approx(0.5, abs=0.02)


def test_pairs_are_sorted_by_person():
    same, different = pair_similarities(np.stack([X, Y, X]), np.stack([X, Y, X]), np.asarray([1, 2, 1]))
    assert same.tolist() == [1, 1, 1, 1, 1]
    assert different.tolist() == [0, 0, 0, 0]
    with pytest.raises(ConfigError, match="one person"):
        pair_similarities(np.stack([X]), np.stack([X]), np.asarray([1]))


def test_the_mean_of_directions_is_a_direction():
    assert np.linalg.norm(mean_direction(np.stack([X, Y]))) == pytest.approx(1)

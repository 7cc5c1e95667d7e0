import numpy as np
import pytest

from flowact.evaluate.judge_data import Score, index_shards, load_scores
from flowact.evaluate.judge_scores import Rig, make_stretches
from flowact.evaluate.judge_tracks import HAND_COLUMNS, HANDS_SEEN
from flowact.evaluate.probes import ACTIONS, TRACK_WIDTH
from flowact.studio.dataset import find_shards
from flowact.studio.performance import FACE_UNITS, VISEMES
from flowact.studio.score import make_performance

_DRIVERS = len(VISEMES) + len(FACE_UNITS)


@pytest.fixture
def rig() -> Rig:
    """A jaw that opens the mouth by a third, and lids that close the eyes."""
    weights = np.zeros((_DRIVERS + 1, 3), np.float32)
    weights[len(VISEMES) + FACE_UNITS.index("jawOpen"), 0] = 1 / 3
    for eye, name in enumerate(("eyeBlinkLeft", "eyeBlinkRight")):
        weights[len(VISEMES) + FACE_UNITS.index(name), 1 + eye] = -1
    weights[-1] = 0, 1, 1
    return Rig(weights)


def test_a_rig_is_learnt_from_renders(rig):
    rng = np.random.default_rng(0)
    drivers = rng.uniform(0, 1, (4000, _DRIVERS)).astype(np.float32)
    openings = np.concatenate([drivers, np.ones((4000, 1), np.float32)], 1) @ rig.weights
    fitted = Rig.fit([Score(np.zeros((4000, TRACK_WIDTH), np.float32), drivers, openings, [])])
    np.testing.assert_allclose(fitted.weights, rig.weights, atol=0.05)


def test_the_scores_of_a_dataset_are_enough_to_fit(dataset):
    weights = Rig.fit(load_scores(index_shards(find_shards(dataset, "train")))).weights
    assert weights.shape == (_DRIVERS + 1, 3)
    assert np.isfinite(weights).all()


def test_whole_clips_and_every_silent_action_are_composed_in_turn(rig):
    made = make_stretches(28, rig, seed=4)
    again = make_stretches(28, rig, seed=4)
    assert [s.action for s in made] == [s.action for s in again]
    np.testing.assert_array_equal(made[5].tracks, again[5].tracks)
    assert {s.action for s in made} == set(ACTIONS)
    assert all(s.tracks.shape[1] == TRACK_WIDTH for s in made)
    talking = np.concatenate([s.tracks[:, -1] for s in made if s.action == "talk"])
    assert talking.std() > 0.02


def test_a_wave_shows_a_hand_and_a_nod_does_not(rig):
    wave, nod = (rig.play(make_performance(3, 80, state="gesture", gesture=name)) for name in ("wave", "nod"))
    assert wave[:, HANDS_SEEN].max() == 1
    assert nod[:, HANDS_SEEN].max() == 0
    for side, columns in enumerate(HAND_COLUMNS):
        assert (wave[wave[:, HANDS_SEEN.start + side] == 0][:, columns] == 0).all()

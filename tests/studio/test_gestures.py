import numpy as np
import pytest

from flowact.studio.gestures import Cue, perform
from flowact.studio.performance import GESTURES
from flowact.studio.tracks import Tracks

HAND_GESTURES = [name for name in GESTURES if name not in ("none", "nod", "shake")]


def _made(name, side=1.0, seed=3):
    tracks = Tracks(120)
    cue = Cue(0.2, 4.4, 4.8, side, 1.0, 1.0, ((1.5, 0.8), (2.2, 1.0), (2.9, 0.7)))
    perform(name, tracks, np.random.default_rng(seed), cue)
    return tracks


@pytest.mark.parametrize("name", HAND_GESTURES)
@pytest.mark.parametrize("seed", range(4))
def test_hands_come_into_a_head_and_shoulders_frame(name, seed):
    tracks = _made(name, seed=seed)
    up = tracks.hand_active[:, 0] > 0.99
    assert up.mean() > 0.2
    wrist, knuckle = tracks.wrist[up, 0], tracks.wrist[up, 0] + 0.29 * tracks.fingers[up, 0]
    assert np.all(knuckle[:, 1] > -0.16)
    assert max(wrist[:, 1].max(), knuckle[:, 1].max()) > 0.0
    assert np.abs(wrist[:, 0]).max() < 0.55
    assert wrist[:, 2].min() > 0.2


@pytest.mark.parametrize("name", HAND_GESTURES)
def test_motion_is_smooth_and_vectors_are_units(name):
    tracks = _made(name)
    moving = (tracks.hand_active[1:, 0] > 0.02) & (tracks.hand_active[:-1, 0] > 0.02)
    step = np.linalg.norm(np.diff(tracks.wrist[:, 0], axis=0), axis=1)[moving]
    assert step.max() * 25 < 3.0
    assert np.abs(np.diff(tracks.hand_active[:, 0])).max() < 0.15
    assert np.linalg.norm(np.diff(tracks.fingers[:, 0], axis=0), axis=1)[moving].max() < 0.6
    for vectors in (tracks.fingers[:, 0], tracks.palm[:, 0]):
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0)
    assert np.abs(np.sum(tracks.fingers[:, 0] * tracks.palm[:, 0], axis=1)).max() < 1e-6


@pytest.mark.parametrize("name", ["wave", "point", "thumbs_up", "hand_to_chin"])
def test_the_right_hand_mirrors_the_left(name):
    left, right = _made(name), _made(name, side=-1.0)
    mirror = np.array([-1.0, 1.0, 1.0])
    assert np.allclose(left.wrist[:, 0], right.wrist[:, 1] * mirror)
    assert np.allclose(left.fingers[:, 0], right.fingers[:, 1] * mirror)
    assert right.hand_active[:, 0].max() == 0.0
    assert "right" in right.events[-1].text


def test_head_gestures_swing_the_right_way():
    nod, shake = _made("nod"), _made("shake")
    assert np.ptp(nod.head[:, 1]) > 3 * np.ptp(nod.head[:, 0])
    assert nod.head[:, 1].min() < -7.0
    assert np.ptp(shake.head[:, 0]) > 15.0
    assert np.abs(np.diff(shake.head[:, 0])).max() < 6.0

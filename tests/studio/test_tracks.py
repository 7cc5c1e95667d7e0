import numpy as np

from flowact.studio.performance import FACE_UNITS
from flowact.studio.tracks import Tracks, drift, ease, keyed, pulse, window


def test_ease_has_no_kinks():
    x = np.linspace(-0.5, 1.5, 2001)
    speed = np.gradient(ease(x), x)
    assert ease(0.0) == 0.0
    assert ease(1.0) == 1.0
    assert speed.max() < 1.9
    assert np.abs(np.gradient(speed, x)).max() < 6.0


def test_pulse_and_window_cover_what_they_say():
    time = np.linspace(0, 4, 401)
    assert pulse(time, 1.0, 0.5, 1.0, 0.5)[[50, 160, 240, 350]].round(6).tolist() == [0, 1, 1, 0]
    assert window(time, 0.0, 2.0, 4.0)[0] == 1.0
    joined = window(time, 0.0, 2.0, 4.0) + window(time, 2.0, 4.0, 4.0)
    assert np.allclose(joined, 1.0)


def test_keyed_ends_at_its_last_value():
    time = np.linspace(0, 3, 76)
    curve = keyed(time, [-1.0, 0.5, 1.0], [1.0, 4.0, -2.0], 0.8)
    assert curve[0] == 1.0
    assert np.isclose(curve[-1], -2.0)


def test_drift_is_smooth_and_of_unit_size():
    curves = np.array([drift(np.random.default_rng(seed), 120) for seed in range(40)])
    assert 0.7 < curves.std() < 1.3
    assert np.abs(np.diff(curves)).max() < 0.5


def test_unit_sets_pairs_and_gaze_keeps_the_aim():
    tracks = Tracks(5)
    tracks.unit("mouthSmile", 0.5)
    assert tracks.face[:, FACE_UNITS.index("mouthSmileLeft")].tolist() == [0.5] * 5
    assert tracks.face[:, FACE_UNITS.index("mouthSmileRight")].tolist() == [0.5] * 5
    tracks.head[:, 0] = 6.0
    assert np.allclose(tracks.gaze()[:, 0], -6.0, atol=0.2)

import numpy as np

from flowact.studio.performance import LANDMARKS
from flowact.train.data.encode import cell_weights


def test_mouth_hands_and_eyes_weigh_most_and_a_hand_out_of_sight_does_not() -> None:
    frames = 8
    landmarks = np.full((frames, len(LANDMARKS), 2), np.nan, np.float32)
    landmarks[:, LANDMARKS.index("wrist_left")] = (200, 200)
    landmarks[:, LANDMARKS.index("wrist_right")] = (40, 200)
    visible = np.zeros((frames, 2), np.float32)
    visible[4:, 0] = 1
    tracks = {
        "mouth_box": np.tile(np.float32([112, 144, 144, 160]), (frames, 1)),
        "face_box": np.tile(np.float32([80, 64, 176, 176]), (frames, 1)),
        "landmarks": landmarks,
        "hand_visible": visible,
    }
    weight = cell_weights(tracks, 256)
    assert weight.shape == (2, 16, 16)
    np.testing.assert_allclose(weight.mean((1, 2)), 1, rtol=1e-5)
    plain = weight[:, 0, 0]
    np.testing.assert_allclose(weight[:, 9, 7] / plain, 12, rtol=1e-5)
    np.testing.assert_allclose(weight[:, 5, 7] / plain, 4, rtol=1e-5)
    np.testing.assert_allclose(weight[:, 12, 12] / plain, (1, 5), rtol=1e-5)
    np.testing.assert_allclose(weight[:, 12, 2] / plain, 1, rtol=1e-5)

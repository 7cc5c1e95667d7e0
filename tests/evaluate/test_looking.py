import numpy as np

from flowact.evaluate.looking import (
    FACE_PX,
    HAND_PX,
    MARGIN,
    MOUTH_PX,
    WHOLE_PX,
    find_hand,
    see_face,
    see_hand,
    see_mouth,
    see_whole,
)


def _marked(x: int, y: int) -> np.ndarray:
    frame = np.zeros((1, 256, 256, 3), np.uint8)
    frame[0, y - 6 : y + 6, x - 6 : x + 6] = 255
    return frame


def _brightest(picture: np.ndarray) -> np.ndarray:
    weight = picture[..., 0].astype(float)
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.asarray([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def test_the_mouth_is_in_the_middle_of_its_crop():
    frames, mouth = _marked(140, 150), np.asarray([[140, 150]], np.float32) / 256
    face = np.asarray([[90, 80, 170, 170]], np.float32) / 256
    for margin in (1.0, MARGIN):
        crop = see_mouth(frames, mouth, face, margin)
        assert crop.shape == (1, round(MOUTH_PX * margin), round(MOUTH_PX * margin), 3)
        assert np.abs(_brightest(crop[0]) - crop.shape[1] / 2).max() < 1.5


def test_a_face_at_the_edge_of_the_picture_is_still_centred():
    face = np.asarray([[-20, -20, 60, 60]], np.float32) / 256
    crop = see_face(_marked(20, 20), face)
    assert crop.shape == (1, FACE_PX, FACE_PX, 3)
    assert np.abs(_brightest(crop[0]) - FACE_PX / 2).max() < 1.5


def test_a_hand_lies_along_the_fingers_of_its_wrist():
    face = np.asarray([[0.4, 0.2, 0.7, 0.6]], np.float32)
    centre = find_hand(np.asarray([[0.3, 0.8]], np.float32), np.asarray([[0.0, 1.0, 0.0]], np.float32), face)
    assert centre[0, 0] == np.float32(0.3)
    assert 0.5 < centre[0, 1] < 0.75
    x, y = (round(float(v) * 256) for v in centre[0])
    crop = see_hand(_marked(x, y), centre, face)
    assert crop.shape == (1, HAND_PX, HAND_PX, 3)
    assert np.abs(_brightest(crop[0]) - HAND_PX / 2).max() < 1.5
    assert see_hand(_marked(x, y)[:0], centre[:0], face[:0]).shape == (0, HAND_PX, HAND_PX, 3)


def test_nonsense_from_the_locator_gives_a_crop_all_the_same():
    face = np.asarray([[9, 9, -9, -9]], np.float32)
    assert see_face(_marked(20, 20), face).shape == (1, FACE_PX, FACE_PX, 3)
    assert see_mouth(_marked(20, 20), face[:, :2], face).shape == (1, MOUTH_PX, MOUTH_PX, 3)


def test_the_whole_picture_is_made_small():
    assert see_whole(_marked(9, 9)).shape == (1, WHOLE_PX, WHOLE_PX, 3)

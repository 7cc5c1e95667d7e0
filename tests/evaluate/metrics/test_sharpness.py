import cv2
import numpy as np

from flowact.evaluate.metrics.sharpness import face_detail

FACE = np.tile(np.asarray([0.25, 0.25, 0.75, 0.75], np.float32), (3, 1))


def _faces() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3)).astype(np.uint8)
    return np.stack([cv2.GaussianBlur(frame, (0, 0), 1.0) for frame in noise])


def test_a_blurred_face_has_less_detail_and_what_lies_beside_it_does_not_count():
    sharp = _faces()
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 2.0) for frame in sharp])
    assert face_detail(sharp, FACE).shape == (3,)
    assert (face_detail(blurred, FACE) < 0.5 * face_detail(sharp, FACE)).all()
    beside = sharp.copy()
    beside[:, :14] = 0
    assert np.allclose(face_detail(beside, FACE), face_detail(sharp, FACE))


def test_a_box_that_is_no_face_does_no_harm():
    nonsense = np.asarray([[1.2, 1.2, 0.1, 0.1], [-3, -3, -2, -2], [0.5, 0.5, 0.5, 0.5]], np.float32)
    assert np.isfinite(face_detail(_faces(), nonsense)).all()

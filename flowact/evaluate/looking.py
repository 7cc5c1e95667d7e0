"""How the judges look at pictures: the whole frame small, and square crops around mouth, face and hands."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Float = NDArray[np.float32]

WHOLE_PX, MOUTH_PX, FACE_PX, HAND_PX = 96, 48, 64, 64
MARGIN = 1.25
"""Crops for training are wider by this, so that a jittered crop can be taken out of them."""
_MOUTH_SHARE = 0.5  # side of the mouth crop in face heights: brow to chin
_FACE_SHARE = 1.35
_HAND_SHARE = 1.4
_HAND_CENTRE = 0.4  # of a face height from the wrist, along the fingers


def see_whole(frames: Frames) -> Frames:
    """[F, H, W, 3] made small: [F, WHOLE_PX, WHOLE_PX, 3]."""
    return np.stack([cv2.resize(f, (WHOLE_PX, WHOLE_PX), interpolation=cv2.INTER_AREA) for f in frames]).astype(
        np.uint8
    )


def see_mouth(frames: Frames, mouth: Float, face: Float, margin: float = 1.0) -> Frames:
    """Crops around the mouth, sized by the face so that an open mouth is not zoomed away.

    Args:
        frames: [F, H, W, 3].
        mouth: [F, 2] its centre, in shares of the picture's side.
        face: [F, 4] x0, y0, x1, y1, likewise.
        margin: 1 for use, MARGIN for training.
    """
    return _crop(frames, mouth, (face[:, 3] - face[:, 1]) * _MOUTH_SHARE * margin, round(MOUTH_PX * margin))


def see_face(frames: Frames, face: Float, margin: float = 1.0) -> Frames:
    """Crops around the face [F, 4]; see `see_mouth`."""
    centre = (np.stack([face[:, 0] + face[:, 2], face[:, 1] + face[:, 3]], 1) / 2).astype(np.float32)
    return _crop(frames, centre, (face[:, 3] - face[:, 1]) * _FACE_SHARE * margin, round(FACE_PX * margin))


def see_hand(frames: Frames, hand: Float, face: Float, margin: float = 1.0) -> Frames:
    """Crops around a hand's centre [F, 2]; see `see_mouth`."""
    return _crop(frames, hand, (face[:, 3] - face[:, 1]) * _HAND_SHARE * margin, round(HAND_PX * margin))


def find_hand(wrist: Float, fingers: Float, face: Float) -> Float:
    """The centre [F, 2] of a hand, in shares of the picture's side.

    Args:
        wrist: [F, 2] in shares of the picture's side.
        fingers: [F, 3] its direction from wrist to knuckles, as in `Performance`: y is up, a picture's is down.
        face: [F, 4] as in `see_mouth`.
    """
    along = fingers[:, :2] * np.asarray([1, -1], np.float32)
    return np.asarray(wrist + _HAND_CENTRE * (face[:, 3:] - face[:, 1:2]) * along, np.float32)


def _crop(frames: Frames, centre: Float, side: Float, out_px: int) -> Frames:
    size = frames.shape[1]
    low = np.round((centre - side[:, None] / 2) * size).astype(int)
    sides = np.clip(np.round(side * size), 8, size).astype(int)
    crops = []
    for frame, (x, y), s in zip(frames, np.clip(low, -size, 2 * size), sides):
        rows, columns = np.clip(np.arange(y, y + s), 0, size - 1), np.clip(np.arange(x, x + s), 0, size - 1)
        crops.append(cv2.resize(frame[rows[:, None], columns], (out_px, out_px), interpolation=cv2.INTER_AREA))
    return np.asarray(crops, np.uint8).reshape(-1, out_px, out_px, 3)

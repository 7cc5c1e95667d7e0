"""Is a face as sharp as it should be: a blurred one may well move, speak and score."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


def face_detail(frames: NDArray[np.uint8], face: Float) -> Float:
    """Mean absolute Laplacian of the grey picture inside the face, in grey levels: [F].

    Args:
        frames: [F, H, W, 3] RGB.
        face: [F, 4] x0, y0, x1, y1 in shares of the picture's side.
    """
    side = frames.shape[1]
    boxes = np.clip(np.round(face * side), 0, side).astype(int)
    found = []
    for frame, (x0, y0, x1, y1) in zip(frames, boxes):
        # At least a few pixels, whatever a locator says of a picture without a face.
        part = frame[min(y0, side - 8) : max(y1, y0 + 8), min(x0, side - 8) : max(x1, x0 + 8)]
        grey = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY)
        found.append(float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean()))
    return np.asarray(found, np.float32)

"""How near decoded pictures come to the true ones, over the whole picture and in the mouth box."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


def psnr(made: NDArray[np.uint8], true: NDArray[np.uint8]) -> Float:
    """Peak signal-to-noise ratio of each frame in dB, [F], for pictures [F, H, W, 3]; 60 at most."""
    return _decibel(_square(made, true).mean((1, 2)))


def psnr_in_box(made: NDArray[np.uint8], true: NDArray[np.uint8], boxes: Float) -> Float:
    """The same inside a box [F, 4] (x0, y0, x1, y1 in pixels) of each frame; NaN where the box holds no pixel."""
    square = _square(made, true)
    errors = np.full(len(square), np.nan, np.float32)
    size = np.asarray([square.shape[2], square.shape[1]] * 2)
    for i, box in enumerate(np.clip(np.nan_to_num(boxes), 0, size).round().astype(int)):
        x0, y0, x1, y1 = box
        if x1 > x0 and y1 > y0:
            errors[i] = square[i, y0:y1, x0:x1].mean()
    return _decibel(errors)


def _square(made: NDArray[np.uint8], true: NDArray[np.uint8]) -> Float:
    difference = made.astype(np.float32) - true.astype(np.float32)
    return np.asarray((difference**2).mean(-1), np.float32)


def _decibel(mse: Float) -> Float:
    return np.asarray(10 * np.log10(255.0**2 / np.maximum(mse, 255.0**2 * 1e-6)), np.float32)

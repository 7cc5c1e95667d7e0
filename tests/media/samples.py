"""Pictures and sounds for the tests of the doors, made in code."""

from __future__ import annotations

import wave
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def draw_face(width: int, height: int, centre_x: float, face_y: float, scale: float) -> NDArray[np.uint8]:
    """A simple person, RGB [height, width, 3]: face 0.84 `scale` wide, nose near (centre_x, face_y), in pixels."""
    over = 2
    image = np.full((height * over, width * over, 3), (150, 160, 170), np.uint8)
    unit = scale * over

    def ellipse(x: float, y: float, wide: float, high: float, colour: tuple[int, int, int]) -> None:
        middle = (round(centre_x * over + x * unit), round(face_y * over + y * unit))
        cv2.ellipse(image, middle, (round(wide * unit), round(high * unit)), 0, 0, 360, colour, -1)

    ellipse(0, 1.25, 0.95, 0.65, (70, 60, 120))
    ellipse(0, 0.6, 0.2, 0.3, (190, 150, 125))
    ellipse(0, -0.08, 0.5, 0.66, (60, 45, 35))
    ellipse(0, 0.05, 0.42, 0.56, (225, 185, 160))
    for side in (-0.18, 0.18):
        ellipse(side, -0.03, 0.13, 0.08, (170, 130, 110))
        ellipse(side, -0.14, 0.12, 0.035, (70, 50, 40))
        ellipse(side, -0.02, 0.085, 0.045, (235, 235, 235))
        ellipse(side, -0.02, 0.043, 0.043, (40, 30, 25))
    ellipse(0, 0.1, 0.045, 0.15, (240, 205, 180))
    ellipse(0, 0.22, 0.09, 0.03, (150, 105, 90))
    ellipse(0, 0.37, 0.16, 0.05, (150, 70, 70))
    soft = cv2.GaussianBlur(image, (0, 0), 0.012 * unit)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def tone(seconds: float, rate_hz: int, loudness: float = 0.5, hz: float = 220.0) -> NDArray[np.float32]:
    """A sine, float32 [S]."""
    return (loudness * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def write_wav(path: Path, samples: NDArray[np.float32], rate_hz: int = 16_000) -> Path:
    """16-bit wav of samples [S] or [S, channels]."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
    return path

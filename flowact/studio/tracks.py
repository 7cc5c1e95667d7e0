"""The writable score of a clip while it is being composed, and the smooth curves that everything is drawn with."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

from flowact.core.clock import FPS
from flowact.studio.performance import FACE_UNITS, Float

Curve = NDArray[np.float64]


def ease(x: ArrayLike) -> Curve:
    """Minimum-jerk step: 0 below 0, 1 above 1, with zero speed and acceleration at both ends."""
    step: Curve = np.clip(np.asarray(x, dtype=np.float64), 0.0, 1.0)
    return step * step * step * (10.0 - 15.0 * step + 6.0 * step * step)


def pulse(time: Curve, start_s: float, rise_s: float, hold_s: float, fall_s: float) -> Curve:
    """Minimum-jerk rise, hold and fall, peak 1."""
    fall_start = start_s + rise_s + hold_s
    return ease((time - start_s) / rise_s) * (1.0 - ease((time - fall_start) / fall_s))


def window(time: Curve, start_s: float, end_s: float, length_s: float, blend_s: float = 0.4) -> Curve:
    """1 inside [start, end], 0 outside, eased over `blend_s`; the clip's own ends [0, length] are not eased."""
    inside = np.ones_like(time)
    if start_s > 0.0:
        inside = inside * ease((time - start_s) / blend_s + 0.5)
    if end_s < length_s:
        inside = inside * (1.0 - ease((time - end_s) / blend_s + 0.5))
    return inside


def drift(rng: np.random.Generator, frames: int, scale_s: float = 0.4) -> Curve:
    """Pink-like wandering with unit deviation: four octaves of smooth noise, the slowest strongest."""
    pad = 8 * FPS
    total = np.zeros(frames)
    for octave in range(4):
        sigma = scale_s * FPS * 2**octave / 2
        noise = gaussian_filter1d(rng.standard_normal(frames + 2 * pad), sigma)[pad : pad + frames]
        total += noise * np.sqrt(2 * np.sqrt(np.pi) * sigma) * np.sqrt(2.0) ** octave
    return total / np.sqrt(15.0)


def keyed(time: Curve, times: list[float], values: list[float], move_s: float) -> Curve:
    """Hold `values[i]` from `times[i]` on, each change a minimum-jerk move of `move_s` that starts at its time."""
    curve = np.full_like(time, values[0])
    for at, before, after in zip(times[1:], values[:-1], values[1:]):
        curve += (after - before) * ease((time - at) / move_s)
    return curve


@dataclass(frozen=True)
class Event:
    """Something worth telling: `text` is a clause in the present tense with its subject ("the brows lift")."""

    time_s: float
    text: str


@dataclass
class Tracks:
    """All tracks of one clip, all at rest; fields as in `Performance`. Composers add to them."""

    frames: int
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        f = self.frames
        self.time: Curve = (np.arange(f) + 0.5) / FPS
        self.face = np.zeros((f, len(FACE_UNITS)))
        self.head, self.torso, self.sway = np.zeros((f, 3)), np.zeros((f, 3)), np.zeros((f, 3))
        self.shoulders, self.breath = np.zeros((f, 2)), np.zeros(f)
        self.look = np.zeros((f, 2))
        """Where the eyes aim, yaw and pitch relative to the camera; becomes `gaze` once the head is known."""
        self.camera_lock = np.ones(f)
        """1 = the eyes undo the head's turns (they look at something); 0 = they go along with the head."""
        self.hand_active = np.zeros((f, 2))
        self.wrist = np.tile(np.array([[[0.45, -0.6, 0.3], [-0.45, -0.6, 0.3]]]), (f, 1, 1))
        self.palm = np.tile(np.array([[[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]]), (f, 1, 1))
        self.fingers = np.tile(np.array([[[0.0, -1.0, 0.0], [0.0, -1.0, 0.0]]]), (f, 1, 1))
        self.curl = np.tile(np.array([0.2, 0.2, 0.25, 0.3, 0.3]), (f, 2, 1))

    @property
    def length_s(self) -> float:
        """Length of the clip in seconds."""
        return self.frames / FPS

    def unit(self, name: str, curve: Curve | float) -> None:
        """Add to a face unit; a name without Left or Right that exists only in pairs sets both."""
        names = [name] if name in FACE_UNITS else [name + "Left", name + "Right"]
        for one in names:
            self.face[:, FACE_UNITS.index(one)] += curve

    def tell(self, time_s: float, text: str) -> None:
        """Note an event for the captions; what began before the clip is told at its start."""
        self.events.append(Event(max(0.0, float(time_s)), text))

    def gaze(self) -> Float:
        """Eye angles relative to the head, [frames, 2]: what is left of the aim after head and chest have turned."""
        turned = self.head[:, :2] + self.torso[:, :2]
        eyes = self.look - turned * self.camera_lock[:, None]
        return (np.tanh(eyes / np.array([32.0, 24.0])) * np.array([32.0, 24.0])).astype(np.float32)

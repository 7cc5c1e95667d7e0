"""What a living body always does, whatever its state: breath, balance, blinks, glances, smiles."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from flowact.studio.performance import FACE_UNITS
from flowact.studio.tracks import Curve, Tracks, drift, ease, keyed, pulse

_LOOSE_UNITS = (
    "browDown", "browInnerUp", "browOuterUp", "cheekSquint", "eyeBlink", "eyeSquint", "eyeWide", "mouthDimple",
    "mouthFrown", "mouthPress", "mouthPucker", "mouthShrugLower", "mouthSmile", "noseSneer",
)  # fmt: skip
_LOOSE = tuple(name for name in FACE_UNITS if name.startswith(_LOOSE_UNITS))
_LOOSE_EVERY_S, _LOOSE_SHARE = 0.32, 0.16
"""How often other units are drawn, and the share of them that act at a time."""
MAX_YAW, MAX_PITCH, MAX_ROLL = 25.0, 18.0, 14.0


def alive(tracks: Tracks, rng: np.random.Generator, temper: float) -> None:
    """What never stops: breathing, balance, and the small wandering of a held head. `temper` 0.6..1.4 scales it."""
    rate_hz = rng.uniform(0.2, 0.33)
    phase = 2 * np.pi * (rate_hz * tracks.time + rng.random()) + 0.3 * drift(rng, tracks.frames, 1.0)
    tracks.breath += 0.5 + 0.5 * np.sin(phase + 0.4 * np.sin(phase))
    tracks.shoulders += 0.04 * tracks.breath[:, None]
    for axis, degrees in enumerate((1.3, 0.9, 0.9)):
        tracks.head[:, axis] += temper * degrees * drift(rng, tracks.frames)
        tracks.torso[:, axis] += temper * 0.5 * degrees * drift(rng, tracks.frames, 0.8)
    for axis, amount in enumerate((0.012, 0.004, 0.01)):
        tracks.sway[:, axis] += temper * amount * drift(rng, tracks.frames, 1.0)
    tracks.head += rng.normal(0.0, (2.5, 1.5, 1.5))
    if rng.random() < 0.25:
        _shift_posture(tracks, rng)


def _shift_posture(tracks: Tracks, rng: np.random.Generator) -> None:
    at = rng.uniform(0.3, max(0.4, tracks.length_s - 1.0))
    move = ease((tracks.time - at) / rng.uniform(0.9, 1.5))
    side = rng.choice((-1.0, 1.0))
    tracks.sway[:, 0] += side * rng.uniform(0.03, 0.07) * move
    tracks.torso[:, 2] += side * rng.uniform(1.0, 2.5) * move
    tracks.head[:, 2] -= side * rng.uniform(0.5, 2.0) * move
    tracks.tell(at, "the body shifts its weight")


def blink(tracks: Tracks, rng: np.random.Generator, avoid: list[float]) -> None:
    """Blinks at 12 to 20 a minute: quick to close, slower to open, never within 0.5 s of each other.

    Args:
        tracks: where to add the blinks.
        rng: source of chance.
        avoid: times in seconds when the eyes are wide (surprise); no blink begins near them.
    """
    per_s = rng.uniform(12.0, 20.0) / 60.0
    at = float(rng.exponential(1.0 / per_s)) - 0.5
    while at < tracks.length_s:
        if all(not -0.2 < at - other < 0.6 for other in avoid):
            close, hold, open_ = rng.uniform(0.06, 0.08), rng.uniform(0.02, 0.05), rng.uniform(0.13, 0.2)
            lid = pulse(tracks.time, at, close, hold, open_) * rng.uniform(0.92, 1.0)
            for side in ("eyeBlinkLeft", "eyeBlinkRight"):
                tracks.unit(side, lid)
        at += 0.5 + float(rng.exponential(max(0.2, 1.0 / per_s - 0.5)))


def glance(tracks: Tracks, rng: np.random.Generator, weight: Curve, spread: float, every_s: float) -> None:
    """Fixations around the camera: a saccade of one to two frames every `every_s`, `spread` degrees wide."""
    times, yaw, pitch = [-1.0], [float(rng.normal(0, spread))], [float(rng.normal(0, 0.6 * spread))]
    at = float(rng.exponential(every_s))
    while at < tracks.length_s:
        times.append(at)
        yaw.append(float(rng.normal(0, spread)))
        pitch.append(float(rng.normal(0, 0.6 * spread)))
        at += 0.25 + float(rng.exponential(every_s))
    tracks.look[:, 0] += weight * keyed(tracks.time, times, yaw, 0.07)
    tracks.look[:, 1] += weight * keyed(tracks.time, times, pitch, 0.07)


def look_away(tracks: Tracks, rng: np.random.Generator, start_s: float, end_s: float, yaw: float, pitch: float) -> None:
    """Look aside from `start_s` to `end_s` by degrees; the head follows the eyes by a third, a little later."""
    away = pulse(tracks.time, start_s, 0.09, max(0.1, end_s - start_s - 0.18), 0.09)
    late = pulse(tracks.time, start_s + 0.08, 0.45, max(0.05, end_s - start_s - 0.5), 0.5)
    tracks.look[:, 0] += yaw * away
    tracks.look[:, 1] += pitch * away
    share = rng.uniform(0.25, 0.5)
    tracks.head[:, 0] += share * yaw * late
    tracks.head[:, 1] += share * pitch * late


def smile(tracks: Tracks, curve: Curve, amount: float) -> None:
    """Add a smile: lip corners, and the cheeks and lower lids that make it real."""
    tracks.unit("mouthSmile", amount * curve)
    tracks.unit("cheekSquint", 0.6 * amount * curve)
    tracks.unit("eyeSquint", 0.3 * amount * curve)
    tracks.unit("mouthDimple", 0.2 * amount * curve)


def let_face_loose(tracks: Tracks, rng: np.random.Generator) -> None:
    """A face that means nothing: every third of a second other units and another look, in any company.

    Where lids close only over a smile and brows rise only in a question, nothing tells what belongs to which.
    """
    tracks.face[:, [FACE_UNITS.index(name) for name in _LOOSE]] = 0
    times = np.arange(-1.0, tracks.length_s, _LOOSE_EVERY_S).tolist()
    values = np.zeros(len(times))
    for name in _LOOSE:
        is_twin = name.endswith("Right") and rng.random() < 0.5
        if not is_twin:
            values = np.where(rng.random(len(times)) < _LOOSE_SHARE, rng.uniform(0.15, 1.0, len(times)), 0.0)
        tracks.unit(name, keyed(tracks.time, times, values.tolist(), 0.16))
    glance(tracks, rng, np.ones(tracks.frames), spread=11.0, every_s=0.4)


def settle(tracks: Tracks) -> None:
    """Round off what the sum of composers made: no kinks, no angle beyond what a neck does."""
    for track, sigma in ((tracks.head, 1.0), (tracks.torso, 2.0), (tracks.sway, 2.0), (tracks.shoulders, 0.8)):
        track[:] = gaussian_filter1d(track, sigma, axis=0, mode="nearest")
    limits = np.array([MAX_YAW, MAX_PITCH, MAX_ROLL])
    tracks.head[:] = limits * np.tanh(tracks.head / limits)
    tracks.face[:] = np.clip(tracks.face, 0.0, 1.0)
    tracks.shoulders[:] = np.clip(tracks.shoulders, 0.0, 1.0)
    tracks.curl[:] = np.clip(tracks.curl, 0.0, 1.0)
    tracks.breath[:] = np.clip(tracks.breath, 0.0, 1.0)

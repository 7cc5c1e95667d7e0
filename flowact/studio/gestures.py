"""Ten gestures, each with anticipation, an eased rise, a core that varies every time, and a relaxed return.

Hand poses are written for the LEFT hand (x positive) and mirrored for the right one. Every hand gesture peaks beside
or below the face, inside a head-and-shoulders frame, and only `hand_to_chin` comes near the mouth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from flowact.studio.motion import smile
from flowact.studio.tracks import Curve, Tracks, ease, pulse

_LAG_FRAMES = 2  # the fingers trail the wrist, as loose joints do


@dataclass(frozen=True)
class Cue:
    """When and how to make a gesture.

    Attributes:
        start_s: earliest time of the first movement.
        end_s: latest time of the last one.
        length_s: length of the clip.
        side: +1 left hand, -1 right hand.
        size: amplitude, about 0.75..1.25.
        pace: tempo, about 0.8..1.25; more is faster.
        beats: (time, strength) of the stressed vowels inside, empty in silence.
    """

    start_s: float
    end_s: float
    length_s: float
    side: float
    size: float
    pace: float
    beats: tuple[tuple[float, float], ...] = ()

    @property
    def hand(self) -> str:
        """The hand in words."""
        return "left hand" if self.side > 0 else "right hand"


def perform(name: str, tracks: Tracks, rng: np.random.Generator, cue: Cue) -> None:
    """Add the gesture `name` (one of GESTURES but "none") to `tracks` and tell its event."""
    _GESTURES[name](tracks, rng, cue)


def _envelope(
    tracks: Tracks, rng: np.random.Generator, cue: Cue, core_s: tuple[float, float], rise_s: float, fall_s: float
) -> tuple[Curve, float, float]:
    """Return the rise-hold-fall curve [F] and the times between which the core lies.

    In a long segment the core grows (to 1.5 of its usual longest), so that a clip of a gesture shows it most of the
    time. A gesture at a clip's edge may have begun before it or go on after it, as in a stream that is cut anywhere.
    """
    rise, fall = rise_s / cue.pace, fall_s / cue.pace
    margin = 0.12 if cue.end_s < cue.length_s else 0.0  # the hand is down before the next segment wants it
    room = max(0.25, cue.end_s - cue.start_s - rise - fall - margin)
    core = min(room, max(float(rng.uniform(*core_s)), min(0.6 * room, 1.5 * core_s[1])))
    start = cue.start_s + float(rng.uniform(0.0, min(room - core, 0.3) + 1e-6))
    if cue.start_s <= 0.0 and rng.random() < 0.15:
        start, core = -rise - 0.1, core + rise
    elif cue.end_s >= cue.length_s and rng.random() < 0.3:
        core += fall + 0.6
    return pulse(tracks.time, start, rise, core, fall), start + rise, start + rise + core


def _pose_hand(
    tracks: Tracks, side: float, active: Curve, wrist: Curve, palm: Curve, fingers: Curve, curl: tuple[float, ...]
) -> None:
    """Put one hand to `wrist` [F, 3] or [3] while `active` [F] is up; the path bows forward and outward."""
    hand = 0 if side > 0 else 1
    mirror = np.array([side, 1.0, 1.0])
    weight = active[:, None]
    bow = (1.0 - weight) * np.array([0.12, -0.12, 0.12])
    late = _delay(active)[:, None]
    # The arm's way is eased by whoever draws it: undo the ease here, or the hand would dart up.
    linear = gaussian_filter1d(_unease(active), 1.0, mode="nearest")
    tracks.hand_active[:, hand] = np.maximum(tracks.hand_active[:, hand], linear)
    reach = (linear > 1e-6)[:, None]
    tracks.wrist[:, hand] = np.where(reach, (wrist + bow) * mirror, tracks.wrist[:, hand])
    rest_fingers, rest_palm = np.array([0.0, -1.0, 0.0]), np.array([-1.0, 0.0, 0.0])
    # From hanging down to pointing up the shortest turn is undefined: lead it over "forward".
    over = 4.0 * late * (1.0 - late) * np.array([0.15, 0.0, 0.8])
    along = _unit(rest_fingers * (1.0 - late) + np.broadcast_to(fingers, (tracks.frames, 3)) * late + over)
    out = rest_palm * (1.0 - late) + np.broadcast_to(palm, (tracks.frames, 3)) * late
    out = _unit(out - np.sum(out * along, axis=1, keepdims=True) * along)
    tracks.fingers[:, hand] = np.where(reach, along * mirror, tracks.fingers[:, hand])
    tracks.palm[:, hand] = np.where(reach, out * mirror, tracks.palm[:, hand])
    shape = _delay(late[:, 0])[:, None]
    tracks.curl[:, hand] = tracks.curl[:, hand] * (1.0 - shape) + np.asarray(curl) * shape
    tracks.shoulders[:, hand] += 0.1 * active


def _delay(curve: Curve) -> Curve:
    padded = np.concatenate([np.repeat(curve[:1], _LAG_FRAMES, axis=0), curve])
    return gaussian_filter1d(padded[: len(curve)], 0.8, axis=0, mode="nearest")


def _unease(curve: Curve) -> Curve:
    """The straight ramp that `ease` made this curve of."""
    ramp = np.linspace(0.0, 1.0, 201)
    return np.interp(curve, ease(ramp), ramp)


def _unit(vectors: Curve) -> Curve:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)


def _vary(rng: np.random.Generator, point: tuple[float, float, float], spread: float = 0.025) -> Curve:
    return np.array(point) + rng.normal(0.0, spread, 3)


def _wave(tracks: Tracks, rng: np.random.Generator, cue: Cue) -> None:
    active, start, _ = _envelope(tracks, rng, cue, (1.2, 2.4), 0.5, 0.55)
    rate_hz = rng.uniform(1.7, 2.5) * cue.pace
    swing = active**2 * np.sin(2 * np.pi * rate_hz * (tracks.time - start) + 0.5) * cue.size
    wrist = _vary(rng, (0.37, 0.05, 0.3)) + swing[:, None] * np.array([0.055, -0.01, 0.0])
    tilt = _delay(swing)[:, None] * 0.42 + 0.08
    fingers = _unit(np.array([0.0, 1.0, 0.05]) + tilt * np.array([1.0, 0.0, 0.0]))
    spread = float(rng.uniform(0.0, 0.1))
    _pose_hand(tracks, cue.side, active, wrist, np.array([0.0, 0.0, 1.0]), fingers, (spread, 0.05, 0.05, 0.07, 0.1))
    smile(tracks, active, rng.uniform(0.3, 0.8))
    tracks.head[:, 2] += cue.side * rng.uniform(-1.0, 4.0) * active
    tracks.unit("browInnerUp", 0.25 * active)
    tracks.unit("browOuterUp", 0.25 * active)
    tracks.tell(start, f"the {cue.hand} waves from side to side")


def _nod(tracks: Tracks, rng: np.random.Generator, cue: Cue) -> None:
    period = rng.uniform(0.45, 0.65) / cue.pace
    for at, count in _bursts(rng, cue, period, most=5):
        tracks.head[:, 1] += 2.0 * cue.size * pulse(tracks.time, at - 0.2, 0.2, 0.0, 0.2)
        for k in range(count):
            depth = rng.uniform(9.0, 14.0) * cue.size * 0.88**k
            tracks.head[:, 1] -= depth * pulse(tracks.time, at + k * period, 0.46 * period, 0.0, 0.6 * period)
        smile(tracks, pulse(tracks.time, at, 0.4, count * period, 0.5), rng.uniform(0.0, 0.5))
        tracks.tell(at + 0.3 * period, f"the head nods {_TIMES[count]}")


def _shake(tracks: Tracks, rng: np.random.Generator, cue: Cue) -> None:
    period = rng.uniform(0.55, 0.8) / cue.pace
    degrees = rng.uniform(9.0, 14.0) * cue.size
    for at, count in _bursts(rng, cue, period, most=4):
        fade = pulse(tracks.time, at, 0.25, max(0.1, count * period - 0.4), 0.4)
        tracks.head[:, 0] += degrees * fade * np.sin(2 * np.pi * (tracks.time - at) / period)
        tracks.head[:, 1] -= rng.uniform(0.0, 3.0) * fade
        tracks.unit("browDown", rng.uniform(0.1, 0.5) * fade)
        tracks.unit("mouthFrown", rng.uniform(0.0, 0.35) * fade)
        tracks.tell(at + 0.2, "the head shakes from side to side")


def _bursts(rng: np.random.Generator, cue: Cue, period_s: float, most: int) -> list[tuple[float, int]]:
    """Start time and number of repeats of every bout of a head gesture: one, or more in a long segment."""
    bursts: list[tuple[float, int]] = []
    at = cue.start_s + float(rng.uniform(0.1, 0.3))
    while not bursts or cue.end_s - at > 3 * period_s + 0.3:
        count = int(np.clip((cue.end_s - at - 0.2) / period_s, 2, rng.integers(3, most + 1)))
        bursts.append((at, count))
        at += count * period_s + float(rng.uniform(0.4, 0.9))
    return bursts


def _point(tracks: Tracks, rng: np.random.Generator, cue: Cue) -> None:
    active, start, end = _envelope(tracks, rng, cue, (0.7, 1.8), 0.42, 0.5)
    curl = (0.95, 0.0, 0.95, 1.0, 1.0)
    push = pulse(tracks.time, start - 0.08, 0.12, 0.0, 0.3)[:, None]
    if rng.random() < 0.55:
        wrist = _vary(rng, (0.27, 0.07, 0.38)) + 0.07 * cue.size * push * np.array([0.0, 0.0, 1.0])
        fingers, palm = _unit(_vary(rng, (-0.05, 0.5, 0.86), 0.05)), np.array([-0.75, -0.55, 0.3])
        where = "at the camera"
    else:
        wrist = _vary(rng, (0.14, 0.02, 0.38)) + 0.06 * cue.size * push * np.array([1.0, 0.3, 0.0])
        fingers, palm = _unit(_vary(rng, (0.85, 0.45, 0.2), 0.08)), np.array([0.1, -0.45, 0.85])
        where = f"to their {'left' if cue.side > 0 else 'right'}"
        turn = cue.side * rng.uniform(6.0, 12.0)
        tracks.head[:, 0] += turn * active
        tracks.look[:, 0] += turn * 1.6 * pulse(tracks.time, start - 0.2, 0.08, 0.6 * (end - start) + 0.2, 0.08)
    _pose_hand(tracks, cue.side, active, wrist, palm, fingers, curl)
    tracks.head[:, 1] -= rng.uniform(0.0, 2.5) * push[:, 0]
    tracks.tell(start, f"the index finger of the {cue.hand} points {where}")


def _shrug(tracks: Tracks, rng: np.random.Generator, cue: Cue) -> None:
    active, start, _ = _envelope(tracks, rng, cue, (0.4, 0.9), 0.4, 0.5)
    tracks.shoulders += (rng.uniform(0.75, 0.95) * min(cue.size, 1.1) * active)[:, None]
    for side in (1.0, -1.0):
        wrist = _vary(rng, (0.34, 0.0, 0.32)) + 0.04 * active[:, None] * np.array([cue.size, 0.0, 0.0])
        fingers, palm = _unit(_vary(rng, (0.45, 0.7, 0.5), 0.05)), np.array([-0.1, 0.75, 0.65])
        _pose_hand(tracks, side, active, wrist, palm, fingers, (0.1, 0.1, 0.15, 0.2, 0.25))
    tracks.head[:, 2] += cue.side * rng.uniform(4.0, 9.0) * active
    tracks.unit("browInnerUp", rng.uniform(0.4, 0.8) * active)
    tracks.unit("browOuterUp", rng.uniform(0.4, 0.8) * active)
    tracks.unit("mouthFrown", rng.uniform(0.3, 0.6) * active)
    tracks.unit("mouthShrugLower", rng.uniform(0.3, 0.6) * active)
    tracks.tell(start, "both shoulders rise in a shrug with the palms turned up")


def _hand_to_chin(tracks: Tracks, rng: np.random.Generator, cue: Cue) -> None:
    active, start, _ = _envelope(tracks, rng, cue, (1.2, 3.0), 0.6, 0.6)
    wrist = _vary(rng, (0.12, -0.07, 0.34), 0.012) + 0.008 * np.sin(2 * np.pi * 0.7 * tracks.time)[:, None]
    fingers, palm = _unit(_vary(rng, (-0.32, 0.9, -0.1), 0.03)), np.array([-0.35, -0.1, -0.95])
    _pose_hand(tracks, cue.side, active, wrist, palm, fingers, (0.25, 0.55, 0.8, 0.85, 0.9))
    tracks.head[:, 1] -= rng.uniform(1.0, 4.0) * active
    tracks.head[:, 2] -= cue.side * rng.uniform(0.0, 5.0) * active
    tracks.tell(start, f"the {cue.hand} comes up to the chin")


def _open_palms(tracks: Tracks, rng: np.random.Generator, cue: Cue) -> None:
    active, start, _ = _envelope(tracks, rng, cue, (0.7, 1.8), 0.5, 0.6)
    move = _strokes(tracks, cue, start) * cue.size
    for side in (1.0, -1.0):
        wrist = _vary(rng, (0.33, 0.0, 0.35)) + move[:, None] * np.array([0.05, -0.06, 0.03])
        fingers, palm = _unit(_vary(rng, (0.45, 0.75, 0.4), 0.05)), np.array([-0.2, 0.35, 0.95])
        _pose_hand(tracks, side, active, wrist, palm, fingers, (0.05, 0.1, 0.12, 0.15, 0.2))
    tracks.unit("browInnerUp", rng.uniform(0.2, 0.5) * active)
    tracks.head[:, 1] += rng.uniform(0.0, 3.0) * active
    tracks.tell(start, "both hands open with the palms to the camera")


def _beat(tracks: Tracks, rng: np.random.Generator, cue: Cue) -> None:
    active, start, _ = _envelope(tracks, rng, cue, (1.4, 3.2), 0.45, 0.55)
    move = _strokes(tracks, cue, start) * cue.size
    sides = (cue.side,) if rng.random() < 0.6 else (1.0, -1.0)
    for side in sides:
        wrist = _vary(rng, (0.36, -0.07, 0.34)) + move[:, None] * np.array([0.02, -0.13, 0.05])
        dip = 0.35 * _delay(move)[:, None]
        fingers = _unit(np.array([0.08, 0.75, 0.62]) + dip * np.array([0.0, -1.0, 0.6]))
        _pose_hand(tracks, side, active, wrist, np.array([-0.8, 0.1, 0.5]), fingers, (0.25, 0.2, 0.3, 0.4, 0.45))
    who = f"the {cue.hand} beats" if len(sides) == 1 else "both hands beat"
    tracks.tell(start, f"{who} time with the words" if cue.beats else f"{who} in the air")


def _strokes(tracks: Tracks, cue: Cue, start: float) -> Curve:
    """Small lift, quick stroke on each stressed vowel, slow recovery; evenly spaced where nobody speaks."""
    times = [(at, strength) for at, strength in cue.beats if at > start - 0.2]
    if not times:
        step = 0.6 / cue.pace
        times = [(start + 0.25 + k * step, 0.7) for k in range(8)]
    curve = np.zeros(tracks.frames)
    for at, strength in times:
        lift = pulse(tracks.time, at - 0.34, 0.18, 0.0, 0.18)
        curve += strength * (pulse(tracks.time, at - 0.16, 0.17, 0.03, 0.34) - 0.35 * lift)
    return np.clip(curve, -0.5, 1.1)


def _clap(tracks: Tracks, rng: np.random.Generator, cue: Cue) -> None:
    active, start, end = _envelope(tracks, rng, cue, (1.0, 2.2), 0.45, 0.5)
    period = rng.uniform(0.32, 0.42) / cue.pace
    phase = np.clip((tracks.time - start) / period, 0.0, max(1.0, np.floor((end - start) / period)))
    apart = (0.5 + 0.5 * np.cos(2 * np.pi * phase)) * cue.size
    height = _vary(rng, (0.0, -0.17, 0.38), 0.015)
    for side in (1.0, -1.0):
        gap = 0.05 + 0.13 * apart
        wrist = height + gap[:, None] * np.array([1.0, 0.15, 0.0])
        fingers = _unit(np.array([0.0, 0.72, 0.68]) + (0.25 * apart)[:, None] * np.array([1.0, 0.0, 0.0]))
        _pose_hand(tracks, side, active, wrist, np.array([-1.0, 0.0, 0.0]), fingers, (0.05, 0.05, 0.07, 0.1, 0.12))
    smile(tracks, active, rng.uniform(0.5, 0.9))
    tracks.tell(start, "both hands clap in front of the chest")


def _thumbs_up(tracks: Tracks, rng: np.random.Generator, cue: Cue) -> None:
    active, start, _ = _envelope(tracks, rng, cue, (0.8, 1.8), 0.42, 0.5)
    push = pulse(tracks.time, start - 0.06, 0.12, 0.05, 0.3)[:, None]
    wrist = _vary(rng, (0.38, -0.02, 0.34)) + cue.size * push * np.array([-0.02, 0.04, 0.06])
    fingers, palm = _unit(_vary(rng, (-0.5, 0.6, 0.62), 0.05)), np.array([-0.7, 0.0, -0.65])
    _pose_hand(tracks, cue.side, active, wrist, palm, fingers, (0.0, 0.97, 1.0, 1.0, 1.0))
    smile(tracks, active, rng.uniform(0.4, 0.9))
    tracks.head[:, 1] -= 3.0 * push[:, 0]
    tracks.tell(start, f"the {cue.hand} gives a thumbs-up")


_TIMES = {2: "twice", 3: "three times", 4: "four times", 5: "five times"}
_GESTURES: dict[str, Callable[[Tracks, np.random.Generator, Cue], None]] = {
    "wave": _wave,
    "nod": _nod,
    "shake": _shake,
    "point": _point,
    "shrug": _shrug,
    "hand_to_chin": _hand_to_chin,
    "open_palms": _open_palms,
    "beat": _beat,
    "clap": _clap,
    "thumbs_up": _thumbs_up,
}

"""The body of each behaviour state: talk, listen, think, react, idle and silent gesture, and the mood over all.

Each adds to `Tracks` with a `weight` [F] in 0..1 that fades it in and out, so that states blend into each other.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from flowact.core.clock import FPS
from flowact.studio.motion import glance, look_away, smile
from flowact.studio.tracks import Curve, Tracks, drift, keyed, pulse


def talk(
    tracks: Tracks,
    rng: np.random.Generator,
    weight: Curve,
    beats: list[tuple[float, float]],
    question_end_s: float | None,
) -> None:
    """The head and brows of someone who speaks: nods and turns on the accents, a new pose every second or so.

    Args:
        tracks: where to add.
        rng: source of chance.
        weight: [F] how much this state holds.
        beats: (time, strength) of the stressed vowels.
        question_end_s: when a question ends, or None.
    """
    # Most people hold their head fairly still when they talk to a camera; a few are lively.
    lively = 0.3 + 1.1 * rng.random() ** 2
    for axis, degrees in enumerate((5.5, 2.5, 3.0)):
        times, values = _poses(rng, tracks.length_s, degrees * lively, every_s=1.2)
        curve = weight * keyed(tracks.time, times, values, float(rng.uniform(0.45, 0.8)))
        tracks.head[:, axis] += curve
        tracks.torso[:, axis] += 0.25 * gaussian_filter1d(curve, 4.0)
        if axis == 0:
            _tell_turns(tracks, times, values, weight)
    for at, strength in beats:
        if rng.random() < 0.8:
            down = pulse(tracks.time, at - 0.14, 0.16, 0.02, 0.3) - 0.3 * pulse(tracks.time, at - 0.32, 0.16, 0.0, 0.16)
            tracks.head[:, 1] -= weight * lively * rng.uniform(2.0, 5.0) * strength * down
            tracks.head[:, 0] += weight * lively * rng.normal(0.0, 1.6) * down
        if rng.random() < 0.4 * strength:
            _raise_brows(tracks, rng, weight, at, rng.uniform(0.25, 0.6))
    if question_end_s is not None:
        tilt = weight * pulse(tracks.time, question_end_s - 0.8, 0.6, 0.5, 0.6)
        tracks.head[:, 2] += rng.choice((-1.0, 1.0)) * rng.uniform(2.5, 6.0) * tilt
        tracks.head[:, 1] += rng.uniform(1.0, 3.0) * tilt
        tracks.unit("browInnerUp", rng.uniform(0.3, 0.6) * tilt)
        tracks.tell(question_end_s - 0.6, "the head tilts with the question")
    glance(tracks, rng, weight, spread=1.8, every_s=0.9)


def _poses(
    rng: np.random.Generator, length_s: float, degrees: float, every_s: float
) -> tuple[list[float], list[float]]:
    times, values = [-2.0], [float(rng.normal(0, 0.7 * degrees))]
    at = float(rng.uniform(0.0, every_s))
    while at < length_s:
        times.append(at)
        values.append(float(0.25 * values[-1] + rng.normal(0, degrees)))
        at += float(rng.uniform(0.6, 1.6)) * every_s
    return times, values


def _tell_turns(tracks: Tracks, times: list[float], values: list[float], weight: Curve) -> None:
    for at, before, after in zip(times[1:], values[:-1], values[1:]):
        if abs(after - before) > 7.0 and weight[min(int((at + 0.3) * FPS), tracks.frames - 1)] > 0.6:
            tracks.tell(at + 0.2, f"the head turns to their {'left' if after > before else 'right'}")


def _raise_brows(tracks: Tracks, rng: np.random.Generator, weight: Curve, at: float, amount: float) -> None:
    lift = weight * amount * pulse(tracks.time, at - 0.16, 0.18, rng.uniform(0.05, 0.3), 0.35)
    tracks.unit("browInnerUp", lift)
    tracks.unit("browOuterUp", 0.9 * lift)
    if amount > 0.4:
        tracks.tell(at, "the brows lift")


def listen(tracks: Tracks, rng: np.random.Generator, weight: Curve, start_s: float, end_s: float) -> None:
    """Attention: eyes on the speaker, head a little tilted, small double nods, a passing smile."""
    tracks.head[:, 2] += weight * rng.normal(0.0, 3.5)
    tracks.head[:, 1] += weight * rng.normal(-0.5, 1.5)
    tracks.head[:, 0] += weight * rng.normal(0.0, 3.0)
    tracks.sway[:, 2] += weight * rng.uniform(0.0, 0.04)
    at = start_s + rng.uniform(0.3, 1.0)
    while at < end_s - 0.5:
        depth, period = rng.uniform(2.0, 6.0), rng.uniform(0.3, 0.45)
        for k in range(int(rng.integers(1, 4))):
            dip = pulse(tracks.time, at + k * period, 0.45 * period, 0.0, 0.7 * period)
            tracks.head[:, 1] -= weight * depth * 0.75**k * dip
        tracks.tell(at, "the head gives a small nod")
        at += rng.uniform(1.2, 2.6)
    if rng.random() < 0.6:
        when = rng.uniform(start_s, max(start_s + 0.1, end_s - 0.8))
        smile(tracks, weight * pulse(tracks.time, when, 0.4, rng.uniform(0.3, 1.0), 0.6), rng.uniform(0.3, 0.7))
        tracks.tell(when + 0.3, "a small smile passes")
    if rng.random() < 0.5:
        _raise_brows(tracks, rng, weight, float(rng.uniform(start_s + 0.3, end_s)), rng.uniform(0.3, 0.6))
    glance(tracks, rng, weight, spread=1.3, every_s=1.1)


def think(tracks: Tracks, rng: np.random.Generator, weight: Curve, start_s: float, end_s: float) -> None:
    """Thought: the eyes go up and aside, the lips press, the brows knit."""
    side = float(rng.choice((-1.0, 1.0)))
    at = start_s + (0.12 if start_s > 0 else rng.uniform(-0.6, 0.5))
    until = end_s + (-0.1 if end_s < tracks.length_s else 1.0)
    yaw, pitch = side * rng.uniform(14.0, 26.0), rng.choice((1.0, 1.0, -0.8)) * rng.uniform(9.0, 17.0)
    middle = rng.uniform(0.5, 0.8) * (until - at) + at
    look_away(tracks, rng, at, middle, yaw, pitch)
    look_away(tracks, rng, middle - 0.09, until, yaw * rng.uniform(-0.6, 0.9), pitch * rng.uniform(0.3, 1.0))
    tracks.tell(
        at + 0.1, f"the eyes drift {'up' if pitch > 0 else 'down'} and to their {'left' if side > 0 else 'right'}"
    )
    tracks.head[:, 2] += weight * rng.normal(0.0, 4.0)
    press = weight * pulse(tracks.time, at + 0.2, 0.4, max(0.2, until - at - 1.2), 0.5) * rng.uniform(0.4, 0.9)
    tracks.unit("mouthPress", press)
    if rng.random() < 0.5:
        tracks.unit("mouthPucker", 0.4 * press)
        tracks.unit("mouthLeft" if side > 0 else "mouthRight", 0.5 * press)
    tracks.unit("browDown", weight * rng.uniform(0.2, 0.6))
    tracks.unit("browInnerUp", weight * rng.uniform(0.0, 0.3))
    tracks.unit("eyeSquint", weight * rng.uniform(0.1, 0.4))
    tracks.tell(at + 0.5, "the lips press together")


def gesticulate(tracks: Tracks, rng: np.random.Generator, weight: Curve) -> None:
    """The rest of the body during a silent gesture: slow head poses, eyes on the viewer."""
    for axis, degrees in enumerate((4.0, 2.0, 2.0)):
        times, values = _poses(rng, tracks.length_s, degrees, every_s=2.2)
        tracks.head[:, axis] += weight * keyed(tracks.time, times, values, 0.9)
    glance(tracks, rng, weight, spread=2.0, every_s=1.2)


def idle(tracks: Tracks, rng: np.random.Generator, weight: Curve, start_s: float, end_s: float) -> None:
    """Nothing to do: as in a silent gesture, and a wandering look now and then."""
    gesticulate(tracks, rng, weight)
    if rng.random() < 0.55 and end_s - start_s > 1.6:
        at = rng.uniform(start_s, end_s - 1.4)
        yaw = rng.choice((-1.0, 1.0)) * rng.uniform(9.0, 24.0)
        look_away(tracks, rng, at, at + rng.uniform(0.7, 1.4), yaw, rng.uniform(-10.0, 6.0))
        tracks.tell(at, f"the gaze wanders to their {'left' if yaw > 0 else 'right'}")


def react(tracks: Tracks, rng: np.random.Generator, weight: Curve, start_s: float, end_s: float, kind: str) -> float:
    """A reaction (`kind`: surprise, smile or laugh); returns the time of its onset in seconds."""
    at = start_s + (0.05 if start_s > 0 else rng.uniform(0.2, max(0.25, min(1.2, end_s - 1.8))))
    hold = float(np.clip(end_s - at - 0.9, 0.3, 2.5))
    arc = weight * pulse(tracks.time, at, {"surprise": 0.24}.get(kind, 0.4), hold, 0.6)
    if kind == "surprise":
        tracks.unit("browInnerUp", rng.uniform(0.7, 1.0) * arc)
        tracks.unit("browOuterUp", rng.uniform(0.7, 1.0) * arc)
        tracks.unit("eyeWide", rng.uniform(0.5, 0.9) * arc)
        tracks.unit("jawOpen", rng.uniform(0.25, 0.5) * arc)
        tracks.unit("mouthFunnel", rng.uniform(0.0, 0.25) * arc)
        tracks.head[:, 1] += rng.uniform(3.0, 8.0) * arc
        tracks.sway[:, 2] -= rng.uniform(0.02, 0.06) * arc
        tracks.shoulders += rng.uniform(0.05, 0.2) * arc[:, None]
        tracks.tell(at, "the brows shoot up and the eyes widen")
        tracks.tell(at + 0.15, "the mouth falls open")
    elif kind == "laugh":
        smile(tracks, arc, rng.uniform(0.85, 1.0))
        rate_hz = rng.uniform(3.5, 4.8)
        burst = 0.5 - 0.5 * np.cos(2 * np.pi * rate_hz * np.maximum(tracks.time - at, 0.0))
        fade = arc * np.exp(-np.maximum(tracks.time - at - 0.5, 0.0) / 1.2)
        tracks.unit("jawOpen", arc * 0.12 + fade * (0.15 + 0.22 * burst))
        tracks.shoulders += (0.3 * fade * burst)[:, None]
        tracks.head[:, 1] += rng.uniform(3.0, 8.0) * arc + 1.6 * fade * burst
        tracks.head[:, 2] += rng.normal(0.0, 4.0) * arc
        tracks.tell(at, "a laugh breaks out and the head goes back")
        tracks.tell(at + 0.4, "the shoulders shake")
    else:
        smile(tracks, arc, rng.uniform(0.75, 1.0))
        tracks.unit("browInnerUp", rng.uniform(0.1, 0.4) * arc)
        tracks.unit("browOuterUp", rng.uniform(0.1, 0.4) * arc)
        tracks.head[:, 2] += rng.normal(0.0, 4.0) * arc
        tracks.head[:, 1] += rng.uniform(0.0, 4.0) * arc
        tracks.tell(at + 0.1, "a wide smile spreads over the face")
    glance(tracks, rng, weight, spread=1.2, every_s=1.2)
    return float(at)


def show_mood(tracks: Tracks, rng: np.random.Generator, mood: str) -> None:
    """Colour the whole clip: happy, serious, sad or neutral, stronger and weaker in slow waves."""
    wave = np.clip(1.0 + 0.35 * drift(rng, tracks.frames, 1.0), 0.2, 1.6)
    if mood == "happy":
        smile(tracks, wave, rng.uniform(0.2, 0.5))
        tracks.unit("browInnerUp", 0.15 * wave)
    elif mood == "serious":
        tracks.unit("browDown", rng.uniform(0.25, 0.6) * wave)
        tracks.unit("mouthPress", rng.uniform(0.0, 0.2) * wave)
    elif mood == "sad":
        tracks.unit("browInnerUp", rng.uniform(0.4, 0.7) * wave)
        tracks.unit("mouthFrown", rng.uniform(0.2, 0.45) * wave)
        tracks.head[:, 1] -= rng.uniform(1.0, 3.0)
    else:
        smile(tracks, wave, rng.uniform(0.0, 0.12))

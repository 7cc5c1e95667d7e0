"""What happens when: the states of one clip, and the gestures made in them."""

from __future__ import annotations

import numpy as np

from flowact.core.clock import FPS
from flowact.core.errors import ConfigError
from flowact.studio.performance import GESTURES, STATES, Segment, State

MIN_SEGMENT_S = 1.4
_HAND_GESTURE_S = 1.8

# Orders of states and how often they are drawn; about half of all time is talk.
_ORDERS: tuple[tuple[tuple[State, ...], float], ...] = (
    (("talk",), 20.0),
    (("listen", "talk"), 7.0),
    (("talk", "listen"), 7.0),
    (("think", "talk"), 5.0),
    (("talk", "think"), 4.0),
    (("react", "talk"), 5.0),
    (("talk", "react"), 4.0),
    (("gesture", "talk"), 8.0),
    (("talk", "gesture"), 8.0),
    (("talk", "idle"), 2.0),
    (("idle", "talk"), 3.0),
    (("talk", "think", "talk"), 3.0),
    (("talk", "gesture", "talk"), 3.0),
    (("listen", "think", "talk"), 2.0),
    (("listen", "react"), 2.0),
    (("listen", "gesture"), 2.0),
    (("idle", "gesture"), 4.0),
    (("gesture", "idle"), 3.0),
    (("gesture", "gesture"), 5.0),
    (("think", "gesture"), 2.0),
    (("listen",), 2.0),
    (("idle",), 2.0),
    (("think",), 1.0),
    (("react",), 1.0),
)
_GESTURE_ODDS: dict[State, dict[str, float]] = {
    "talk": {
        "none": 16,
        "beat": 4,
        "open_palms": 2,
        "nod": 1.5,
        "shake": 1.5,
        "point": 2,
        "shrug": 1.5,
        "wave": 2,
        "thumbs_up": 1.5,
        "clap": 0.5,
    },
    "listen": {"none": 7, "nod": 3, "hand_to_chin": 1},
    "think": {"none": 5, "hand_to_chin": 5},
    "react": {"none": 8, "clap": 1, "thumbs_up": 1, "open_palms": 0.6},
    "idle": {"none": 1},
    "gesture": dict.fromkeys((name for name in GESTURES if name != "none"), 1.0),
}
_BUSY_STATES = {"talk", "gesture"}
_LENGTH_S: dict[State, tuple[float, float]] = {
    "talk": (2.0, 4.0),
    "listen": (1.5, 3.0),
    "think": (1.5, 2.6),
    "react": (1.5, 2.4),
    "idle": (1.5, 3.0),
    "gesture": (2.0, 2.8),
}


def plan_segments(
    rng: np.random.Generator,
    frames: int,
    state: State | None = None,
    gesture: str | None = None,
    busy_hands: bool = False,
) -> tuple[Segment, ...]:
    """Draw 1 to 3 segments that cover `frames` frames; `state` or `gesture` forces a single one.

    With `busy_hands` all are of talk or gesture, and each that is long enough raises a hand.

    Raises:
        ConfigError: an unknown state or gesture, or fewer than 12 frames.
    """
    _check(frames, state, gesture)
    length_s = frames / FPS
    if state is None and gesture is not None:
        fits: list[State] = [name for name, odds in _GESTURE_ODDS.items() if gesture in odds]
        state = fits[int(rng.integers(len(fits)))] if gesture != "none" else "talk"
    if state is not None:
        made = _draw_gesture(rng, state, length_s) if gesture is None else gesture
        return (Segment(0.0, length_s, state, made),)
    most = max(1, int(length_s / MIN_SEGMENT_S))
    orders = [item for item in _ORDERS if len(item[0]) <= most and (not busy_hands or set(item[0]) <= _BUSY_STATES)]
    chances = np.array([item[1] for item in orders])
    order = orders[int(rng.choice(len(orders), p=chances / chances.sum()))][0]
    wanted = np.array([rng.uniform(*_LENGTH_S[name]) for name in order])
    spare = length_s - MIN_SEGMENT_S * len(order)
    lengths = MIN_SEGMENT_S + spare * wanted / wanted.sum() if len(order) > 1 else np.array([length_s])
    ends = np.round(np.cumsum(lengths) * FPS) / FPS
    ends[-1] = length_s
    starts = np.concatenate([[0.0], ends[:-1]])
    return tuple(
        Segment(float(start), float(end), name, _draw_gesture(rng, name, float(end - start), busy_hands))
        for name, start, end in zip(order, starts, ends)
    )


def _draw_gesture(rng: np.random.Generator, state: State, length_s: float, busy_hands: bool = False) -> str:
    odds = _GESTURE_ODDS[state]
    if length_s < _HAND_GESTURE_S:
        odds = {name: weight for name, weight in odds.items() if name in ("none", "nod", "shake", "shrug")}
    elif busy_hands:
        odds = {name: weight for name, weight in odds.items() if name not in ("none", "nod", "shake")}
    weights = np.array(list(odds.values()), dtype=np.float64)
    return list(odds)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _check(frames: int, state: str | None, gesture: str | None) -> None:
    if frames < 12:
        raise ConfigError(f"a performance of {frames} frames is too short to do anything; ask for 12 frames or more")
    if state is not None and state not in STATES:
        raise ConfigError(f"unknown state {state!r}; expected one of {', '.join(STATES)}")
    if gesture is not None and gesture not in GESTURES:
        raise ConfigError(f"unknown gesture {gesture!r}; expected one of {', '.join(GESTURES)}")
    if state == "gesture" and gesture == "none":
        raise ConfigError("the state 'gesture' needs a gesture, got 'none'; name one or leave it out")

"""Motion: what a body does in one frame, as numbers that know nothing of whose body it is.

It stands between words, voice and picture: a small network says from voice and prompt what the person does, and the
backbone shows it on the person of the portrait (docs/decisions/0011).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOTION_TRACKS = {
    "visemes": 15,
    "face": 43,
    "head": 3,
    "torso": 3,
    "sway": 3,
    "shoulders": 2,
    "breath": 1,
    "gaze": 2,
    "hand_active": 2,
    "wrist": 6,
    "palm": 6,
    "fingers": 6,
    "curl": 10,
}
"""Tracks in order, and how many numbers each has: `studio.performance.Performance` says what they mean."""
MOTION_WIDTH = sum(MOTION_TRACKS.values())
MOTION_SCALE = {
    "visemes": 4.0,
    "face": 5.0,
    "head": 0.2,
    "torso": 1.0,
    "sway": 20.0,
    "shoulders": 6.0,
    "breath": 2.0,
    "gaze": 0.2,
    "hand_active": 2.5,
    "wrist": 6.0,
    "palm": 3.0,
    "fingers": 3.0,
    "curl": 4.0,
}
"""Brings weights in 0..1, degrees and shoulder widths to a spread of about one."""
_OF_HANDS = ("wrist", "palm", "fingers", "curl")


def motion_slice(track: str) -> slice:
    """The columns of a track."""
    names = list(MOTION_TRACKS)
    first = sum(MOTION_TRACKS[name] for name in names[: names.index(track)])
    return slice(first, first + MOTION_TRACKS[track])


def pack_motion(tracks: Mapping[str, Any]) -> NDArray[np.float32]:
    """Tracks of F frames -> [F, MOTION_WIDTH]. Where a hand is counts only as far as it is up, so nothing jumps."""
    active = np.asarray(tracks["hand_active"], np.float32)
    columns = []
    for name, width in MOTION_TRACKS.items():
        values = np.asarray(tracks[name], np.float32).reshape(len(active), width)
        if name in _OF_HANDS:
            values = values * active.repeat(width // 2, 1)
        columns.append(values * MOTION_SCALE[name])
    return np.concatenate(columns, 1)


def unpack_motion(motion: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The inverse of `pack_motion`, {track: [F, width]}; tracks of hands stay multiplied by how far these are up."""
    return {name: motion[:, motion_slice(name)] / MOTION_SCALE[name] for name in MOTION_TRACKS}

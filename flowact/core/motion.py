"""Motion: what a body does in one frame, as numbers that know nothing of whose body it is.

It stands between words, voice and picture: a small network says from voice and prompt what the person does, and the
backbone shows it on the person of the portrait (docs/decisions/0011). Where hands are on the picture is agreed by one
camera, `hand_points`: pictures to learn from are told as that camera would have seen them (`aim_hands`, 0013).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

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
LIDS = (8, 9)
"""Numbers of the face that shut the left and the right eye."""
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
HAND_REACH = (0.0, 0.27, 0.5)
"""Points along a hand, in shoulder widths from the wrist: wrist, middle knuckle, fingertip."""
_OF_HANDS = ("wrist", "palm", "fingers", "curl")
_CAMERA = ((0.963, 0.02, -0.005, 0.499), (0.002, -1.066, -0.068, 0.919))
"""Column and row in shares of the picture from x, y, z and 1: measured on the studio's head-and-shoulders framing."""
_HANGING = ((0.5, -1.5, 0.0), (-0.5, -1.5, 0.0))
"""Wrists (left, right) of arms at rest, out of the picture."""
_LEAST_UP = 0.05
_RISEN = 0.2
"""How far up a hand is that its place on the picture counts in full."""


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
    """The tracks that `pack_motion` packed, {track: [F, ...]}; of a hand that is hardly up, little is known."""
    tracks = {name: motion[:, motion_slice(name)] / MOTION_SCALE[name] for name in MOTION_TRACKS}
    known = np.maximum(tracks["hand_active"], _LEAST_UP)
    for name in _OF_HANDS:
        tracks[name] = (tracks[name] / known.repeat(MOTION_TRACKS[name] // 2, 1)).reshape(len(motion), 2, -1)
    return tracks | {"breath": tracks["breath"][:, 0]}


def seen_from(motion: Tensor, stance: Tensor) -> Tensor:
    """What motion [..., M] changes in the picture of somebody who stands as `stance` [..., M] says.

    A picture shows by how far a head has turned since the portrait, not how it is held: given that alone, where a face
    goes is linear in motion to 2 pixels of 12; not knowing how the portrait stands leaves 8. Hands stay where they are.
    """
    body = torch.ones(MOTION_WIDTH, device=motion.device)
    for track in ("hand_active", *_OF_HANDS):
        body[motion_slice(track)] = 0
    return motion - stance * body


def hand_points(motion: Tensor) -> Tensor:
    """The points of both hands as the agreed camera sees them: motion [..., M] -> column and row in shares of the
    picture, [..., 2, len(HAND_REACH), 2].
    """
    motion = motion.float()
    fingers = motion[..., motion_slice("fingers")].unflatten(-1, (2, 3)) / MOTION_SCALE["fingers"]
    reach = torch.tensor(HAND_REACH, device=motion.device)
    return photographed(wrists(motion)[..., None, :] + reach[:, None] * fingers[..., None, :])


def wrists(motion: Tensor) -> Tensor:
    """Where the wrists of motion [..., M] are, [..., 2, 3] in shoulder widths: out of the picture if they hang."""
    up = motion[..., motion_slice("hand_active")] / MOTION_SCALE["hand_active"]
    told = motion[..., motion_slice("wrist")].unflatten(-1, (2, 3)) / MOTION_SCALE["wrist"]
    return told + (1 - up)[..., None] * torch.tensor(_HANGING, device=motion.device)


def photographed(points: Tensor) -> Tensor:
    """Points [..., 3] as the agreed camera sees them: column and row in shares of the picture, [..., 2]."""
    camera = torch.tensor(_CAMERA, device=points.device)
    return F.linear(points, camera[:, :3], camera[:, 3])


def aim_hands(motion: Tensor, seen: Tensor) -> Tensor:
    """Move wrists and fingers of motion [F, M] to where the agreed camera would see them as they were seen.

    Every clip has a camera and a build of its own, so the same wrist lies up to a hand's breadth elsewhere on another
    picture; a network told of wrists alone could only smear hands over all of these places.

    Args:
        motion: as `pack_motion` gives it.
        seen: [F, 2, 2, 2] wrist and middle knuckle of the left and the right hand, column and row in shares of the
            picture; NaN where unknown.

    Returns:
        The motion of the same shape, changed as little as it takes; hands that hang keep their zeros.
    """
    moved = motion.clone()
    up = motion[:, motion_slice("hand_active")] / MOTION_SCALE["hand_active"]
    share = (up / _RISEN).clamp(0, 1)[..., None]
    back = torch.linalg.pinv(torch.tensor(_CAMERA)[:, :3]).T
    for name, point, reach in (("wrist", 0, 1.0), ("fingers", 1, HAND_REACH[1])):
        off = (seen[:, :, point] - hand_points(moved)[:, :, point]).nan_to_num()
        moved[:, motion_slice(name)] += (share * (off @ back) * (MOTION_SCALE[name] / reach)).flatten(1)
    return moved

"""Tracks: what is known of a frame as one row of numbers, from labels or as the judges read it.

A row is pose, hands, face, mouth opening (see `flowact.evaluate.probes`), seen from the person.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowact.evaluate.looking import Float
from flowact.evaluate.probes import (
    ACTION_EVERY_FRAMES,
    FACE_LABELS,
    FACE_UNITS_READ,
    HAND_LABELS,
    POSE_LABELS,
    SCALE,
    TRACK_WIDTH,
)
from flowact.studio.performance import FACE_UNITS

_UNITS = [FACE_UNITS.index(name) for name in FACE_UNITS_READ]
_POSES, _HANDS = sum(POSE_LABELS.values()), sum(HAND_LABELS.values())
HANDS_SEEN = slice(_POSES - POSE_LABELS["hand_visible"], _POSES)
_TURNED = np.asarray([-1, 1, 1] * 3 + [1] * 5, np.float32)
"""A left hand's columns times this are the mirrored right hand's: x changes its sign."""


def _hand_columns(side: int) -> list[int]:
    columns: list[int] = []
    start = _POSES
    for width in HAND_LABELS.values():
        columns += range(start + side * width // 2, start + (side + 1) * width // 2)
        start += width
    return columns


HAND_COLUMNS = (_hand_columns(0), _hand_columns(1))
"""Columns of wrist, palm, fingers and curl of the left and of the right hand."""


def _mirror() -> tuple[NDArray[np.int64], Float]:
    order, sign = np.arange(TRACK_WIDTH), np.ones(TRACK_WIDTH, np.float32)
    gaze = _POSES + _HANDS
    eyes = gaze + FACE_LABELS["gaze"]
    for pair in (6, HANDS_SEEN.start, eyes):  # shoulders, hands seen, eyes: left, right
        order[[pair, pair + 1]] = pair + 1, pair
    for yaw_or_roll in (0, 2, 3, 5, gaze):  # of head, chest, eyes
        sign[yaw_or_roll] = -1
    for here, there in (HAND_COLUMNS, HAND_COLUMNS[::-1]):
        order[here], sign[here] = there, _TURNED
    return order, sign


_ORDER, _SIGN = _mirror()


def mirror_tracks(tracks: Float) -> Float:
    """The same done by the mirrored person: [F, TRACK_WIDTH]."""
    return np.asarray(tracks[:, _ORDER] * _SIGN, np.float32)


def mirror_places(places: Float) -> Float:
    """The places [N, 10] (mouth centre, face box, hand centres) in the mirrored picture."""
    order, across = [0, 1, 4, 3, 2, 5, 8, 9, 6, 7], slice(0, None, 2)
    turned = places[:, order]
    turned[:, across] = 1 - turned[:, across]
    return turned


def mirror_columns(values: Float, first: int) -> Float:
    """`mirror_tracks` for neighbouring columns [N, D] from number `first` on that are nobody else's mirror image."""
    tracks = np.zeros((len(values), TRACK_WIDTH), np.float32)
    tracks[:, first : first + values.shape[1]] = values
    return mirror_tracks(tracks)[:, first : first + values.shape[1]]


def as_left(hand: Float, side: int) -> Float:
    """Values [..., 14] of one hand (wrist, palm, fingers, curl) as a left hand's; applied twice it gives them back."""
    return np.asarray(hand * _TURNED if side else hand, np.float32)


def hand_mask(seen: Float) -> Float:
    """[N, 2] (left, right) spread over the hand labels, each stored left then right: [N, 28]."""
    return np.concatenate([np.repeat(seen, width // 2, 1) for width in HAND_LABELS.values()], 1)


def read_labels(tracks: dict[str, Float]) -> dict[str, Float]:
    """The labels of F frames in the judges' order: pose [F, 10], hands [F, 28], labels [F, 13] of the face,
    opening [F, 1].
    """
    frames = len(tracks["head"])
    scaled = {name: tracks[name] * factor for name, factor in SCALE.items()}
    return {
        "pose": np.concatenate([scaled["head"], scaled["torso"], tracks["shoulders"], tracks["hand_visible"]], 1),
        "hands": np.concatenate([tracks[name].reshape(frames, -1) for name in HAND_LABELS], 1),
        "labels": np.concatenate([scaled["gaze"], tracks["eye_open"], tracks["face"][:, _UNITS]], 1),
        "opening": tracks["mouth_open"][:, None],
    }


def join_tracks(tracks: dict[str, Float]) -> Float:
    """The labels of F frames as tracks [F, TRACK_WIDTH]; a hand out of the picture is zero, as it is read."""
    values = read_labels(tracks)
    hands = values["hands"] * hand_mask(tracks["hand_visible"])
    return np.concatenate([values["pose"], hands, values["labels"], values["opening"]], 1).astype(np.float32)


def take_steps(tracks: Float) -> Float:
    """[F, D] at the rate of frames to steps of the action probe, means of ACTION_EVERY_FRAMES frames; at least one."""
    whole = max(1, len(tracks) // ACTION_EVERY_FRAMES)
    kept = tracks[: whole * ACTION_EVERY_FRAMES]
    return np.asarray(kept.reshape(whole, -1, tracks.shape[1]).mean(1), np.float32)

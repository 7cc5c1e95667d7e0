"""Scores to practise on: performances of every action in equal number, as tracks, without a single picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowact.core.clock import FPS
from flowact.evaluate.judge_data import Stretch, join_tracks, read_labels
from flowact.evaluate.judges import resample
from flowact.evaluate.looking import Float
from flowact.evaluate.probes import ACTIONS, HAND_LABELS, POSE_LABELS
from flowact.studio.clipfile import SCORE_TRACKS
from flowact.studio.performance import FACE_UNITS, GESTURES, Performance, State
from flowact.studio.score import make_performance

_SEED_ROOT = 73
_FRAMES = (40, 121)
_BLINKS = [FACE_UNITS.index("eyeBlinkLeft"), FACE_UNITS.index("eyeBlinkRight")]
_ARM_IS_UP = 0.8
"""From this `hand_active` on a hand is in the picture of a bust: so it is in 98 of 100 rendered frames."""
_HEAD_AND_TORSO = slice(0, POSE_LABELS["head"] + POSE_LABELS["torso"])
_FACE_AND_MOUTH = slice(sum((POSE_LABELS | HAND_LABELS).values()), None)
_SILENT = tuple(action for action in ACTIONS if action != "talk")


def make_stretches(count: int, talking: Sequence[Stretch], seed: int = 0) -> list[Stretch]:
    """Compose single stretches of 1.6 to 4.8 s, all actions but talk in turn; half of the gestures are made in talking.

    Args:
        count: how many.
        talking: stretches of talk, whose head and mouth the talking gestures borrow; their mouth is exact.
        seed: the same seed composes the same.
    """
    rng = np.random.default_rng([_SEED_ROOT, seed])
    made = []
    for i in range(count):
        action, frames = _SILENT[i % len(_SILENT)], int(rng.integers(*_FRAMES))
        is_gesture = action in GESTURES
        state: State = "gesture" if is_gesture else action  # type: ignore[assignment]
        gesture = action if is_gesture else "none"
        performance = make_performance(int(rng.integers(2**31)), frames, state=state, gesture=gesture, augment=False)
        tracks = resample(_as_tracks(performance))
        if is_gesture and talking and rng.random() < 0.5:
            tracks = _while_talking(tracks, talking[int(rng.integers(len(talking)))])
        made.append(Stretch(tracks, frames / FPS, action))
    return made


def _while_talking(tracks: Float, talk: Stretch) -> Float:
    voiced, both = resample(talk.tracks), tracks.copy()
    both[:, _HEAD_AND_TORSO] += voiced[:, _HEAD_AND_TORSO] - voiced[:, _HEAD_AND_TORSO].mean(0)
    both[:, _FACE_AND_MOUTH] = voiced[:, _FACE_AND_MOUTH]
    return both


def _as_tracks(performance: Performance) -> Float:
    """The tracks that perfect readers would see in a bust of a silent performer."""
    tracks = {name: getattr(performance, name) for name in SCORE_TRACKS}
    tracks["hand_visible"] = (performance.hand_active > _ARM_IS_UP).astype(np.float32)
    tracks["eye_open"] = 1 - performance.face[:, _BLINKS]
    tracks["mouth_open"] = np.zeros(performance.frames, np.float32)
    return join_tracks(read_labels(tracks))

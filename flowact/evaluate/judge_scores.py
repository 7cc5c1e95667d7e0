"""Scores to practise on: composed performances as tracks, without a single picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from flowact.core.clock import FPS
from flowact.evaluate.judge_data import Score, Stretch, cut_stretches
from flowact.evaluate.judge_tracks import join_tracks
from flowact.evaluate.looking import Float
from flowact.evaluate.probes import ACTIONS
from flowact.studio.clipfile import SCORE_TRACKS
from flowact.studio.performance import GESTURES, Performance, State
from flowact.studio.score import make_performance

_SEED_ROOT = 73
_FREE_FRAMES, _FRAMES = 160, (40, 121)
_ARM_IS_UP = 0.8
"""From this `hand_active` on a hand is in the picture of a bust: so it is in 98 of 100 rendered frames."""
_SILENT = tuple(action for action in ACTIONS if action != "talk")
_EVERY_FRAMES = 8


@dataclass(frozen=True)
class Rig:
    """How far mouth and eyes open in a render, as a linear map from the score; fitted on renders.

    Attributes:
        weights: [drivers + 1, 3] from the columns of `Score.drivers` and 1 to mouth opening, left and right eye.
    """

    weights: Float

    @staticmethod
    def fit(scores: Sequence[Score]) -> Rig:
        """Fit on scores whose renders are labelled."""
        drivers = np.concatenate([s.drivers[::_EVERY_FRAMES] for s in scores])
        seen = np.concatenate([s.openings[::_EVERY_FRAMES] for s in scores])
        # A little pull to zero: some units hardly ever move.
        known = np.concatenate([drivers, np.ones((len(drivers), 1))], 1).astype(np.float64)
        square = known.T @ known + 1e-3 * len(known) * np.diag([*[1.0] * drivers.shape[1], 0.0])
        return Rig(np.linalg.solve(square + 1e-9 * np.eye(len(square)), known.T @ seen).astype(np.float32))

    def play(self, performance: Performance) -> Float:
        """The tracks [F, TRACK_WIDTH] that perfect readers would see in a bust of the performer."""
        return self.show({name: getattr(performance, name) for name in SCORE_TRACKS})

    def show(self, score: Mapping[str, Float]) -> Float:
        """The same for the tracks of a score."""
        tracks = dict(score)
        drivers = np.concatenate([score["visemes"], score["face"], np.ones((len(score["head"]), 1))], 1)
        openings = np.clip(drivers @ self.weights, 0, None).astype(np.float32)
        tracks["mouth_open"], tracks["eye_open"] = openings[:, 0], openings[:, 1:]
        tracks["hand_visible"] = (score["hand_active"] > _ARM_IS_UP).astype(np.float32)
        return join_tracks(tracks)


def make_stretches(count: int, rig: Rig, seed: int = 0) -> list[Stretch]:
    """Compose `count` performances: in turn a whole clip as the dataset has them, cut at its segments, and a single
    stretch of 1.6 to 4.8 s of one action, all actions but talk in turn. The same seed composes the same.
    """

    def compose(i: int) -> list[Stretch]:
        rng = np.random.default_rng([_SEED_ROOT, seed, i])
        chosen, frames = int(rng.integers(2**31)), _FREE_FRAMES
        if i % 2:
            action, frames = _SILENT[i // 2 % len(_SILENT)], int(rng.integers(*_FRAMES))
            state: State = "gesture" if action in GESTURES else action  # type: ignore[assignment]
            gesture = action if action in GESTURES else "none"
            performance = make_performance(chosen, frames, state=state, gesture=gesture, augment=False)
        else:
            performance = make_performance(chosen, frames, augment=False)
        segments = [vars(segment) for segment in performance.segments]
        return cut_stretches(rig.play(performance), segments, FPS)

    # The voice is another program: its waiting is somebody else's composing.
    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        return [stretch for found in pool.map(compose, range(count)) for stretch in found]

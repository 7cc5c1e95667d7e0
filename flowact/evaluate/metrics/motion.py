"""Neither frozen nor jittering: how much the picture moves, how smoothly, and whether chunk edges show."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from flowact.core.clock import FRAMES_PER_CHUNK

Float = NDArray[np.float32]
_SIDE_PX = 64


class MotionMeter:
    """Measures motion of a stream as it comes; it remembers two small pictures and two numbers a frame."""

    def __init__(self) -> None:
        self._last: Float | None = None
        self._change: Float | None = None
        self._velocity: list[float] = []
        self._jump: list[float] = []

    def add(self, frames: NDArray[np.uint8]) -> None:
        """Take in frames [F, H, W, 3]."""
        for frame in frames:
            small = cv2.resize(frame, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
            grey = small.astype(np.float32) @ np.asarray([0.299, 0.587, 0.114], np.float32)
            if self._last is not None:
                change = grey - self._last
                self._velocity.append(float(np.abs(change).mean()))
                if self._change is not None:
                    self._jump.append(float(np.abs(change - self._change).mean()))
                self._change = change
            self._last = grey

    @property
    def velocity(self) -> Float:
        """[F - 1] mean absolute change from one frame to the next, in grey levels."""
        return np.asarray(self._velocity, np.float32)

    @property
    def jump(self) -> Float:
        """[F - 2] mean absolute change of that change."""
        return np.asarray(self._jump, np.float32)


def energy_ratio(made: Sequence[Float], true: Sequence[Float]) -> float:
    """Mean of generated velocities (or jumps) over that of true ones; 1 is as lively as the data."""
    return float(np.concatenate(list(made)).mean() / max(float(np.concatenate(list(true)).mean()), 1e-9))


def edge_ratio(jumps: Sequence[Float], chunk: int = FRAMES_PER_CHUNK) -> float:
    """Mean jump at chunk edges over the mean jump inside chunks; 1 where edges do not show.

    Args:
        jumps: per stream, [F - 2] as `MotionMeter.jump` gives them; every stream begins with a chunk.
        chunk: frames per chunk.
    """
    edges, inside = [], []
    for jump in jumps:
        # jump[i] compares the steps i -> i+1 and i+1 -> i+2; the step over an edge is the one into frame k * chunk.
        place = np.arange(len(jump)) % chunk
        at_edge = (place == chunk - 2) | (place == chunk - 1)
        edges.append(jump[at_edge])
        inside.append(jump[~at_edge])
    return float(np.concatenate(edges).mean() / max(float(np.concatenate(inside).mean()), 1e-9))

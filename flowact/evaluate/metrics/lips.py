"""Do the lips follow the voice: correlation of the opening that is seen with the true one, and at which lag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

MAX_LAG_FRAMES = 5
_STILL = 1e-5  # rounding of the networks varies by less
LEAST_SPREAD = 0.02
"""A clip whose true opening varies less than this (in mouth widths) is silent: it has no correlation."""


@dataclass(frozen=True)
class LipScore:
    """Lips of several clips.

    Attributes:
        correlation: mean over clips of the correlation at lag 0.
        best_lag: frames by which the seen opening trails the true one where the mean over clips is highest.
        at_best_lag: the mean there.
        within_one: share of clips whose own best lag is at most one frame.
        spread: how far the seen opening moves, as a share of how far the true one does: the mean over clips of their
            deviations' ratio. A correlation does not notice lips that follow but hardly part.
        by_lag: the mean at each lag from -MAX_LAG_FRAMES to MAX_LAG_FRAMES.
        clips: clips that speak.
    """

    correlation: float
    best_lag: int
    at_best_lag: float
    within_one: float
    spread: float
    by_lag: tuple[float, ...]
    clips: int


def score_lips(seen: Sequence[Float], true: Sequence[Float]) -> LipScore | None:
    """Compare seen openings with true ones, clip by clip, [F] each; None when no clip speaks.

    A frozen mouth counts as correlation 0. NaN frames (nothing seen) are left out.
    """
    pairs = [(s, t) for s, t in zip(seen, true, strict=True) if float(np.nanstd(t)) > LEAST_SPREAD]
    if not pairs:
        return None
    curves = np.asarray([lag_curve(s, t) for s, t in pairs])
    mean = curves.mean(0)
    best = int(mean.argmax()) - MAX_LAG_FRAMES
    own = np.abs(curves.argmax(1) - MAX_LAG_FRAMES) <= 1
    return LipScore(
        correlation=float(mean[MAX_LAG_FRAMES]),
        best_lag=best,
        at_best_lag=float(mean.max()),
        within_one=float(own.mean()),
        spread=float(np.mean([np.nanstd(s) / np.nanstd(t) for s, t in pairs])),
        by_lag=tuple(float(v) for v in mean),
        clips=len(pairs),
    )


def lag_curve(seen: Float, true: Float) -> Float:
    """Correlation at each lag from -MAX_LAG_FRAMES to MAX_LAG_FRAMES; at lag k, seen[i + k] meets true[i]."""
    frames = min(len(seen), len(true))
    values = []
    for lag in range(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1):
        low, high = max(0, lag), min(frames, frames + lag)
        values.append(correlate(seen[low:high], true[low - lag : high - lag]))
    return np.asarray(values, np.float32)


def correlate(a: Float, b: Float) -> float:
    """Pearson correlation over the frames where both are known; 0 when either does not vary."""
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 3:
        return 0.0
    x, y = a[known] - a[known].mean(), b[known] - b[known].mean()
    if min(float(x.std()), float(y.std())) < _STILL:
        return 0.0
    return float((x * y).mean() / (x.std() * y.std()))

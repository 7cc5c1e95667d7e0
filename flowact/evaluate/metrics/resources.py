"""Does a stream stay as fast and as small as it began: resident memory and seconds per chunk over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from flowact.core.clock import SHIFT_S

_WARM_UP_CHUNKS = 6
_MB = 2**20


@dataclass(frozen=True)
class ResourceScore:
    """Cost of one stream.

    Attributes:
        chunk_s: median seconds per chunk; it shows 0.48 s of video.
        slowest_s: the slowest chunk after the first ones.
        slowdown: mean chunk time of the last quarter over that of the first quarter; 1 is constant.
        peak_mb: highest resident memory of the whole process, judges included.
        growth_mb_per_minute: slope of the resident memory, per minute of video.
        chunks: how many, the first six left out.
    """

    chunk_s: float
    slowest_s: float
    slowdown: float
    peak_mb: float
    growth_mb_per_minute: float
    chunks: int


def resident_mb() -> float:
    """Memory that this process holds now, in MB of 2**20 bytes."""
    return float(psutil.Process().memory_info().rss) / _MB


def score_resources(chunk_seconds: Sequence[float], resident: Sequence[float]) -> ResourceScore | None:
    """Cost from the seconds and the resident MB noted at each chunk; None for a stream too short to say."""
    seconds, memory = np.asarray(chunk_seconds)[_WARM_UP_CHUNKS:], np.asarray(resident)[_WARM_UP_CHUNKS:]
    if len(seconds) < 4:
        return None
    quarter = len(seconds) // 4
    slope = float(np.polyfit(np.arange(len(memory)), memory, 1)[0])
    return ResourceScore(
        chunk_s=float(np.median(seconds)),
        slowest_s=float(seconds.max()),
        slowdown=float(seconds[-quarter:].mean() / seconds[:quarter].mean()),
        peak_mb=float(np.max(resident)),
        growth_mb_per_minute=slope * 60 / SHIFT_S,
        chunks=len(seconds),
    )

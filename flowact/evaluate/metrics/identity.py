"""Is it the same person all the time: embeddings of the first and the last second against a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowact.core.errors import ConfigError

Float = NDArray[np.float32]


@dataclass(frozen=True)
class IdentityScore:
    """Identity of several clips.

    Attributes:
        kept: share of clips whose first and last second show one person.
        similarity: mean similarity of first and last second.
        kept_portrait: share of clips whose last second shows the person of the portrait.
        clips: how many.
    """

    kept: float
    similarity: float
    kept_portrait: float
    clips: int


def score_identity(ends: Sequence[tuple[Float, Float]], portraits: Sequence[Float], threshold: float) -> IdentityScore:
    """Compare the ends of clips.

    Args:
        ends: per clip, the mean embedding [E] of its first and of its last second.
        portraits: per clip, the embedding [E] of its portrait.
        threshold: similarity above which two pictures show one person.
    """
    kept = np.asarray([float(first @ last) for first, last in ends])
    to_portrait = np.asarray([float(p @ last) for p, (_, last) in zip(portraits, ends, strict=True)])
    return IdentityScore(
        kept=float(np.mean(kept > threshold)),
        similarity=float(np.mean(kept)),
        kept_portrait=float(np.mean(to_portrait > threshold)),
        clips=len(ends),
    )


def mean_direction(embeddings: Float) -> Float:
    """Mean of unit vectors [K, E], again a unit vector [E]."""
    mean = embeddings.mean(0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


def equal_error(same: Float, different: Float) -> tuple[float, float]:
    """(rate, threshold) at which as many same pairs fall below as different pairs rise above."""
    candidates = np.sort(np.concatenate([same, different]))
    missed = np.searchsorted(np.sort(same), candidates) / len(same)
    mistaken = 1 - np.searchsorted(np.sort(different), candidates) / len(different)
    at = int(np.abs(missed - mistaken).argmin())
    return float((missed[at] + mistaken[at]) / 2), float(candidates[at])


def pair_similarities(first: Float, last: Float, people: NDArray[np.int64]) -> tuple[Float, Float]:
    """Similarities of the first second of one clip and the last of another (or the same), [K, E] each.

    Returns:
        Those of pairs that show one person, and those of pairs that show two.

    Raises:
        ConfigError: there is only one person.
    """
    near, same = first @ last.T, people[:, None] == people[None]
    if same.all():
        raise ConfigError(
            f"cannot compare people: got {len(people)} clips of one person, expected two people or more: render more"
        )
    return near[same], near[~same]

"""Noise levels: the boundaries of the staircase, and how training draws them."""

from __future__ import annotations

import torch
from torch import Tensor


def warp(u: Tensor | float, shift: float) -> Tensor:
    """Bend evenly spaced u in 0..1 towards noise: shift * u / (1 + (shift - 1) * u)."""
    u = torch.as_tensor(u)
    return shift * u / (1 + (shift - 1) * u)


def staircase_levels(chunks: int, shift: float) -> tuple[float, ...]:
    """Boundaries 0 < s1 < ... < s_n = 1 of the staircase, rising; with chunks=3, shift=3: (0.6, 0.857, 1)."""
    return tuple(float(warp(torch.tensor((i + 1) / chunks, dtype=torch.float64), shift)) for i in range(chunks))


def draw_staircase(rows: int, chunks: int, shift: float, generator: torch.Generator | None = None) -> Tensor:
    """One level per chunk, [rows, chunks], as serving meets them: a rising staircase with a common offset."""
    step = torch.arange(chunks) / chunks
    offset = torch.rand(rows, 1, generator=generator) / chunks
    return warp(step + offset, shift)


def draw_independent(rows: int, chunks: int, shift: float, generator: torch.Generator | None = None) -> Tensor:
    """One level per chunk, each for itself (diffusion forcing, Chen et al. 2024): [rows, chunks]."""
    return warp(torch.rand(rows, chunks, generator=generator), shift)

"""One step along the path. Solvers are stateless functions of (latents, velocity, level before, level after)."""

from __future__ import annotations

from torch import Tensor

from flowact.diffusion.path import spread


def euler(x: Tensor, v: Tensor, level_from: Tensor, level_to: Tensor) -> Tensor:
    """Follow the velocity in a straight line. x, v [B, T, C, H, W]; levels [B, T]."""
    return x + spread(level_to - level_from, x) * v

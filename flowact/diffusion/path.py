"""The straight path between clean latents and noise: x = (1 - level) * clean + level * noise. Lipman et al. 2023."""

from __future__ import annotations

from torch import Tensor


def spread(level: Tensor, like: Tensor) -> Tensor:
    """[B, T] -> [B, T, 1, 1, 1], to multiply latents."""
    return level.reshape(*level.shape, *(1,) * (like.ndim - level.ndim))


def add_noise(clean: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Latents [B, T, C, H, W] at noise levels [B, T]."""
    level = spread(level, clean)
    return (1 - level) * clean + level * noise


def velocity(clean: Tensor, noise: Tensor) -> Tensor:
    """What the backbone predicts."""
    return noise - clean


def clean_from_velocity(x: Tensor, v: Tensor, level: Tensor) -> Tensor:
    """The clean latents that a velocity at `level` points to."""
    return x - spread(level, x) * v

"""Rotary positions in three axes (time, row, column). Su et al. 2021; axes split as in MM-RoPE of Seedance 1.0."""

from __future__ import annotations

import torch
from torch import Tensor


def axis_dims(head_dim: int) -> tuple[int, int, int]:
    """How many of a head's dimensions turn with time, row and column; all even, time gets the most."""
    space = head_dim // 6 * 2
    return head_dim - 2 * space, space, space


def rope_angles(index: Tensor, head_dim: int, base: float = 100.0) -> Tensor:
    """Angles of `index` [..., 3] (time, row, column): [..., head_dim / 2].

    Indices are small and bounded here (the stream is 9 frames, the grid a few cells), hence the small base.
    """
    parts = []
    for axis, dims in enumerate(axis_dims(head_dim)):
        frequency = base ** (-torch.arange(0, dims, 2, device=index.device, dtype=torch.float32) / dims)
        parts.append(index[..., axis, None].float() * frequency)
    return torch.cat(parts, -1)


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn x [B, A, N, head_dim] by angles [N, head_dim / 2]; pairs are (even, odd) neighbours."""
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)

"""Embedding of noise levels, and the adaptive layer norm (adaLN) that carries it. Peebles & Xie 2023."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class ScalarEmbedding(nn.Module):
    """A number in about 0..1 (a noise level, a guidance weight) as a vector: sinusoids, then a small MLP."""

    def __init__(self, width: int, features: int = 128) -> None:
        super().__init__()
        self.features = features
        self.net = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, value: Tensor) -> Tensor:
        """[...] -> [..., width]."""
        half = self.features // 2
        frequency = torch.exp(torch.linspace(0, math.log(1000.0), half, device=value.device))
        angle = value.float()[..., None] * frequency
        out: Tensor = self.net(torch.cat((angle.sin(), angle.cos()), -1))
        return out


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Shift and scale of adaLN; all [B, N, D] or broadcastable."""
    return x * (1 + scale) + shift

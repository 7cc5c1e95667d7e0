"""Normalisation over the channels of each pixel: no statistics shared between pixels, frames or rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PixelRMSNorm(nn.Module):
    """Root-mean-square norm over the channels of every pixel of [N, C, H, W], with a learnt gain per channel.

    Unlike GroupNorm it looks at one pixel at a time, so streaming, cropping and batching change nothing.
    """

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x [N, C, H, W]; the dtype is kept."""
        inverse = torch.rsqrt(x.square().mean(1, keepdim=True) + self.epsilon)
        return x * inverse.to(x.dtype) * self.gain.to(x.dtype)[:, None, None]

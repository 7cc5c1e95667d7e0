"""Looking back in time without hidden state: the cached past is an argument and a result."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowact.nn.norm import PixelRMSNorm


class CausalMix(nn.Module):
    """Add to each latent frame a 1x1 mixture of itself and of the frame before it.

    The only temporal operator of the codec. Its memory is one normalised feature map, so a stream may be cut at any
    latent frame and nothing changes. Zeros stand for "nothing was before".
    """

    def __init__(self, channels: int, gain: float = 0.3) -> None:
        super().__init__()
        self.norm = PixelRMSNorm(channels)
        self.mix = nn.Conv2d(2 * channels, channels, 1, bias=False)
        nn.init.normal_(self.mix.weight, std=gain * (2 * channels) ** -0.5)

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Mix x [B*T, C, H, W] with its past.

        Args:
            x: features of T latent frames of B rows, rows outermost.
            before: [B, C, H, W], what the last call returned, or zeros.

        Returns:
            The mixed features, and the memory for the next call.
        """
        now = self.norm(x)
        frames = now.unflatten(0, (len(before), -1))
        past = torch.cat([before[:, None].to(now.dtype), frames[:, :-1]], 1).flatten(0, 1)
        return x + self.mix(torch.cat([past, now], 1)), frames[:, -1]

"""Latents relative to the portrait at rest. A stream is diffused as what moves, at unit variance.

What a codec says of a portrait that does not move depends on the person (docs/decisions/0003). It is
subtracted once and the rest is scaled to unit variance, so that the network starts from "nothing moves", and what it is
unsure of stays as it is in the portrait.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MOUTH_REACH = 1.6
"""Cells where a mouth is found five eighths as often as at the best place count in full."""


@dataclass(frozen=True)
class AnchorConfig:
    """Shape of a latent frame."""

    channels: int = 8
    grid: int = 16


def small_colours(pixels: Tensor, grid: int) -> Tensor:
    """Portraits [B, 3, S, S] in -1..1 as a backbone sees them: [B, 3, 2 grid, 2 grid], means of their pixels."""
    return F.adaptive_avg_pool2d(pixels.float(), 2 * grid)


class Anchor(nn.Module):
    """Fixed affine maps, measured on data, between codec latents and stream latents, and for the portrait's look.

    Buffers, [C, H, W]: `mean` and `std` of looks; `scale`, the deviation of latents from those at rest.
    Buffer [H, W]: `mouth`, 0..1, where in the frame people's mouths are.
    """

    mean: Tensor
    std: Tensor
    scale: Tensor
    mouth: Tensor

    def __init__(self, config: AnchorConfig) -> None:
        super().__init__()
        self.config = config
        shape = (config.channels, config.grid, config.grid)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))
        self.register_buffer("scale", torch.ones(shape))
        self.register_buffer("mouth", torch.ones(shape[1:]))

    def measure(self, latents: Tensor, rests: Tensor, looks: Tensor, mouths: Tensor) -> None:
        """Fit the buffers.

        Args:
            latents: [N, T, C, H, W] of N clips.
            rests: [N, C, H, W] of their portraits at rest.
            looks: [N, C, H, W] of their portraits.
            mouths: [N, T, H, W] 1 where the mouth is.

        Half of the variance is the channel's own, so that cells where little ever happens (a corner that a hand visits
        once in a hundred clips) are not blown up to noise.
        """
        change = (latents - rests[:, None]).square().mean((0, 1))
        self.scale.copy_((0.5 * change + 0.5 * change.mean((1, 2), keepdim=True)).sqrt().clamp(min=1e-4))
        mean = looks.mean(0)
        deviation = (looks - mean).square().mean(0).mean((1, 2), keepdim=True).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(deviation.clamp(min=1e-4).expand_as(mean))
        share = mouths.float().mean((0, 1))
        self.mouth.copy_((_MOUTH_REACH * share / share.max().clamp(min=1e-4)).clamp(max=1))

    def noise_scale(self, elsewhere: float, mouth: float) -> Tensor:
        """Deviation of noise [H, W] that is one thing at the mouth and another elsewhere."""
        return elsewhere + (mouth - elsewhere) * self.mouth

    def standardise(self, look: Tensor) -> Tensor:
        """The portrait's look [..., C, H, W] for the reference slot of the memory."""
        return (look - self.mean) / self.std

    def relative(self, latents: Tensor, rest: Tensor) -> Tensor:
        """Codec latents [B, T, C, H, W] -> stream latents, given the portrait at rest [B, C, H, W]."""
        return (latents - rest[:, None]) / self.scale

    def absolute(self, stream: Tensor, rest: Tensor) -> Tensor:
        """Stream latents -> codec latents; the inverse of `relative`."""
        return stream * self.scale + rest[:, None]

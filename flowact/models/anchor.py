"""Latents relative to the portrait. A stream is diffused as what changes against its reference, at unit variance.

Two thirds of the latents' variance lie between people, not within a clip (docs/decisions/0003). So the
portrait's latent is subtracted once, the rest is scaled to unit variance, and the network starts from "nothing
changed".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_MOUTH_REACH = 1.6
"""Cells where a mouth is found five eighths as often as at the best place count in full."""


@dataclass(frozen=True)
class AnchorConfig:
    """Shape of a latent frame."""

    channels: int = 16
    grid: int = 16


class Anchor(nn.Module):
    """A fixed affine map, measured on data, between codec latents and stream latents.

    Buffers, [C, H, W]: `mean` and `std` of portrait latents; `scale`, the deviation of latent - portrait.
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

    def measure(self, latents: Tensor, references: Tensor, mouths: Tensor) -> None:
        """Fit the buffers.

        Args:
            latents: [N, T, C, H, W] of N clips.
            references: [N, C, H, W] their portraits.
            mouths: [N, T, H, W] 1 where the mouth is.

        Half of the variance is the channel's own, so that cells where little ever happens (a corner that a hand visits
        once in a hundred clips) are not blown up to noise.
        """
        change = (latents - references[:, None]).square().flatten(0, 1).mean(0)
        self.scale.copy_((0.5 * change + 0.5 * change.mean((1, 2), keepdim=True)).sqrt().clamp(min=1e-4))
        channel = (1, 2)
        mean = references.mean(0)
        deviation = (references - mean).square().mean(0).mean(channel, keepdim=True).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(deviation.clamp(min=1e-4).expand_as(mean))
        share = mouths.float().mean((0, 1))
        self.mouth.copy_((_MOUTH_REACH * share / share.max().clamp(min=1e-4)).clamp(max=1))

    def standardise(self, reference: Tensor) -> Tensor:
        """Portrait latent [..., C, H, W] for the reference slot of the memory."""
        return (reference - self.mean) / self.std

    def relative(self, latents: Tensor, reference: Tensor) -> Tensor:
        """Codec latents [B, T, C, H, W] -> stream latents, given the portrait [B, C, H, W]."""
        return (latents - reference[:, None]) / self.scale

    def absolute(self, stream: Tensor, reference: Tensor) -> Tensor:
        """Stream latents -> codec latents; the inverse of `relative`."""
        return stream * self.scale + reference[:, None]

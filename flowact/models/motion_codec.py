"""Motion as latents: the directions in which bodies move, found by principal components.

The motion of four frames is 400 numbers that mostly move together; a hundred directions hold all but a four-hundredth
of it. A network that must say what of its input is noise has to carry every number of it, so fewer make it smaller.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.core.motion import MOTION_WIDTH


@dataclass(frozen=True)
class MotionCodecConfig:
    """Numbers of a latent frame of motion."""

    latents: int = 96


class MotionCodec(nn.Module):
    """A linear map, measured on data. Buffers: `mean` [4 M], `basis` [K, 4 M] with rows of length 1, `scale` [K]."""

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self, config: MotionCodecConfig) -> None:
        super().__init__()
        self.config, width = config, FRAMES_PER_LATENT * MOTION_WIDTH
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("basis", torch.eye(width)[: config.latents].clone())
        self.register_buffer("scale", torch.ones(config.latents))

    def measure(self, motion: Tensor) -> None:
        """Fit the buffers to motion [N, 4, M].

        Deviations are only half evened out (their roots are): what moves most is settled first, and weighs most.
        """
        flat = motion.flatten(1).double()
        mean = flat.mean(0)
        power, directions = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
        kept = slice(-self.config.latents, None)
        root = power[kept].clamp(min=1e-12).pow(0.25)
        self.mean.copy_(mean)
        self.basis.copy_(directions[:, kept].T.flip(0))
        self.scale.copy_((root * (root.square().mean().sqrt())).flip(0))

    def encode(self, motion: Tensor) -> Tensor:
        """Motion [B, T, 4, M] -> latents [B, T, K, 1, 1], of unit variance on average."""
        latents: Tensor = (motion.flatten(2) - self.mean) @ self.basis.T / self.scale
        return latents[..., None, None]

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, T, K, 1, 1] -> motion [B, T, 4, M]."""
        flat: Tensor = (latents.flatten(2) * self.scale) @ self.basis + self.mean
        return flat.unflatten(-1, (FRAMES_PER_LATENT, -1))

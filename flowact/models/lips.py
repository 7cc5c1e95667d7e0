"""What lips do to speech: linear in what was heard, measured by least squares.

A network that imagines motion draws one of all that may be, and what is drawn follows the voice less than its mean
does. The sound all but settles which shape a mouth takes, so lips are read off it and the rest is imagined (0020).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flowact.core.motion import MOTION_TRACKS, motion_slice

_VISEMES, _FACE = motion_slice("visemes"), motion_slice("face")
_RIDGE = 1e-4
_CLEARLY = 1.1
"""How much further than their mean lips go: of a strange voice the mean moves five sixths as far as it should,
and more than this trembles."""


@dataclass(frozen=True)
class LipsConfig:
    """Numbers of a frame of voice features."""

    audio_dim: int = 96


class Lips(nn.Module):
    """Two linear maps. Buffers: `weight` [V, Da] and `bias` [V] give visemes for voice features, `face` [U, V] how a
    face goes with them.
    """

    weight: Tensor
    bias: Tensor
    face: Tensor

    def __init__(self, config: LipsConfig) -> None:
        super().__init__()
        self.config, visemes = config, MOTION_TRACKS["visemes"]
        self.register_buffer("weight", torch.zeros(visemes, config.audio_dim))
        self.register_buffer("bias", torch.zeros(visemes))
        self.register_buffer("face", torch.zeros(MOTION_TRACKS["face"], visemes))

    def measure(self, audio: Tensor, motion: Tensor) -> None:
        """Fit the buffers to voice features [N, Da] and the motion [N, M] of the same frames."""
        shapes = motion[:, _VISEMES]
        slopes, offset = _least_squares(audio, shapes)
        self.weight.copy_(_CLEARLY * slopes.T)
        self.bias.copy_(_CLEARLY * offset + (1 - _CLEARLY) * shapes.double().mean(0))
        self.face.copy_(_least_squares(shapes, motion[:, _FACE])[0].T)

    def speak(self, motion: Tensor, audio: Tensor, present: Tensor) -> Tensor:
        """Motion [B, T, 4, M] with lips, and what goes with them, as voice features [B, T, 4, Da] say, as far as these
        are `present` [B, T].
        """
        heard = audio.to(self.weight) @ self.weight.T + self.bias
        change = (heard - motion[..., _VISEMES]) * present[..., None, None]
        spoken = motion.clone()
        spoken[..., _VISEMES] += change
        spoken[..., _FACE] += change @ self.face.T
        return spoken


def _least_squares(given: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes [G, W] and offset [W] that give wanted [N, W] for given [N, G]."""
    x, y = given.double(), wanted.double()
    mean_x, mean_y = x.mean(0), y.mean(0)
    x = x - mean_x
    power = x.T @ x
    power += _RIDGE * power.diagonal().mean() * torch.eye(len(power), dtype=power.dtype, device=power.device)
    slopes = torch.linalg.solve(power, x.T @ (y - mean_y))
    return slopes, mean_y - mean_x @ slopes

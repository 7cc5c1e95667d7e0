"""How the backbone is told what the body does: numbers for all places, and a map of where the hands are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.core.motion import HAND_REACH, MOTION_WIDTH, hand_points
from flowact.core.types import Conditions
from flowact.models.mmdit.config import MMDiTConfig
from flowact.nn.spots import spots

_SPREAD = 0.045
"""Deviation of a point's spot, in shares of the picture: about a finger's breadth."""


class Moves(nn.Module):
    """What the motion of a latent frame means at each of its places: added to the video tokens there."""

    def __init__(self, config: MMDiTConfig) -> None:
        super().__init__()
        self.grid, self.patch = config.grid, config.patch
        hidden = config.mlp_ratio * config.width
        self.read = nn.Linear(FRAMES_PER_LATENT * MOTION_WIDTH, hidden)
        self.see = nn.Linear(FRAMES_PER_LATENT * 2 * len(HAND_REACH) * config.patch**2, hidden)
        self.place = nn.Parameter(torch.randn(config.video_tokens, hidden) * 0.5)
        self.over = nn.Linear(config.width, hidden)
        self.tell = nn.Linear(hidden, config.width)
        for parameter in self.tell.parameters():
            nn.init.zeros_(parameter)

    def forward(self, given: Conditions, backdrop: Tensor) -> Tensor:
        """What is given, over the `backdrop` [B, 1, N, D] that it happens to: [B, T, N, D]; zero without motion."""
        hidden = self.read(given.motion.flatten(2))[:, :, None] + self.see(self.spots(given.motion))
        hidden = hidden + self.place + self.over(backdrop)
        told: Tensor = self.tell(F.gelu(hidden, approximate="tanh"))
        return told * given.motion_present[:, :, None, None].to(told)

    def spots(self, motion: Tensor) -> Tensor:
        """Where the hands are: motion [B, T, 4, M] -> [B, T, N, 4 * 6 * p * p], 0..1 in every cell of every token."""
        seen = spots(hand_points(motion).flatten(2, 4), self.grid, _SPREAD)  # B T P H W
        p = self.patch
        patches = seen.unflatten(-1, (-1, p)).unflatten(-3, (-1, p))  # B T P h p w p
        return patches.permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(2, 3)

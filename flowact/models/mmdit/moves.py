"""How the backbone is told what the body does: numbers for all places, and a map of where the hands are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.core.motion import MOTION_SCALE, MOTION_WIDTH, motion_slice
from flowact.core.types import Conditions
from flowact.models.mmdit.config import MMDiTConfig

_REACH = (0.0, 0.27, 0.5)
"""Points along a hand, wrist to fingertips, in shoulder widths from the wrist."""
_HANGING = ((0.5, -1.5, 0.0), (-0.5, -1.5, 0.0))
"""Wrists (left, right) of arms at rest, out of the picture."""
_CAMERA = ((0.963, 0.02, -0.005, 0.499), (0.002, -1.066, -0.068, 0.919))
"""Column and row in shares of the picture from x, y, z and 1: measured on the studio's head-and-shoulders framing."""
_SPREAD = 0.07
"""Deviation of a point's spot, in shares of the picture: about what framing and build differ between people."""


class Moves(nn.Module):
    """What the motion of a latent frame means at each of its places: added to the video tokens there."""

    def __init__(self, config: MMDiTConfig) -> None:
        super().__init__()
        self.grid, self.patch = config.grid, config.patch
        hidden = config.mlp_ratio * config.width
        self.camera = nn.Parameter(torch.tensor(_CAMERA))
        self.read = nn.Linear(FRAMES_PER_LATENT * MOTION_WIDTH, hidden)
        self.see = nn.Linear(FRAMES_PER_LATENT * 2 * len(_REACH) * config.patch**2, hidden)
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
        points = self.points(motion).flatten(2, 3)  # B T P 2
        cells = (torch.arange(self.grid, device=motion.device) + 0.5) / self.grid
        column, row = ((-0.5 * ((points[..., i, None] - cells) / _SPREAD).square()).exp() for i in (0, 1))
        spots = row[..., :, None] * column[..., None, :]  # B T P H W
        p = self.patch
        patches = spots.unflatten(-1, (-1, p)).unflatten(-3, (-1, p))  # B T P h p w p
        return patches.permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(2, 3)

    def points(self, motion: Tensor) -> Tensor:
        """Six points along both hands, column and row in shares of the picture: [B, T, 4, 6, 2]."""
        motion = motion.float()
        up = motion[..., motion_slice("hand_active")] / MOTION_SCALE["hand_active"]
        wrist, fingers = (
            motion[..., motion_slice(name)].unflatten(-1, (2, 3)) / MOTION_SCALE[name] for name in ("wrist", "fingers")
        )
        hanging = torch.tensor(_HANGING, device=motion.device)
        wrist = wrist + (1 - up)[..., None] * hanging
        reach = torch.tensor(_REACH, device=motion.device)
        points = (wrist[..., None, :] + reach[:, None] * fingers[..., None, :]).flatten(-3, -2)
        seen: Tensor = F.linear(points, self.camera[:, :3].float(), self.camera[:, 3].float())
        return seen

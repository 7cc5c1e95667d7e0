"""How the decoder is told what the body does: numbers for all places, and maps of where the hands are."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from flowact.core.motion import HAND_REACH, MOTION_WIDTH
from flowact.models.video_vae.blocks import conv
from flowact.nn.spots import spots

_SPREAD_CELLS = 0.7
"""Deviation of a hand's point on the map, in cells: less would fall between them."""


class Told(nn.Module):
    """x + tell(silu(see x + read motion + map of hands)) at every place: what is shown there depends on both.

    Args:
        channels: of the features that are told.
        frames: video frames that one feature map stands for.
        width: hidden width.
    """

    def __init__(self, channels: int, frames: int, width: int) -> None:
        super().__init__()
        self.read = nn.Linear(frames * MOTION_WIDTH, width)
        self.see = conv(channels, width, 1)
        self.hands = conv(frames * 2 * len(HAND_REACH), width, 3)
        self.tell = conv(width, channels, 1, gain=0.0)

    def forward(self, x: Tensor, motion: Tensor, hands: Tensor) -> Tensor:
        """Square features [N, C, h, h], motion [N, frames, M], hands [N, frames, P, 2] in shares of the side."""
        where = spots(hands.flatten(1, 2).float(), x.shape[-1], _SPREAD_CELLS / x.shape[-1])
        heard = self.read(motion.flatten(1).to(x.dtype))[:, :, None, None]
        hidden = self.see(x) + heard + self.hands(where.to(x.dtype))
        told: Tensor = x + self.tell(F.silu(hidden))
        return told

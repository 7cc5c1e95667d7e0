"""Sheets: a picture before it is laid, at a quarter of its size; what lies between two pictures is the mean of theirs.

See docs/decisions/0018.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.models.video_vae.warp import enlarge, warp

PAINTED = 2
"""Of the four pictures of a latent frame so many are painted, the second and the fourth."""
STEP = FRAMES_PER_LATENT // PAINTED
SHEET_MASK = 16
SHEET = 2 + 3 * 16 + SHEET_MASK
"""Channels of a sheet: the flow in pixels, then phases of paint, and of the mask before its sigmoid."""


class Layers(NamedTuple):
    """What a decoded clip is laid of: mask * moved + (1 - mask) * painted.

    Attributes:
        painted: [B, F, 3, H, W] what is new.
        moved: [B, F, 3, H, W] the portrait where the flow takes it.
        mask: [B, F, 1, H, W] in 0..1.
        flow: [B, F, 2, H/4, W/4] where that takes it, in pixels.
    """

    painted: Tensor
    moved: Tensor
    mask: Tensor
    flow: Tensor

    @property
    def pixels(self) -> Tensor:
        """The clip [B, F, 3, H, W]."""
        return torch.lerp(self.painted, self.moved, self.mask)

    @staticmethod
    def of(sheets: Tensor, moved: Tensor) -> Layers:
        """Of sheets [B, F, SHEET, H/4, W/4], and the portrait where their flow takes it."""
        painted, mask = F.pixel_shuffle(sheets[:, :, 2:], 4).split([3, 1], 2)
        return Layers(painted, moved, mask.sigmoid(), sheets[:, :, :2])


def move(pixels: Tensor, flow_4: Tensor) -> Tensor:
    """The portraits [B, 3, H, W] where flows [B*F, 2, H/4, W/4] take them, [B*F, 3, H, W].

    Pixels are warped at full resolution: at 1/4 a shift of two pixels would average pixels four apart.
    """
    return warp(pixels, enlarge(flow_4, 4), pixels.shape[-1], is_sharp=True)


def halfway(last: Tensor, sheets: Tensor) -> Tensor:
    """Half way between each of the sheets [B, F, ...] and the one before it, of which the first is `last`
    (`DecodeState.sheet`).
    """
    first = last[:, None] if last.shape[1] else sheets[:, :1]
    return (torch.cat([first, sheets[:, :-1]], 1) + sheets) / 2


def alternate(first: Tensor, second: Tensor) -> Tensor:
    """[B, F, ...] and [B, F, ...] in turn, [B, 2F, ...]."""
    return torch.stack([first, second], 2).flatten(1, 2)

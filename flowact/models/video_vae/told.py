"""How the decoder is told what the body does: numbers for all places, maps of where hands are, colours, and a flow."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowact.core.motion import HAND_REACH, MOTION_WIDTH
from flowact.models.video_vae.blocks import conv
from flowact.models.video_vae.config import SPATIAL_FACTOR
from flowact.nn.spots import spots

_SPREAD_CELLS = 0.7
"""Deviation of a hand's point on the map, in cells: less would fall between them."""
_PLACES = 4
SAME_PICTURE_PX = 256
"""Side of the picture whose pixels the common flow is measured in."""


class Palette(nn.Module):
    """What skin and clothes look like, wherever they are: a hand comes up where the portrait shows a shirt.

    A few soft places of the portrait are found, and its colours and features there are averaged.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.find = conv(channels, _PLACES, 1)

    @staticmethod
    def width(channels: int) -> int:
        """Numbers of a palette that is made of a portrait's features with some channels."""
        return _PLACES * (3 + channels)

    def forward(self, pixels: Tensor, features_16: Tensor) -> Tensor:
        """Portraits [B, 3, H, W] and their features [B, C, H/16, W/16] to palettes [B, width]."""
        where = self.find(features_16).float().flatten(2).softmax(-1)
        small = F.avg_pool2d(pixels.float(), SPATIAL_FACTOR)
        shown = torch.cat([small, features_16.float()], 1).flatten(2)
        return (where @ shown.transpose(1, 2)).flatten(1)


class Told(nn.Module):
    """x + tell(silu(see x + read motion + map of hands + palette)) at every place: what is shown depends on them all.

    Args:
        channels: of the features that are told.
        frames: video frames that one feature map stands for.
        width: hidden width.
        palette: numbers of the palette.
    """

    def __init__(self, channels: int, frames: int, width: int, palette: int) -> None:
        super().__init__()
        self.read = nn.Linear(frames * MOTION_WIDTH, width)
        self.see = conv(channels, width, 1)
        self.hands = conv(frames * 2 * len(HAND_REACH), width, 3)
        self.colours = nn.Linear(palette, width, bias=False)
        self.tell = conv(width, channels, 1, gain=0.0)

    def forward(self, x: Tensor, motion: Tensor, hands: Tensor, palette: Tensor) -> Tensor:
        """Square features [N, C, h, h], motion [N, frames, M], hands [N, frames, P, 2] in shares of the side, and
        palettes [B, width] of the portraits, each of N / B features in a row.
        """
        where = spots(hands.flatten(1, 2).float(), x.shape[-1], _SPREAD_CELLS / x.shape[-1])
        colours = self.colours(palette.to(x.dtype)).repeat_interleave(len(x) // len(palette), 0)
        heard = self.read(motion.flatten(1).to(x.dtype)) + colours
        hidden = self.see(x) + heard[:, :, None, None] + self.hands(where.to(x.dtype))
        told: Tensor = x + self.tell(F.silu(hidden))
        return told


class CommonFlow(nn.Module):
    """Where the picture of an average body is found in its portrait, linear in motion. Not learnt from nothing: it is
    measured on labels (`train.data.flow`), and the network has only to say how this body differs.

    `field` [M, 2, g, g]: pixels of a 256-wide picture per number of motion, x and y, at the places of the agreed
    framing.
    """

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.field = nn.Parameter(torch.zeros(MOTION_WIDTH, 2, grid, grid))

    def forward(self, motion: Tensor, window: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Motion [N, M], seen through windows [N, 3] of the picture (None = all of it), to flows [N, 2, *size] in
        shares of the picture's side.
        """
        flow = F.linear(motion.float(), self.field.flatten(1).T).unflatten(1, self.field.shape[1:]) / SAME_PICTURE_PX
        if window is not None:
            corner, side = window[:, :2], window[:, 2:]
            shift = (2 * corner + side - 1)[..., None]
            zoom = side[..., None] * torch.eye(2, device=side.device)
            grid = F.affine_grid(torch.cat([zoom, shift], -1), [len(flow), 2, *size], align_corners=False)
            return F.grid_sample(flow, grid, padding_mode="border", align_corners=False)
        if tuple(flow.shape[2:]) == size:
            return flow
        return F.interpolate(flow, size=size, mode="bilinear", align_corners=False)

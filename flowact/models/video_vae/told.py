"""How the decoder is told what the body does: numbers for all places, drawings of the arms, colours, and a flow."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowact.core.arms import FINGERS, FOREARM, PALM, arm_bones
from flowact.core.motion import MOTION_WIDTH
from flowact.models.video_vae.blocks import conv
from flowact.models.video_vae.config import SPATIAL_FACTOR
from flowact.nn.spots import spots, strokes

ARM_MAPS = 6
"""Of a frame: forearm, palm and fingers of the left and of the right arm."""
SKIN_MAPS = 3
"""Of a frame: the arms once more, in the colour of the skin."""
_RADIUS = ((FOREARM, 0.05), (PALM, 0.03), (FINGERS, 0.018))
"""Deviation of the strokes of bones, in shares of the picture."""
_LEAST_CELLS = 0.5
"""Deviation of a stroke at least, in cells: less would fall between them."""
_PLACES = 4
_FEATURES = 0.3
"""Size of a feature of the portrait in its palette; colours are about as large."""
_FACE = (0.5, 0.46, 0.06)
"""Column, row and deviation of the middle of faces in the agreed framing, in shares of the picture."""
SAME_PICTURE_PX = 256
"""Side of the picture whose pixels the common flow is measured in."""


def directions(features: Tensor) -> Tensor:
    """Features [B, C, h, w] of a portrait, all of one length: bold stripes have features ten times as long as a face's,
    and only their direction counts.
    """
    return F.normalize(features.float(), dim=1) * features.shape[1] ** 0.5


class Palette(nn.Module):
    """What skin and clothes look like, wherever they are: a hand comes up where the portrait shows a shirt.

    A few soft places of the portrait are found, and its colours and features there are averaged. One place more is
    agreed on: the middle of the face, whose colour is the skin's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.find = conv(channels, _PLACES, 1)

    @staticmethod
    def width(channels: int) -> int:
        """Numbers of a palette that is made of a portrait's features with some channels."""
        return (_PLACES + 1) * (3 + channels)

    @staticmethod
    def skin(palette: Tensor) -> Tensor:
        """The colour [B, 3] of skin in palettes [B, width]."""
        return palette.unflatten(1, (_PLACES + 1, -1))[:, -1, :3]

    def forward(self, pixels: Tensor, features_16: Tensor) -> Tensor:
        """Portraits [B, 3, H, W] and their features [B, C, H/16, W/16] to palettes [B, width]."""
        features = directions(features_16)
        where = self.find(features.to(features_16.dtype)).float().flatten(2).softmax(-1)
        face = spots(where.new_tensor(_FACE[:2]), features_16.shape[-1], _FACE[2]).flatten()
        where = torch.cat([where, (face / face.sum()).expand(len(where), 1, -1)], 1)
        small = F.avg_pool2d(pixels.float(), SPATIAL_FACTOR)
        shown = torch.cat([small, _FEATURES * features], 1).flatten(2)
        return (where @ shown.transpose(1, 2)).flatten(1)


class Told(nn.Module):
    """x + tell(silu(see x + read motion + drawing of the arms + palette)) at every place: what is shown depends on all.

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
        self.arms = conv(frames * ARM_MAPS, width, 3)
        self.colours = nn.Linear(palette, width, bias=False)
        self.tell = conv(width, channels, 1, gain=0.0)

    def forward(self, x: Tensor, motion: Tensor, arms: Tensor, palette: Tensor) -> Tensor:
        """Square features [N, C, h, h], motion [N, frames, M], drawings [N, frames * ARM_MAPS, h, h], and palettes
        [B, width] of the portraits, each of N / B features in a row.
        """
        colours = self.colours(palette.to(x.dtype)).repeat_interleave(len(x) // len(palette), 0)
        heard = self.read(motion.flatten(1).to(x.dtype)) + colours
        hidden = self.see(x) + heard[:, :, None, None] + self.arms(arms.to(x.dtype))
        told: Tensor = x + self.tell(F.silu(hidden))
        return told


class Telling(NamedTuple):
    """What a decoder is told of B clips of T latent frames: motion, and what it means on the picture.

    Attributes:
        motion: [B, T, 4, M] what moved since the portrait (`core.motion.seen_from`).
        palette: [B, width] of the portraits.
        arms_4: [B * 4T, ARM_MAPS, H/4, W/4] the arms, drawn.
        common: [B * 4T, 2, H/8, W/8] where an average body is found in its portrait, in pixels.
    """

    motion: Tensor
    palette: Tensor
    arms_4: Tensor
    common: Tensor

    def every(self, step: int) -> Telling:
        """Of every `step`-th picture alone: of each latent frame its last, and those `step` before."""
        first = step - 1
        return Telling(self.motion[:, :, first::step], self.palette, self.arms_4[first::step], self.common[first::step])

    def coloured_arms(self) -> Tensor:
        """The arms, and once more in the colour of the skin: [N, ARM_MAPS + SKIN_MAPS, H/4, W/4]."""
        skin = Palette.skin(self.palette).repeat_interleave(len(self.arms_4) // len(self.palette), 0)
        return torch.cat([self.arms_4, self.arms_4.amax(1, keepdim=True) * skin[:, :, None, None]], 1)


class Teller(nn.Module):
    """Motion to what it means on the picture.

    Where an average body is found in its portrait is linear in motion, and not learnt from nothing: `field` is measured
    on labels (`train.data.flow`), and the network has only to say how this body differs.

    `field` [M, 2, g, g]: pixels of a 256-wide picture per number of motion, x and y, at the places of the agreed
    framing.
    """

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.field = nn.Parameter(torch.zeros(MOTION_WIDTH, 2, grid, grid))

    def forward(self, motion: Tensor, palette: Tensor, window: Tensor | None, side: int) -> Telling:
        """What motion [B, T, 4, M] says of pictures of a side of people with palettes [B, width], or of windows [B, 3]
        (column, row and side, in shares of the picture) that are shown on such a side.
        """
        arms = draw_arms(told_bones(motion, window), side // 4, window).flatten(0, 2)
        flow = self.flow(motion, window, side // 8).flatten(0, 2) * side
        return Telling(motion, palette, arms, flow)

    def follow(self, place: Tensor, motion: Tensor) -> Tensor:
        """Where motion [B, F, M] takes places [B, 2] of portraits: [B, F, 2]; column and row in shares of it."""
        rows, field = len(place), self.field.flatten(0, 1)[None]
        here = (2 * place - 1)[:, None, None]
        slopes = F.grid_sample(field.expand(rows, -1, -1, -1), here, padding_mode="border", align_corners=False)
        slopes = slopes.flatten(1).unflatten(1, (-1, 2)) / SAME_PICTURE_PX
        # The field says where a picture is found: against the way it went.
        return place[:, None] - motion.float() @ slopes

    def flow(self, motion: Tensor, window: Tensor | None, side: int) -> Tensor:
        """Motion [B, T, 4, M] to flows [B, T, 4, 2, side, side] in shares of the side."""
        flow = F.linear(motion.flatten(0, 2).float(), self.field.flatten(1).T) / SAME_PICTURE_PX
        flow = flow.unflatten(1, self.field.shape[1:])
        if window is not None:
            window = window.repeat_interleave(len(flow) // len(window), 0)
            corner, share = window[:, :2], window[:, 2:]
            shift = (2 * corner + share - 1)[..., None]
            zoom = share[..., None] * torch.eye(2, device=share.device)
            grid = F.affine_grid(torch.cat([zoom, shift], -1), [len(flow), 2, side, side], align_corners=False)
            flow = F.grid_sample(flow, grid, padding_mode="border", align_corners=False) / share[..., None, None]
        elif flow.shape[-1] != side:
            flow = F.interpolate(flow, size=side, mode="bilinear", align_corners=False)
        return flow.unflatten(0, motion.shape[:3])


def told_bones(motion: Tensor, window: Tensor | None) -> Tensor:
    """The bones of both arms (`core.arms`) as motion [B, T, 4, M] tells them, [B, T, 4, 2, BONES, 2, 2] in shares of
    the picture or of its windows [B, 3].
    """
    bones = arm_bones(motion)[..., :2]
    if window is None:
        return bones
    window = window[:, None, None, None, None, None]
    return (bones - window[..., :2]) / window[..., 2:]


def draw_arms(bones: Tensor, side: int, window: Tensor | None, wider: float = 1.0) -> Tensor:
    """Bones [B, T, 4, 2, BONES, 2, 2] drawn on a square, [B, T, 4, ARM_MAPS, side, side] in 0..1.

    Strokes are as thick as limbs are in the whole picture, of which `window` [B, 3] says which part this is, times
    `wider`.
    """
    maps = []
    for part, radius in _RADIUS:
        limb = bones[..., part, :, :]
        wide = torch.tensor(radius * wider, device=bones.device)
        if window is not None:
            wide = (wide / window[:, 2:])[:, None, None, None]
        wide = wide.clamp(min=_LEAST_CELLS / side).expand(limb.shape[:-2])
        maps.append(strokes(limb, side, wide).amax(-3))
    return torch.stack(maps, -3).flatten(3, 4)

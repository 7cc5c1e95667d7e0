"""The decoder of the video codec written for a graph compiler: same weights, same picture, less moving of data.

The picture is kept as its 16 phases at a quarter of the size, where the last convolutions work anyway: the flow is
enlarged, the portrait sampled, mask and paint are mixed there, and only the finished bytes are put into rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from flowact.models.video_vae.model import VideoVAE

PHASES = 4
"""The picture is this many times larger than where the last convolutions work."""


class DecoderGraph(nn.Module):
    """Latents and the portrait to bytes, one row.

    Args of `forward`: latents [1, T, C, h, w]; the portrait's pixels [1, 3, H, W] and features at 1/8 and 1/16; the
    last picture's sheet [1, SHEET, H/4, W/4]; per causal block its memory [1, C, h, w]; last, for a decoder that can be
    told, palette [1, P] and what moved since the portrait [1, T, 4, M].
    """

    base_8: Tensor
    base_1: Tensor
    enlarge_weight: Tensor

    def __init__(self, codec: VideoVAE, height: int, width: int, every: int = 1) -> None:
        """Pictures of `height` x `width` pixels; `every` as for `VideoVAE.decode`."""
        super().__init__()
        self.every, self.step = every, codec.step
        self.trunk, self.painter = codec.trunk, codec.painter
        self.teller = codec.teller
        self.size = (height, width)
        self.register_buffer("base_8", _grid(height // 8, width // 8))
        self.register_buffer("base_1", _phases(_grid(height, width)))
        per_px = torch.tensor([2 / width, 2 / height])
        self.register_buffer("to_grid", per_px[:, None, None])
        self.register_buffer("enlarge_weight", _enlarging_weight(per_px))
        head = codec.painter.head
        assert head.bias is not None
        weight, bias = head.weight.detach(), head.bias.detach()
        colours = 3 * PHASES**2
        self.paint_weight, self.paint_bias = weight[:colours].clone(), bias[:colours].clone()
        self.mask_weight, self.mask_bias = weight[colours:].repeat(3, 1, 1, 1), bias[colours:].repeat(3)

    def forward(
        self, latents: Tensor, pixels: Tensor, features_8: Tensor, features_16: Tensor, sheet: Tensor, *rest: Tensor
    ) -> tuple[Tensor, ...]:
        """Frames uint8 [4T / every, H, W, 3], the last one's sheet, then the memory of each causal block."""
        p = self.painter
        count = len(self.trunk.coarse)
        memory = rest[:count]
        told = None
        if self.teller is not None:
            palette, motion = rest[count:]
            told = self.teller(motion, palette, None, self.size[1])
        x, after = self.trunk(latents, features_16, memory, told)
        told = None if told is None else told.every(self.step)
        flow = p.coarse_flow(x) * p.reach_px
        if p.trust is not None and told is not None:
            flow = flow + 2 * p.trust(x).sigmoid() * told.common
        moved = _sample(features_8, (flow * self.to_grid + self.base_8).permute(0, 2, 3, 1))
        x = p.fine_8(p.join_8(torch.cat((x, moved), 1)))
        x = F.pixel_shuffle(p.up(x), 2)
        flow = F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=False) + p.fine_flow(x) * p.reach_px
        moved = self._move(pixels, flow)
        x = p.join_4(torch.cat((x, moved), 1))
        if p.arms is not None and told is not None:
            x = x + p.arms(told.coloured_arms())
        x = p.fine_4(x)
        painted = F.conv2d(x, self.paint_weight, self.paint_bias)
        mask = F.conv2d(x, self.mask_weight, self.mask_bias)
        rows = self._lay(painted, mask, moved)
        last = torch.cat((flow[-1:], painted[-1:], mask[-1:, : PHASES**2]), 1)
        if self.every == 1:
            last_flow, last_painted, last_mask = sheet.split((2, 3 * PHASES**2, PHASES**2), 1)
            passed = self._move(pixels, _halfway(last_flow, flow))
            between = self._lay(_halfway(last_painted, painted), _halfway(last_mask.repeat(1, 3, 1, 1), mask), passed)
            rows = torch.stack((between, rows), 1).flatten(0, 1)
        return rows, last, *after

    def _move(self, pixels: Tensor, flow: Tensor) -> Tensor:
        """The portrait [1, 3, H, W] where flows [F, 2, H/4, W/4] take it, as phases [F, 48, H/4, W/4]."""
        grid = F.conv2d(F.pad(flow, (1, 1, 1, 1), mode="replicate"), self.enlarge_weight) + self.base_1
        # Channels are put last before they are taken apart: convolutions leave them there, so nothing moves twice.
        grid = grid.permute(0, 2, 3, 1).unflatten(-1, (-1, 2)).permute(0, 3, 1, 2, 4).flatten(1, 2)
        return _sample(pixels, grid, "bicubic").unflatten(2, (-1, self.size[0] // PHASES)).flatten(1, 2)

    def _lay(self, painted: Tensor, mask: Tensor, moved: Tensor) -> Tensor:
        """Phases [F, 48, H/4, W/4] of paint, mask before its sigmoid, and moved portrait to bytes [F, H, W, 3]."""
        mixed = painted + mask.sigmoid() * (moved - painted)
        bytes_ = (mixed * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
        rows = bytes_.permute(0, 2, 3, 1).unflatten(-1, (3, PHASES, PHASES)).permute(0, 1, 4, 2, 5, 3)
        return rows.flatten(3, 4).flatten(1, 2)


def _halfway(last: Tensor, drawn: Tensor) -> Tensor:
    """Half way between each of `drawn` [F, ...] and the one before it, of which the first is `last` [1, ...]."""
    return (torch.cat((last, drawn[:-1])) + drawn) * 0.5


def _sample(source: Tensor, grid: Tensor, mode: str = "bilinear") -> Tensor:
    """Sample source [1, C, h, w] at grid [F, y, x, 2]: [F, C, y, x]."""
    copies = source.expand(grid.shape[0], -1, -1, -1)
    return F.grid_sample(copies, grid, mode=mode, padding_mode="border", align_corners=False)


def _grid(height: int, width: int) -> Tensor:
    """Where each pixel lies for `grid_sample`, [2, height, width], x first."""
    x = (torch.arange(width) + 0.5) * (2 / width) - 1
    y = (torch.arange(height) + 0.5) * (2 / height) - 1
    return torch.stack((x.expand(height, -1), y[:, None].expand(-1, width)))


def _phases(grid: Tensor) -> Tensor:
    """[2, H, W] as its phases, [16 * 2, H/4, W/4], phase outermost."""
    return F.pixel_unshuffle(grid[None], PHASES)[0].unflatten(0, (2, -1)).transpose(0, 1).flatten(0, 1).contiguous()


def _enlarging_weight(gain: Tensor) -> Tensor:
    """Bilinear enlargement by four as a convolution to phases, [16 * 2, 2, 3, 3]; x and y are multiplied by `gain`."""
    offset = (torch.arange(PHASES) + 0.5) / PHASES - 0.5
    along = torch.stack(((-offset).clamp(min=0), 1 - offset.abs(), offset.clamp(min=0)), 1)
    both = along[:, None, :, None] * along[None, :, None, :]
    weight = both.flatten(0, 1)[:, None, None] * torch.diag(gain)[None, :, :, None, None]
    return weight.flatten(0, 1)

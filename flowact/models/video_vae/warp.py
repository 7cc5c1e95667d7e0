"""Moving pictures along a flow: where each output pixel finds itself in the portrait."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def warp(source: Tensor, flow_px: Tensor, picture_width: int, is_sharp: bool = False) -> Tensor:
    """Sample `source` where the flow points (backward warp, the border repeated outside).

    Always computed in float32: bfloat16 has 8 bits, too few to address a pixel of a 256-wide picture.

    Args:
        source: [B, C, h, w], at any scale of the picture.
        flow_px: [B*F, 2, h, w], x and y displacement in pixels of the full picture, zero = stay.
        picture_width: width of the full picture in pixels, which fixes the scale of `source`.
        is_sharp: bicubic, not bilinear: a picture moved by half a pixel keeps its edges, and may overshoot a little.

    Returns:
        [B*F, C, h, w] float32.
    """
    rows, _, height, width = source.shape
    frames = len(flow_px) // rows
    scale = width / picture_width
    x = torch.arange(width, device=source.device, dtype=torch.float32)
    y = torch.arange(height, device=source.device, dtype=torch.float32)[:, None]
    flow = flow_px.float() * scale
    grid = torch.stack(
        [(x + flow[:, 0] + 0.5) * (2 / width) - 1, (y + flow[:, 1] + 0.5) * (2 / height) - 1],
        dim=-1,
    )
    # One copy of the source per frame lets the CPU kernel, which is parallel over the batch only, use every core.
    copies = source.float()[:, None].expand(-1, frames, -1, -1, -1).flatten(0, 1)
    mode = "bicubic" if is_sharp else "bilinear"
    return F.grid_sample(copies, grid, mode=mode, padding_mode="border", align_corners=False)


def enlarge(flow_px: Tensor, factor: int) -> Tensor:
    """Flow [N, 2, h, w] at `factor` times the resolution, bilinear, float32; the unit stays picture pixels."""
    return F.interpolate(flow_px.float(), scale_factor=factor, mode="bilinear", align_corners=False)

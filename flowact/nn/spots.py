"""Points and lines as maps: where something is, told to a network that looks at places."""

from __future__ import annotations

import torch
from torch import Tensor


def spots(points: Tensor, side: int, spread: float) -> Tensor:
    """A soft spot around each point: [..., 2] (column, row in shares of the picture) -> [..., side, side] in 0..1.

    `spread` is the deviation of a spot in shares of the picture; a point outside leaves at most its rim.
    """
    cells = (torch.arange(side, device=points.device) + 0.5) / side
    column, row = ((-0.5 * ((points[..., i, None] - cells) / spread).square()).exp() for i in (0, 1))
    return row[..., :, None] * column[..., None, :]


def strokes(ends: Tensor, side: int, radius: Tensor) -> Tensor:
    """A soft stroke between two points: [..., 2, 2] (begin and end; column, row in shares of the picture) ->
    [..., side, side] in 0..1, a Gauss curve across the line.

    `radius` [...] is its deviation in shares of the picture.
    """
    cells = (torch.arange(side, device=ends.device) + 0.5) / side
    begin, line = ends[..., 0, :], ends[..., 1, :] - ends[..., 0, :]
    x = cells - begin[..., 0, None]  # [..., side]
    y = cells - begin[..., 1, None]
    length = line.square().sum(-1).clamp(min=1e-8)[..., None]
    along_x, along_y = x * line[..., 0, None] / length, y * line[..., 1, None] / length
    share = (along_x[..., None, :] + along_y[..., :, None]).clamp(0, 1)
    off_x = x[..., None, :] - share * line[..., 0, None, None]
    off_y = y[..., :, None] - share * line[..., 1, None, None]
    off = off_x.square() + off_y.square()
    return (-0.5 * off / radius.square()[..., None, None]).exp()

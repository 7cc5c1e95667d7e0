"""Points as maps: where something is, told to a network that looks at places."""

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

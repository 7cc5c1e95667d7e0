"""Limbs as a camera sees them: rods with round ends, the nearest in front, drawn from far away."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Seen(NamedTuple):
    """What is seen of K rods at each of S x S places of N pictures.

    Attributes:
        which: [N, K, S, S] 1 for the rod that is seen there, 0 for all others; all 0 where none is.
        normal: [N, 3, S, S] where its surface faces: right, down, and towards the camera; 0 where there is none.
        depth: [N, 1, S, S] how near it is; 0 where there is none.
        along: [N, 1, S, S] 0 where it begins, 1 where it ends; 0 where there is none.
        outside: [N, 1, S, S] how far off the nearest rod is, in shares of the picture; negative inside.
    """

    which: Tensor
    normal: Tensor
    depth: Tensor
    along: Tensor
    outside: Tensor


def look_at_capsules(ends: Tensor, radii: Tensor, side: int) -> Seen:
    """Look at rods with ends [N, K, 2, 3] (column, row in shares of the picture, and nearness on the same scale) and
    radii [K, 2] at them, of pictures of `side`.
    """
    cells = (torch.arange(side, device=ends.device) + 0.5) / side
    begin, line = ends[..., 0, :, None, None], (ends[..., 1, :] - ends[..., 0, :])[..., None, None]
    x, y = cells - begin[:, :, 0], cells[:, None] - begin[:, :, 1]
    flat = line[:, :, :2].square().sum(2).clamp(min=1e-6)
    foot = (x * line[:, :, 0] + y * line[:, :, 1]) / flat
    middle = radii.mean(1)[:, None, None]
    beside = (x - foot * line[:, :, 0]).square() + (y - foot * line[:, :, 1]).square()
    rise = (middle.square() - beside).clamp(min=0).sqrt()
    # A rod that comes towards the camera is met before its axis is.
    lean = line[:, :, 2] / (flat * (flat + line[:, :, 2].square())).sqrt()
    along = (foot + rise * lean).clamp(0, 1)
    off_x, off_y = x - along * line[:, :, 0], y - along * line[:, :, 1]
    first, last = radii[:, :1, None], radii[:, 1:, None]
    radius = first + along * (last - first)
    off = off_x.square() + off_y.square()
    up = (radius.square() - off).clamp(min=0).sqrt()
    height = begin[:, :, 2] + along * line[:, :, 2] + up
    seen = torch.where(up > 0, height, _NOWHERE)
    which = ((seen == seen.amax(1, keepdim=True)) & (up > 0)).to(ends.dtype)
    shown = which / radius
    normal = torch.stack([(shown * part).sum(1) for part in (off_x, off_y, up)], 1)
    depth, along = ((which * part).sum(1, keepdim=True) for part in (height, along))
    return Seen(which, normal, depth, along, (off.sqrt() - radius).amin(1, keepdim=True))


_NOWHERE = -1e3

"""Makes training pictures of the judges differ: generated pictures are not renders, and the locator errs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from flowact.evaluate.judges import to_tensor
from flowact.evaluate.looking import Frames


def take_crops(crops: Frames, side: int) -> Tensor:
    """Crops shifted, scaled and turned a little: the locator errs as well."""
    pictures = to_tensor(crops)
    n, outer = len(pictures), pictures.shape[-1]
    scale = side / outer * (1 + 0.3 * (torch.rand(n) - 0.5))
    turn = 0.25 * (torch.rand(n) - 0.5)
    shift = (torch.rand(n, 2) - 0.5) * 0.3
    cos, sin = scale * turn.cos(), scale * turn.sin()
    matrix = torch.stack([torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1)
    with torch.autocast("cpu", enabled=False):  # half precision would bend a crop by parts of a pixel, and move irises
        grid = F.affine_grid(matrix, [n, 3, side, side], align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def mirror(pictures: Tensor, *labels: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Half of the pictures [N, 3, H, W] mirrored, and of each pair of labels [N, D], as they are and mirrored, the one
    that belongs to the picture.
    """
    turned = torch.rand(len(pictures), 1) < 0.5
    chosen = [torch.where(turned, other, label) for label, other in labels]
    return torch.where(turned[..., None, None], pictures.flip(-1), pictures), *chosen


def vary(pictures: Tensor) -> Tensor:
    """Other light, less sharpness, noise: generated pictures are not renders."""
    n, side = len(pictures), pictures.shape[-1]
    if torch.rand(()) < 0.5:
        less = max(12, int(side / (1 + 1.5 * torch.rand(()).item())))
        small = F.interpolate(pictures, less, mode="bilinear", antialias=True)
        pictures = F.interpolate(small, side, mode="bilinear")
    light = 1 + 0.3 * (torch.rand(n, 1, 1, 1) - 0.5) + 0.12 * (torch.rand(n, 3, 1, 1) - 0.5)
    pictures = (pictures - 0.5) * (1 + 0.3 * (torch.rand(n, 1, 1, 1) - 0.5)) + 0.5
    return (pictures * light + 0.02 * torch.rand(()) * torch.randn_like(pictures)).clamp(0, 1)

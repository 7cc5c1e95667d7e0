"""Where bodies go when they move, measured on the points of a data set: see `models.video_vae.told.Teller`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.core.motion import MOTION_WIDTH
from flowact.models.video_vae.told import SAME_PICTURE_PX
from flowact.studio.performance import LANDMARKS
from flowact.train.data.frames import Array, FrameStore
from flowact.train.data.latents import LatentStore

_EVERY = 4
"""One frame in so many is measured."""
_NEAR_CELLS, _REACH_CELLS = 1.0, 3
"""Deviation and reach with which neighbouring cells are measured together."""
_RIDGE = 10.0
"""Points that stay where they are, whatever moves, beside those of a cell: what was hardly ever seen stays."""
_NOT_OF_FACES = ("iris", "wrist", "knuckle")


def measure_common_flow(frames: FrameStore, store: LatentStore, grid: int) -> Tensor:
    """The field [M, 2, grid, grid] of a common flow.

    In each cell of the picture, how far points of surfaces went there since the portrait is fitted by what moved,
    linear and by least squares. Walls do not count: a decoder learns where there is one.

    Args:
        frames: with the landmarks and points of the clips of `store`, in the same order.
        store: says what moved since each clip's first still.
        grid: side of the field.
    """
    products = torch.zeros(grid * grid, (MOTION_WIDTH + 1) ** 2)
    went = torch.zeros(grid * grid, MOTION_WIDTH + 1, 2)
    everywhere = torch.arange(store.length)[None]
    for clip in track(range(store.clips), "measuring where bodies go"):
        number = torch.tensor([clip])
        moved = store.moved(number, torch.zeros_like(number), everywhere).flatten(1, 2)[0, ::_EVERY].float()
        first = int(frames.starts[clip])
        points = torch.from_numpy(surface_points(frames.tracks, slice(first, first + store.length * FRAMES_PER_LATENT)))
        at_still = points[int(store.stills[clip, 0])]
        points = points[::_EVERY]
        back = (at_still - points) * (SAME_PICTURE_PX / frames.frames.shape[1])
        is_wall = (back.nan_to_num() == 0).all(-1).all(0)
        known = back.isfinite().all(-1) & ~is_wall
        frame = known.nonzero()[:, 0]
        place = (points[known] * (grid / frames.frames.shape[1])).long().clamp(0, grid - 1)
        spot = frame * grid * grid + place[:, 1] * grid + place[:, 0]
        told = torch.cat([moved, torch.ones(len(moved), 1)], 1)
        counts = torch.bincount(spot, minlength=len(moved) * grid * grid).unflatten(0, (len(moved), -1)).float()
        sums = torch.zeros(counts.numel(), 2).index_add_(0, spot, back[known]).unflatten(0, counts.shape)
        products += counts.T @ (told[:, :, None] * told[:, None]).flatten(1)
        went += torch.einsum("fd,fck->cdk", told, sums)
    products, went = (_with_neighbours(x, grid) for x in (products, went))
    ridge = _RIDGE * torch.eye(MOTION_WIDTH + 1)
    fitted = torch.linalg.solve((products.unflatten(1, (MOTION_WIDTH + 1, -1)) + ridge).double(), went.double())
    return fitted[:, :-1].float().permute(1, 2, 0).unflatten(2, (grid, grid)).contiguous()


def surface_points(tracks: Mapping[str, Array], span: slice) -> Array:
    """Points that keep to surfaces in some frames of a `FrameStore`, [F, P, 2] in pixels: of faces, and all others."""
    return np.concatenate([face_points(tracks["landmarks"][span]), tracks["points"][span]], 1)


def face_points(landmarks: Array) -> Array:
    """Those of landmarks [F, K, 2] that faces take with them: all but irises and hands. Boxes would not do: the middle
    of a tilted head's box is not where the middle of the head's went, and no box knows how far a nose is in front.
    """
    return landmarks[:, [i for i, name in enumerate(LANDMARKS) if not name.startswith(_NOT_OF_FACES)]]


def _with_neighbours(cells: Tensor, grid: int) -> Tensor:
    """Sums over cells [grid * grid, ...] and those around, by distance."""
    far = torch.arange(-_REACH_CELLS, _REACH_CELLS + 1)
    near = (-(far**2) / (2 * _NEAR_CELLS**2)).exp()
    maps = cells.flatten(1).T.unflatten(1, (1, grid, grid))
    maps = F.conv2d(maps, near[None, None, None], padding=(0, _REACH_CELLS))
    maps = F.conv2d(maps, near[None, None, :, None], padding=(_REACH_CELLS, 0))
    return maps.flatten(1).T.reshape(cells.shape)

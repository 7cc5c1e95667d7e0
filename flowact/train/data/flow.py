"""Where faces go when bodies move, measured on the landmarks of a data set: see `models.video_vae.told.Teller`."""

from __future__ import annotations

import torch
from torch import Tensor

from flowact.models.video_vae.told import SAME_PICTURE_PX
from flowact.studio.performance import LANDMARKS
from flowact.train.data.frames import Array, FrameStore
from flowact.train.data.latents import LatentStore

_NEAR_PX, _FAR_PX = 10.0, 35.0
_FAR_WEIGHT = 0.05
_NOWHERE = 0.025
_RIDGE = 1e-3
_EVERY = 4
_NOT_OF_FACES = ("iris", "wrist", "knuckle")


def measure_common_flow(frames: FrameStore, store: LatentStore, grid: int) -> Tensor:
    """The field [M, 2, grid, grid] of a common flow.

    Points of faces (`face_points`) are fitted by motion, linear and by least squares; between them the field is the
    mean of those near by, and it fades where there is none.

    Args:
        frames: with the landmarks of the clips of `store`, in the same order.
        store: says what moved since each clip's first still.
        grid: side of the field.
    """
    everywhere = torch.arange(store.length)[None].expand(store.clips, -1)
    clips = torch.arange(store.clips)
    moved = store.moved(clips, torch.zeros_like(clips), everywhere).flatten(1, 2)
    points = torch.from_numpy(face_points(frames.tracks["landmarks"])) * (SAME_PICTURE_PX / frames.frames.shape[1])
    first = torch.from_numpy(frames.starts)
    points = points[first[:, None] + torch.arange(moved.shape[1])]  # N F P 2
    at_still = points[clips, store.stills[:, 0]]
    x = moved[:, ::_EVERY].flatten(0, 1).double()
    y = (points - at_still[:, None])[:, ::_EVERY].flatten(0, 1).flatten(1).double()
    known = y.isfinite().all(1)
    x, y = x[known], y[known]
    ridge = _RIDGE * len(x) * torch.eye(x.shape[1], dtype=torch.float64)
    slopes = torch.linalg.solve(x.T @ x + ridge, x.T @ y).unflatten(1, (-1, 2)).float()  # M P 2
    cells = (torch.arange(grid) + 0.5) * (SAME_PICTURE_PX / grid)
    where = torch.stack(torch.meshgrid(cells, cells, indexing="xy"), -1)  # g g 2
    off = (where[:, :, None] - at_still.nanmean(0)).square().sum(-1)  # g g P
    weight = (-off / (2 * _NEAR_PX**2)).exp() + _FAR_WEIGHT * (-off / (2 * _FAR_PX**2)).exp()
    share = weight / (weight.sum(-1, keepdim=True) + _NOWHERE)
    # A picture is found where it came from: against the way it went.
    return -torch.einsum("yxp,mpc->mcyx", share, slopes)


def face_points(landmarks: Array) -> Array:
    """Those of landmarks [F, K, 2] that faces take with them: all but irises and hands. Boxes would not do: the middle
    of a tilted head's box is not where the middle of the head's went, and no box knows how far a nose is in front.
    """
    return landmarks[:, [i for i, name in enumerate(LANDMARKS) if not name.startswith(_NOT_OF_FACES)]]

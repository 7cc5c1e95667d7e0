"""Where what a clip shows first goes: points of the surface of a person and of the wall, followed as long as they are
seen (the "point tracks" of Doersch et al. 2022, TAP-Vid, here exact).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowact.studio.character import MATERIALS, Character3D
from flowact.studio.performance import SURFACE_POINTS
from flowact.studio.scene import Scene

Float = NDArray[np.float32]
Int = NDArray[np.int_]

_CELLS = round(SURFACE_POINTS**0.5)
"""So many cells lie beside each other in a picture, and in each of them at most one point is followed."""
_NEARER_DM = 0.06
"""A point counts as seen if it would be in front once it came so much nearer: it lies in the surface, not on it."""
_OPAQUE = tuple(i for i, name in enumerate(MATERIALS) if name in ("skin", "cloth", "hair"))


def follow_surface(
    character: Character3D, scene: Scene, size: int, depths: Float, matrices: Float, weights: Float
) -> Float:
    """Column and row in pixels of a point for each cell of the first frame, [F, SURFACE_POINTS, 2]: NaN while something
    hides it or it is out of the picture, and always NaN where a cell has none.

    Args:
        character: who was drawn.
        scene: the camera.
        size: width and height in pixels.
        depths: [F, D, D] depth buffers of the frames, 0..1, the first row at the bottom; 1 is the wall.
        matrices: [F, P, 3, 4] of the pose.
        weights: [F, U] of the face units.
    """
    body = np.unique(character.triangles[np.isin(character.material_of, _OPAQUE)]).astype(np.int_)
    chosen = _one_a_cell(_seen(character, scene, size, depths[:1], matrices[:1], weights[:1], body)[0], size)
    points = np.full((len(depths), SURFACE_POINTS, 2), np.nan, np.float32)
    cells = np.flatnonzero(chosen >= 0)
    points[:, cells] = _seen(character, scene, size, depths, matrices, weights, body[chosen[cells]])
    wall = _wall(size)
    is_wall = _depth_at(depths, np.broadcast_to(wall, (len(depths), *wall.shape)), size) == 1
    free = (chosen < 0) & is_wall[0]
    points[:, free] = np.where(is_wall[:, free, None], wall[free], np.nan)
    return points


def shaped(character: Character3D, vertices: Int, weights: Float) -> Float:
    """[F, K, 3] render vertices [K] moved by face units [F, U], before the bones."""
    points = np.repeat(character.positions[vertices][None], len(weights), 0)
    slots = np.searchsorted(character.moving, vertices).clip(max=len(character.moving) - 1)
    moves = np.flatnonzero(character.moving[slots] == vertices)
    table = character.units.reshape(len(character.units), -1, 6)[:, slots[moves], :3]
    points[:, moves] += np.einsum("fu,uki->fki", weights, table)
    return points


def skinned(character: Character3D, vertices: Int, points: Float, matrices: Float) -> Float:
    """[F, K, 3] points [F, K, 3] of render vertices [K] where the bones take them."""
    index, weight = character.bone_index[vertices], character.bone_weight[vertices]
    posed = np.zeros((*points.shape[:2], 3), np.float32)
    for i in range(index.shape[1]):
        bones = matrices[:, index[:, i]]
        moved = (bones[..., :3] @ points[..., None])[..., 0] + bones[..., 3]
        posed += weight[:, i, None] * moved
    return posed


def _seen(
    character: Character3D, scene: Scene, size: int, depths: Float, matrices: Float, weights: Float, vertices: Int
) -> Float:
    """[F, K, 2] pixels of vertices [K], NaN where they are not seen."""
    world = skinned(character, vertices, shaped(character, vertices, weights), matrices)
    pixels = scene.project(world, size)
    toward = scene.eye - world
    nearer = world + _NEARER_DM * toward / np.linalg.norm(toward, axis=-1, keepdims=True)
    clip = nearer @ scene.camera[2:, :3].T + scene.camera[2:, 3]
    depth = 0.5 + 0.5 * clip[..., 0] / clip[..., 1]
    inside = ((pixels >= 0) & (pixels < size)).all(-1)
    return np.where((inside & (depth < _depth_at(depths, pixels, size)))[..., None], pixels, np.nan)


def _depth_at(depths: Float, pixels: Float, size: int) -> Float:
    """[F, K] depths [F, D, D] at pixels [F, K, 2] of a picture of a size."""
    side = depths.shape[-1]
    column, row = np.moveaxis((pixels * (side / size)).astype(int).clip(0, side - 1), -1, 0)
    return depths[np.arange(len(depths))[:, None], side - 1 - row, column]


def _one_a_cell(pixels: Float, size: int) -> Int:
    """Which of the pixels [K, 2] is nearest to the middle of each cell, [SURFACE_POINTS]; -1 where none is in it."""
    nearest = np.full(SURFACE_POINTS, -1)
    seen = np.flatnonzero(np.isfinite(pixels[:, 0]))
    place = pixels[seen] * (_CELLS / size)
    cell = place.astype(int).clip(0, _CELLS - 1)
    off = np.linalg.norm(place - cell - 0.5, axis=1)
    far_first = np.argsort(-off)
    nearest[(cell[:, 1] * _CELLS + cell[:, 0])[far_first]] = seen[far_first]
    return nearest


def _wall(size: int) -> Float:
    """[SURFACE_POINTS, 2] the middle of each cell in pixels."""
    middle = (np.arange(_CELLS, dtype=np.float32) + 0.5) * (size / _CELLS)
    column, row = np.meshgrid(middle, middle)
    return np.stack([column.ravel(), row.ravel()], -1)

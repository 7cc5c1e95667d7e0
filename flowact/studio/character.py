"""A person ready to be posed: all meshes of one identity in one array, with colours, bone weights and face units."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from flowact.studio.identity import Identity, draw_identity
from flowact.studio.landmarks import face_points
from flowact.studio.makehuman import UNITS, load_assets
from flowact.studio.paint import stripe_pattern
from flowact.studio.parts import Part, make_parts, opacity_or_light, vertex_normals
from flowact.studio.skeleton import Skeleton

Float = NDArray[np.float32]
Int = NDArray[np.int32]

MATERIALS = ("skin", "cloth", "teeth", "hair", "eye", "soft")
INFLUENCES = 4
# Units that the resting face carries, so that nobody looks stern.
RESTING = {
    "browInnerUp": 0.45,
    "browOuterUpLeft": 0.15,
    "browOuterUpRight": 0.15,
    "browDownLeft": -0.3,
    "browDownRight": -0.3,
    "mouthSmileLeft": 0.28,
    "mouthSmileRight": 0.28,
    "eyeWideLeft": 0.2,
    "eyeWideRight": 0.2,
}


@dataclass(frozen=True, eq=False)
class Character3D:
    """All parts of one person in common arrays.

    Attributes:
        skeleton: the rest bones.
        uv: [R, 2] texture coordinates; colour: [R, 4] linear colour and light (or opacity of brows and lashes).
        positions: [R, 3] rest positions in decimetres.
        normals: [R, 3] unit normals at rest.
        moving: [M] render vertices that the face units move.
        units: [U, M * 6] movement of position and normal of `moving` by each unit.
        bone_index, bone_weight: [R, 4] influences of the posed bones.
        triangles: [T, 3]; `material_of` [T] gives the index in MATERIALS.
        points: render vertex of each named face point.
        eye_centres: [2, 3] pivots of the left and right eye; eye_radius: of both, in decimetres.
        description: what is seen, for captions.
    """

    identity: Identity
    description: dict[str, str]
    skeleton: Skeleton
    positions: Float
    normals: Float
    uv: Float
    colour: Float
    moving: Int
    units: Float
    bone_index: Int
    bone_weight: Float
    triangles: Int
    material_of: Int
    points: dict[str, int]
    eye_centres: Float
    eye_radius: float
    stripe: tuple[float, float, float]  # period, share of the period, lowest y
    lit: NDArray[np.bool_]  # [R] where the fourth colour channel is light, not opacity

    @classmethod
    def from_seed(cls, seed: int, assets: Path) -> Character3D:
        """The person of a seed.

        Args:
            seed: any non-negative integer; another seed is another person.
            assets: the unpacked makehuman-cc0 folder.

        Raises:
            ConfigError: the folder is not the asset folder.
        """
        return _assemble(draw_identity(seed, load_assets(assets)), Path(assets))


def _influences(bones: sparse.csr_matrix) -> tuple[Int, Float]:
    """The four strongest bones of each vertex and their weights, summing to one."""
    dense = bones.toarray()
    index = np.argpartition(-dense, INFLUENCES, axis=1)[:, :INFLUENCES]
    weight = np.take_along_axis(dense, index, 1)
    return index.astype(np.int32), np.asarray(weight / np.maximum(weight.sum(1, keepdims=True), 1e-6), np.float32)


def _unit_table(parts: list[Part], welds: list[Int], positions: Float, normals: Float) -> tuple[Int, Float]:
    """Moving vertices [M] and [U, M * 6] movement of their positions and normals."""
    movement = np.concatenate(
        [p.units if len(p.units) else np.zeros((len(UNITS), *p.positions.shape), np.float32) for p in parts], 1
    )
    moving = np.flatnonzero(np.abs(movement).max((0, 2)) > 1e-4).astype(np.int32)
    slot = np.full(len(positions), -1)
    slot[moving] = np.arange(len(moving))
    table = np.zeros((len(UNITS), len(moving), 6), np.float32)
    table[:, :, :3] = movement[:, moving]
    start = 0
    for part, weld in zip(parts, welds):
        end = start + len(part.positions)
        near = slot[start:end][part.triangles] >= 0
        triangles = part.triangles[near.any(1)]
        if len(triangles):
            rows = slot[start:end]
            inside = np.flatnonzero(rows >= 0)
            rest = vertex_normals(part.positions, triangles, weld)
            for u in range(len(UNITS)):
                turned = vertex_normals(part.positions + movement[u, start:end], triangles, weld)
                table[u, rows[inside], 3:] = (turned - rest)[inside]
        start = end
    return moving, table.reshape(len(UNITS), -1)


def _assemble(identity: Identity, folder: Path) -> Character3D:
    assets = load_assets(folder)
    body = assets.shape(identity.shape | RESTING)
    parts, welds = make_parts(identity, body, folder)
    starts = np.cumsum([0, *(len(p.positions) for p in parts)])
    positions = np.concatenate([p.positions for p in parts]).astype(np.float32)
    normals = np.concatenate([vertex_normals(p.positions, p.triangles, w) for p, w in zip(parts, welds)])
    moving, units = _unit_table(parts, welds, positions, normals)
    bone_index, bone_weight = _influences(sparse.vstack([p.bones for p in parts]).tocsr())
    first = {int(v): i for i, v in reversed(list(enumerate(assets.body.source)))}
    eyes = assets.fitted["low-poly"].fit(body)
    pivots = np.stack([body[assets.heads[assets.bones.index(f"eye.{s}")]].mean(0) for s in "LR"])
    return Character3D(
        identity=identity,
        description=identity.description,
        skeleton=Skeleton.of_body(assets, body),
        positions=positions,
        normals=normals,
        uv=np.concatenate([p.uv for p in parts]),
        colour=np.concatenate([np.c_[p.colour, opacity_or_light(p)] for p in parts]).astype(np.float32),
        moving=moving,
        units=units,
        bone_index=bone_index,
        bone_weight=bone_weight,
        triangles=np.concatenate([p.triangles + s for p, s in zip(parts, starts)]).astype(np.int32),
        material_of=np.concatenate([np.full(len(p.triangles), MATERIALS.index(p.material)) for p in parts]).astype(
            np.int32
        ),
        points={name: first[v] for name, v in face_points(folder).items()},
        eye_centres=np.asarray(pivots, np.float32),
        lit=np.concatenate([np.full(len(p.positions), p.material not in ("soft", "teeth")) for p in parts]),
        stripe=stripe_pattern(identity, float(body[assets.heads[assets.bones.index("spine05")]].mean(0)[1])),
        eye_radius=float(np.linalg.norm(eyes[eyes[:, 0] > 0] - pivots[0], axis=1).max()),
    )

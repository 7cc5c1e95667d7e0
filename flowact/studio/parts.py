"""The meshes of one person: skin, clothes, hair, eyes, teeth, brows, each shaped, coloured and bound to the bones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from flowact.studio.identity import Identity, linear
from flowact.studio.makehuman import UNITS, Fitted, load_assets
from flowact.studio.paint import cloth_colour, groom, skin_colour
from flowact.studio.skeleton import POSED, posed_ancestor

Float = NDArray[np.float32]
Int = NDArray[np.int32]

NECK_DM = 0.6  # half the width of neck and collar, in decimetres


@dataclass(frozen=True)
class Part:
    """One mesh of a character, in render vertices."""

    material: str
    positions: Float  # [R, 3]
    uv: Float
    colour: Float  # [R, 3] linear
    triangles: Int
    bones: sparse.csr_matrix  # [R, POSED]
    units: Float  # [U, R, 3] movement by each unit of UNITS; empty first axis if it does not move
    opacity: float = 1.0


@lru_cache(maxsize=2)
def _body_units(folder: Path) -> Float:
    """[U, B, 3] movement of every body vertex by every unit."""
    assets = load_assets(folder)
    dense = np.zeros((len(UNITS), *assets.base.shape), np.float32)
    for i, unit in enumerate(UNITS):
        index, delta = assets.targets[unit]
        dense[i, index] = delta
    return dense


@lru_cache(maxsize=2)
def _posed_weights(folder: Path) -> sparse.csr_matrix:
    """[B, POSED] weights, normalised; bones that are never turned give theirs to the posed bone above."""
    assets = load_assets(folder)
    owner = np.asarray([posed_ancestor(assets, i) for i in range(len(assets.bones))])
    merge = sparse.csr_matrix(
        (np.ones(len(owner), np.float32), (np.arange(len(owner)), owner)), (len(owner), len(POSED))
    )
    merged = (assets.bone_weights @ merge).tocsr()
    total = np.asarray(merged.sum(1)).ravel()
    return sparse.diags(1 / np.maximum(total, 1e-6)).dot(merged).tocsr().astype(np.float32)


def vertex_normals(positions: Float, triangles: Int, weld: Int) -> Float:
    """[R, 3] unit normals; render vertices with the same `weld` index share theirs."""
    corners = positions[triangles]
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros((int(weld.max()) + 1, 3), np.float32)
    flat, repeated = weld[triangles].ravel(), np.repeat(face, 3, axis=0)
    for axis in range(3):
        total[:, axis] = np.bincount(flat, repeated[:, axis], minlength=len(total))
    normals = total[weld]
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9), np.float32)


def _follow(fitted: Fitted, material: str, body: Float, folder: Path, colour: Float, moves: bool) -> Part:
    """A fitted mesh as a part; `moves` says whether the face carries it along."""
    source = fitted.mesh.source
    binding = fitted.binding(len(body))[source]
    bones = (binding @ _posed_weights(folder)).tocsr()
    # Weights beyond 0..1 come from points outside their triangle; clothes would tear.
    bones.data = np.clip(bones.data, 0, None)
    units = np.zeros((0, len(source), 3), np.float32)
    if moves:
        flat = _body_units(folder).transpose(1, 0, 2).reshape(len(body), -1)
        units = np.ascontiguousarray((binding @ flat).reshape(len(source), len(UNITS), 3).transpose(1, 0, 2))
    colours = np.broadcast_to(colour, (len(source), 3)).astype(np.float32)
    positions = groom(fitted.name, fitted.fit(body), body, folder)[source]
    triangles = fitted.mesh.triangles
    if fitted.name == "teeth_base":
        # Only the front can ever be seen; the molars would cost a tenth of the frame time.
        triangles = triangles[(positions[triangles, 2] > positions[:, 2].max() - 0.4).any(1)]
    return Part(material, positions, fitted.mesh.uv, colours, triangles, bones, units)


def _skin(identity: Identity, body: Float, folder: Path, hidden: Int, hair: Float | None) -> Part:
    assets = load_assets(folder)
    mesh = assets.body
    covered = np.zeros(len(body), bool)
    covered[hidden] = True
    keep = ~covered[mesh.source][mesh.triangles].all(1)
    colour = skin_colour(identity, body, folder, hair)[mesh.source]
    units = _body_units(folder)[:, mesh.source]
    bones = _posed_weights(folder)[mesh.source]
    return Part("skin", body[mesh.source], mesh.uv, colour, mesh.triangles[keep], bones, units)


def _dress(identity: Identity, body: Float, folder: Path) -> Part:
    fitted = load_assets(folder).fitted[identity.clothes]
    part = _follow(fitted, "cloth", body, folder, identity.shirt, moves=False)
    normals = vertex_normals(part.positions, part.triangles, fitted.mesh.source)
    hips = load_assets(folder)
    waist = float(body[hips.heads[hips.bones.index("spine05")]].mean(0)[1])
    colour = cloth_colour(identity, fitted.mesh, part.positions, waist)
    return Part("cloth", part.positions + normals * 0.025, part.uv, colour, part.triangles, part.bones, part.units)


def _beneath(clothes: Part, weld: Int, body: Float, collar: float) -> Int:
    """Body vertices that lie under the cloth, away from its hems: they would poke through when an arm is raised."""
    normals = vertex_normals(clothes.positions, clothes.triangles, weld)
    distance, nearest = cKDTree(clothes.positions).query(body, distance_upper_bound=0.3)
    found = np.isfinite(distance)
    index = np.where(found, nearest, 0)
    depth = ((body - clothes.positions[index]) * normals[index]).sum(1)
    inner = ~np.isin(weld[index], _hem(clothes.triangles, weld))
    # Collars have an inside too: the neck stays.
    below = (body[:, 1] < collar) | (np.abs(body[:, 0]) > NECK_DM)
    return np.flatnonzero(found & inner & below & (depth < 0.02)).astype(np.int32)


def _hem(triangles: Int, weld: Int) -> Int:
    """Welded vertices on open edges."""
    corners = weld[triangles]
    edges = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), 1)
    unique, times = np.unique(edges, axis=0, return_counts=True)
    return np.asarray(np.unique(unique[times == 1]), np.int32)


def make_parts(identity: Identity, body: Float, folder: Path) -> tuple[list[Part], list[Int]]:
    """Parts in drawing order and, for each, the index by which its render vertices are welded."""
    assets = load_assets(folder)
    fitted = assets.fitted
    parts, welds = [], []
    hair_points = fitted[identity.hair].fit(body) if identity.hair in fitted else None
    clothes = _dress(identity, body, folder)
    collar = float(body[assets.heads[assets.bones.index("clavicle.L")]].mean(0)[1])
    beneath = _beneath(clothes, fitted[identity.clothes].mesh.source, body, collar)
    hidden = np.concatenate([fitted[identity.clothes].hidden, fitted[identity.shoes].hidden, beneath])
    parts.append(_skin(identity, body, folder, hidden, hair_points))
    welds.append(assets.body.source)
    parts.append(clothes)
    welds.append(fitted[identity.clothes].mesh.source)
    brow = identity.hair_colour * 0.55 + identity.skin * 0.06
    pieces = [
        (identity.shoes, "cloth", linear((0.16, 0.12, 0.10)), False),
        ("teeth_base", "teeth", linear((0.90, 0.88, 0.82)), True),
        ("tongue01", "teeth", linear((0.60, 0.27, 0.27)), True),
        ("low-poly", "eye", identity.iris, False),
        (identity.brow, "soft", brow, True),
        (identity.lashes, "soft", linear((0.14, 0.10, 0.08)), True),
    ]
    if hair_points is not None:
        pieces.insert(3, (identity.hair, "hair", identity.hair_colour, False))
    for name, material, colour, moves in pieces:
        part = _follow(fitted[name], material, body, folder, colour, moves)
        opacity = {identity.brow: 0.85, identity.lashes: 0.6 if identity.sex == "female" else 0.35}.get(name, 1.0)
        parts.append(replace(part, opacity=opacity))
        welds.append(fitted[name].mesh.source)
    return parts, welds


def opacity_or_light(part: Part) -> Float:
    """[R] how much light reaches a place, or how opaque brows and lashes are: their outline is soft."""
    count = len(part.positions)
    if part.material == "teeth":
        return np.clip((part.positions[:, 2] - part.positions[:, 2].max() + 0.5) / 0.5, 0, 1).astype(np.float32)
    if part.material != "soft":
        return np.ones(count, np.float32)
    opaque = np.ones(count, np.float32)
    opaque[_hem(part.triangles, np.arange(count, dtype=np.int32))] = 0.1
    return opaque * np.float32(part.opacity)

"""A person ready to be posed: all meshes of one identity in one array, with colours, bone weights and face units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from flowact.studio.identity import Identity, draw_identity, linear
from flowact.studio.landmarks import face_points, sampled_mask
from flowact.studio.makehuman import UNITS, Assets, Fitted, Mesh, load_assets
from flowact.studio.skeleton import POSED, Skeleton, posed_ancestor

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


@dataclass(frozen=True)
class Part:
    """One mesh of a character, in render vertices."""

    material: str
    positions: Float  # [R, 3]
    uv: Float
    colour: Float  # [R, 3] linear, [R, 4] once joined: the last is light reaching the place (or the blend)
    triangles: Int
    bones: sparse.csr_matrix  # [R, POSED]
    units: Float  # [U, R, 3] movement by each unit of UNITS; empty first axis if it does not move
    opacity: float = 1.0


@dataclass(frozen=True, eq=False)
class Character3D:
    """All parts of one person in common arrays.

    Attributes:
        positions: [R, 3] rest positions in decimetres.
        normals: [R, 3] unit normals at rest.
        moving: [M] render vertices that the face units move.
        units: [U, M * 6] movement of position and normal of `moving` by each unit.
        bone_index, bone_weight: [R, 4] influences of the posed bones.
        triangles: [T, 3]; `material_of` [T] gives the index in MATERIALS.
        points: render vertex of each named face point.
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
    merge = sparse.csr_matrix((np.ones(len(owner), np.float32), (np.arange(len(owner)), owner)), (len(owner), len(POSED)))
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
    positions = _groomed(fitted.name, fitted.fit(body), body, folder)[source]
    triangles = fitted.mesh.triangles
    if fitted.name == "teeth_base":
        # Only the front can ever be seen; the molars would cost a tenth of the frame time.
        triangles = triangles[(positions[triangles, 2] > positions[:, 2].max() - 0.4).any(1)]
    return Part(material, positions, fitted.mesh.uv, colours, triangles, bones, units)


def _groomed(name: str, positions: Float, body: Float, folder: Path) -> Float:
    """Small corrections of fitted meshes: milder brows, rounder long hair, teeth that stay behind the lips."""
    points = {key: body[v] for key, v in face_points(folder).items()}
    moved = positions.copy()
    if name.startswith("eyebrow"):
        side = np.abs(positions[:, 0])
        outward = (side - side.min()) / np.ptp(side)
        moved[:, 1] += 0.038 * (1 - outward) - 0.006 * outward
        moved[:, 2] += 0.008
    elif name in ("long01", "ponytail01", "braid01"):
        eyes = points["eye_left_top"][1]
        rise = (positions[:, 1] - eyes) / (points["crown"][1] - eyes)
        moved[:, 0] *= 1 + 0.12 * np.exp(-(((rise - 0.5) / 0.42) ** 2))
    elif name == "teeth_base":
        seam = points["lip_top_inner"][1]
        moved[:, 0] *= 0.84
        moved[:, 1] -= np.where(positions[:, 1] > seam, 0.045, 0.01)
        moved[:, 2] -= 0.03
    return moved


def _skin(identity: Identity, body: Float, folder: Path, hidden: Int, hair: Float | None) -> Part:
    assets = load_assets(folder)
    mesh = assets.body
    covered = np.zeros(len(body), bool)
    covered[hidden] = True
    keep = ~covered[mesh.source][mesh.triangles].all(1)
    colour = _skin_colour(identity, body, folder, hair)[mesh.source]
    units = _body_units(folder)[:, mesh.source]
    bones = _posed_weights(folder)[mesh.source]
    return Part("skin", body[mesh.source], mesh.uv, colour, mesh.triangles[keep], bones, units)


def _bump(points: Float, centre: Float, size: tuple[float, float, float]) -> Float:
    return np.asarray(np.exp(-(((points - centre) / np.asarray(size)) ** 2).sum(1)), np.float32)


def _skin_colour(identity: Identity, body: Float, folder: Path, hair: Float | None) -> Float:
    """[B, 3] linear colour: tone, blush, lips, lids, stubble, nails, scalp, inside of the mouth."""
    assets = load_assets(folder)
    points = {name: body[v] for name, v in face_points(folder).items()}
    rng = np.random.default_rng([identity.seed, 11])
    colour = np.tile(identity.skin, (len(body), 1))
    blush = np.asarray([1.10, 0.80, 0.80], np.float32)
    red = 0.9 * _bump(body, points["nose_tip"], (0.22, 0.22, 0.3))
    for side in ("left", "right"):
        cheek = (points[f"eye_{side}_outer"] + points[f"mouth_{side}"]) / 2
        red += float(rng.uniform(0.3, 1.0)) * _bump(body, cheek, (0.4, 0.3, 0.5))
        socket = (points[f"eye_{side}_top"] + points[f"eye_{side}_bottom"]) / 2
        shade = _bump(body, socket, (0.34, 0.2, 0.5))[:, None] * float(rng.uniform(0.1, 0.28))
        colour *= 1 - shade * np.asarray([0.7, 1.0, 1.0], np.float32)
    red += 0.8 * sampled_mask(assets, "ears")
    colour *= 1 + np.clip(red, 0, 1)[:, None] * (blush - 1)
    if identity.stubble > 0:
        beard = _bump(body, points["chin"] + np.asarray([0, 0.15, -0.1]), (0.85, 0.42, 0.9))
        beard *= 1 - _bump(body, points["nose_tip"], (0.4, 0.3, 0.5))
        tint = identity.hair_colour * 0.5 + identity.skin * 0.3
        colour += (identity.stubble * 0.75 * np.clip(beard * 1.4, 0, 1))[:, None] * (tint - colour)
    lips = sampled_mask(assets, "lips")[:, None]
    rouge = float(rng.uniform(0.5, 0.95)) if identity.sex == "female" else float(rng.uniform(0.35, 0.6))
    lip_tone = identity.skin * np.asarray([0.82, 0.42, 0.44]) + np.asarray([0.05, 0.0, 0.01])
    colour += lips * rouge * (lip_tone - colour)
    nails = sampled_mask(assets, "fingernails")[:, None]
    colour += nails * 0.5 * (identity.skin * np.asarray([1.15, 0.95, 0.95]) - colour)
    inside = sampled_mask(assets, "inside-mouth")[:, None]
    colour += inside * (np.asarray([0.10, 0.02, 0.02]) - colour)
    colour += _scalp(identity, body, points, hair)[:, None] * (identity.hair_colour * 0.75 - colour)
    return np.asarray(np.clip(colour, 0, 1), np.float32)


def _scalp(identity: Identity, body: Float, points: dict[str, Float], hair: Float | None) -> Float:
    """[B] how much hair colour the head's skin has: under the hair mesh, or where shaved hair would grow."""
    eyes = (points["eye_left_top"] + points["eye_right_top"]) / 2
    if identity.hair == "bald":
        return np.zeros(len(body), np.float32)
    if hair is not None:
        distance, _ = cKDTree(hair).query(body, distance_upper_bound=0.4)
        near = np.clip((0.13 - np.minimum(distance, 1.0)) / 0.06, 0, 1)
        return np.asarray(near * np.clip((body[:, 1] - eyes[1] + 0.1 - 0.8 * (body[:, 2] < 0.6)) * 4 + (body[:, 2] < 0.6) * 3 - 1.2, 0, 1))
    ears = (points["ear_left"] + points["ear_right"]) / 2
    line = eyes[1] + 0.62 - 1.1 * np.clip((eyes[2] - 0.25 - body[:, 2]) / 1.0, 0, 1)
    grown = np.clip((body[:, 1] - line) / 0.12, 0, 1) * np.clip((ears[2] + 0.95 - body[:, 2]) / 0.1, 0, 1)
    return np.asarray(grown * 0.72 * (body[:, 1] > ears[1] - 0.7), np.float32)


def _cloth_colour(identity: Identity, mesh: Mesh, positions: Float, waist: float) -> Float:
    """[R, 3]: pieces of cloth (connected in texture space) below the waist are trousers, small ones accents."""
    edges = np.concatenate([mesh.triangles[:, :2], mesh.triangles[:, 1:]])
    graph = sparse.coo_matrix((np.ones(len(edges)), edges.T), shape=(len(positions),) * 2)
    pieces, label = connected_components(graph, directed=False)
    colour = np.tile(identity.shirt, (len(positions), 1))
    size = np.bincount(label, minlength=pieces)
    height = np.bincount(label, positions[:, 1], minlength=pieces) / np.maximum(size, 1)
    colour[(height < waist)[label]] = identity.trousers
    small = (size < 0.03 * len(positions)) & (height >= waist)
    colour[small[label]] = identity.shirt_accent
    upper = (height >= waist)[label] & ~small[label]
    return colour


def _stripe(identity: Identity, waist: float) -> tuple[float, float, float]:
    period, share = {"plain": (1.0, -1.0), "stripes": (0.55, 0.5), "pinstripes": (0.24, 0.22)}[identity.stripes]
    return period, share, waist


def _dress(identity: Identity, body: Float, folder: Path) -> Part:
    fitted = load_assets(folder).fitted[identity.clothes]
    part = _follow(fitted, "cloth", body, folder, identity.shirt, moves=False)
    normals = vertex_normals(part.positions, part.triangles, fitted.mesh.source)
    hips = load_assets(folder)
    waist = float(body[hips.heads[hips.bones.index("spine05")]].mean(0)[1])
    colour = _cloth_colour(identity, fitted.mesh, part.positions, waist)
    return Part("cloth", part.positions + normals * 0.025, part.uv, colour, part.triangles, part.bones, part.units)


def _parts(identity: Identity, body: Float, folder: Path) -> tuple[list[Part], list[Int]]:
    """Parts in drawing order and, for each, the index by which its render vertices are welded."""
    assets = load_assets(folder)
    fitted = assets.fitted
    parts, welds = [], []
    hair_points = fitted[identity.hair].fit(body) if identity.hair in fitted else None
    parts.append(_skin(identity, body, folder, fitted[identity.clothes].hidden, hair_points))
    welds.append(assets.body.source)
    parts.append(_dress(identity, body, folder))
    welds.append(fitted[identity.clothes].mesh.source)
    brow = identity.hair_colour * 0.55 + identity.skin * 0.06
    pieces = [
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


def _alpha(part: Part) -> Float:
    """[R] how much light reaches a place, or how opaque brows and lashes are: their outline is soft."""
    count = len(part.positions)
    if part.material == "teeth":
        return np.clip((part.positions[:, 2] - part.positions[:, 2].max() + 0.5) / 0.5, 0, 1).astype(np.float32)
    if part.material != "soft":
        return np.ones(count, np.float32)
    edges = np.sort(np.concatenate([part.triangles[:, [0, 1]], part.triangles[:, [1, 2]], part.triangles[:, [2, 0]]]), 1)
    unique, times = np.unique(edges, axis=0, return_counts=True)
    opaque = np.ones(count, np.float32)
    opaque[unique[times == 1].ravel()] = 0.1
    return opaque * np.float32(part.opacity)


def _influences(bones: sparse.csr_matrix) -> tuple[Int, Float]:
    """The four strongest bones of each vertex and their weights, summing to one."""
    dense = bones.toarray()
    index = np.argpartition(-dense, INFLUENCES, axis=1)[:, :INFLUENCES]
    weight = np.take_along_axis(dense, index, 1)
    return index.astype(np.int32), np.asarray(weight / np.maximum(weight.sum(1, keepdims=True), 1e-6), np.float32)


def _unit_table(parts: list[Part], welds: list[Int], positions: Float, normals: Float) -> tuple[Int, Float]:
    """Moving vertices [M] and [U, M * 6] movement of their positions and normals."""
    movement = np.concatenate([p.units if len(p.units) else np.zeros((len(UNITS), *p.positions.shape), np.float32) for p in parts], 1)
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
    parts, welds = _parts(identity, body, folder)
    starts = np.cumsum([0, *(len(p.positions) for p in parts)])
    positions = np.concatenate([p.positions for p in parts]).astype(np.float32)
    normals = np.concatenate([vertex_normals(p.positions, p.triangles, w) for p, w in zip(parts, welds)])
    moving, units = _unit_table(parts, welds, positions, normals)
    bone_index, bone_weight = _influences(sparse.vstack([p.bones for p in parts]).tocsr())
    first = {int(v): i for i, v in reversed(list(enumerate(assets.body.source)))}
    eyes = assets.fitted["low-poly"].fit(body)
    centres = np.stack([eyes[eyes[:, 0] > 0].mean(0), eyes[eyes[:, 0] < 0].mean(0)])
    pivots = np.stack([body[assets.heads[assets.bones.index(f"eye.{s}")]].mean(0) for s in "LR"])
    return Character3D(
        identity=identity,
        description=identity.description,
        skeleton=Skeleton.of_body(assets, body),
        positions=positions,
        normals=normals,
        uv=np.concatenate([p.uv for p in parts]),
        colour=np.concatenate([np.c_[p.colour, _alpha(p)] for p in parts]).astype(np.float32),
        moving=moving,
        units=units,
        bone_index=bone_index,
        bone_weight=bone_weight,
        triangles=np.concatenate([p.triangles + s for p, s in zip(parts, starts)]).astype(np.int32),
        material_of=np.concatenate([np.full(len(p.triangles), MATERIALS.index(p.material)) for p in parts]).astype(np.int32),
        points={name: first[v] for name, v in face_points(folder).items()},
        eye_centres=np.asarray(pivots if np.isfinite(pivots).all() else centres, np.float32),
        lit=np.concatenate([np.full(len(p.positions), p.material not in ("soft", "teeth")) for p in parts]),
        stripe=_stripe(identity, float(body[assets.heads[assets.bones.index("spine05")]].mean(0)[1])),
        eye_radius=float(np.linalg.norm(eyes[eyes[:, 0] > 0] - centres[0], axis=1).max()),
    )

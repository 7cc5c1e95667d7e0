"""How a person's surfaces look: skin, scalp and cloth colours of each vertex, and small corrections of meshes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from flowact.studio.identity import Identity
from flowact.studio.landmarks import face_points, sampled_mask
from flowact.studio.makehuman import Mesh, load_assets

Float = NDArray[np.float32]


def _bump(points: Float, centre: Float, size: tuple[float, float, float]) -> Float:
    return np.asarray(np.exp(-(((points - centre) / np.asarray(size)) ** 2).sum(1)), np.float32)


def skin_colour(identity: Identity, body: Float, folder: Path, hair: Float | None) -> Float:
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
        return np.asarray(
            near
            * np.clip((body[:, 1] - eyes[1] + 0.1 - 0.8 * (body[:, 2] < 0.6)) * 4 + (body[:, 2] < 0.6) * 3 - 1.2, 0, 1)
        )
    ears = (points["ear_left"] + points["ear_right"]) / 2
    line = eyes[1] + 0.62 - 1.1 * np.clip((eyes[2] - 0.25 - body[:, 2]) / 1.0, 0, 1)
    grown = np.clip((body[:, 1] - line) / 0.12, 0, 1) * np.clip((ears[2] + 0.95 - body[:, 2]) / 0.1, 0, 1)
    return np.asarray(grown * 0.72 * (body[:, 1] > ears[1] - 0.7), np.float32)


def cloth_colour(identity: Identity, mesh: Mesh, positions: Float, waist: float) -> Float:
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
    return colour


def stripe_pattern(identity: Identity, waist: float) -> tuple[float, float, float]:
    """Period, share of the period that is striped, and lowest y of a shirt's stripes, in decimetres."""
    period, share = {"plain": (1.0, -1.0), "stripes": (0.55, 0.5), "pinstripes": (0.24, 0.22)}[identity.stripes]
    return period, share, waist


def groom(name: str, positions: Float, body: Float, folder: Path) -> Float:
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

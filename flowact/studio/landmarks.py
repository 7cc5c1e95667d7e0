"""Which body vertices are the named face points, found from the shape and from what the face units move."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flowact.studio.makehuman import Assets, load_assets

Float = NDArray[np.float32]


def _moved(assets: Assets, unit: str) -> Float:
    index, delta = assets.targets[unit]
    moved = np.zeros_like(assets.base)
    moved[index] = delta
    return moved


def _nearest(points: Float, goal: Float, among: NDArray[np.bool_]) -> int:
    distance = np.linalg.norm(points - goal, axis=1)
    return int(np.where(among, distance, np.inf).argmin())


def _mouth(assets: Assets, skin: NDArray[np.bool_], lips: NDArray[np.bool_]) -> dict[str, int]:
    base = assets.base
    open_jaw = _moved(assets, "jawOpen")[:, 1]
    middle = lips & (np.abs(base[:, 0]) < 0.01)
    lower = middle & (open_jaw < 0.5 * open_jaw[middle].min())
    upper = middle & ~lower
    gap = np.linalg.norm(base[upper][:, None] - base[lower][None], axis=-1)
    # The seam is where both lips touch: the front-most pair among the closest ones.
    front = base[upper][:, None, 2] + base[lower][None, :, 2]
    i, j = np.unravel_index(np.argmin(gap - 0.15 * front), gap.shape)
    corner = {s: int(np.where(lips & (sign * base[:, 0] > 0), sign * base[:, 0], -9).argmax()) for s, sign in _SIGNS}
    return {
        "lip_top_inner": int(np.flatnonzero(upper)[i]),
        "lip_bottom_inner": int(np.flatnonzero(lower)[j]),
        "lip_top_outer": int(np.where(upper, base[:, 1], -np.inf).argmax()),
        "lip_bottom_outer": int(np.where(lower, base[:, 1], np.inf).argmin()),
        "mouth_left": corner["left"],
        "mouth_right": corner["right"],
    }


def _eye(assets: Assets, skin: NDArray[np.bool_], side: str, sign: float) -> dict[str, int]:
    base = assets.base
    centre = base[assets.heads[assets.bones.index(f"eye.{side[0].upper()}")]].mean(0)
    ball = assets.fitted["low-poly"].fit(base)
    ball = ball[np.sign(ball[:, 0]) == sign]
    radius = float(np.linalg.norm(ball - centre, axis=1).max())
    rim = skin & (np.linalg.norm(base - centre, axis=1) < radius * 1.16) & (base[:, 2] > centre[2] + radius * 0.25)
    blink = _moved(assets, f"eyeBlink{side.capitalize()}")
    column = rim & (np.abs(base[:, 0] - centre[0]) < radius * 0.3)
    top = int(np.where(column, blink[:, 1], np.inf).argmin())
    low = column & (np.abs(blink[:, 1]) < 0.35 * abs(float(blink[top, 1]))) & (base[:, 1] < base[top, 1])
    bottom = _nearest(base, base[top] + blink[top], low)
    height = (base[top, 1] + base[bottom, 1]) / 2
    level = rim & (np.abs(base[:, 1] - height) < radius * 0.3)
    outward = sign * base[:, 0]
    return {
        f"eye_{side}_top": top,
        f"eye_{side}_bottom": bottom,
        f"eye_{side}_inner": int(np.where(level, outward, np.inf).argmin()),
        f"eye_{side}_outer": int(np.where(level, outward, -np.inf).argmax()),
    }


_SIGNS = (("left", 1.0), ("right", -1.0))


def sampled_mask(assets: Assets, name: str) -> Float:
    """[B] value in 0..1 of a mask picture at each body vertex."""
    picture = assets.masks[name]
    size = len(picture)
    uv = assets.body.uv
    column = np.clip((uv[:, 0] * size).astype(int), 0, size - 1)
    row = np.clip(((1 - uv[:, 1]) * size).astype(int), 0, size - 1)
    values = np.zeros(len(assets.base), np.float32)
    np.maximum.at(values, assets.body.source, picture[row, column] / np.float32(255))
    return values


@lru_cache(maxsize=2)
def face_points(folder: Path) -> dict[str, int]:
    """Body vertex of each landmark that lies on the skin, and of `crown`, `ear_left` and `ear_right`."""
    assets = load_assets(folder)
    base = assets.base
    skin = np.zeros(len(base), bool)
    skin[assets.body.source] = True
    lips = skin & (sampled_mask(assets, "lips") > 0.25)
    points = _mouth(assets, skin, lips)
    for side, sign in _SIGNS:
        points |= _eye(assets, skin, side, sign)
        ears = skin & (sampled_mask(assets, "ears") > 0.25) & (sign * base[:, 0] > 0)
        points[f"ear_{side}"] = int(np.where(ears, sign * base[:, 0], -9).argmax())
        brow = _moved(assets, f"browOuterUp{side.capitalize()}")[:, 1] + _moved(assets, "browInnerUp")[:, 1]
        points[f"brow_{side}"] = int(np.where(skin & (sign * base[:, 0] > 0), brow, -9).argmax())
    middle = skin & (np.abs(base[:, 0]) < 0.01)
    mouth = base[points["lip_top_outer"]]
    eyes = base[points["eye_left_top"], 1]
    nose = middle & (base[:, 1] > mouth[1]) & (base[:, 1] < eyes)
    points["nose_tip"] = int(np.where(nose, base[:, 2], -9).argmax())
    under = middle & (base[:, 2] > mouth[2] - 0.55) & (base[:, 1] > mouth[1] - 1.0)
    points["chin"] = int(np.where(under, base[:, 1], np.inf).argmin())
    points["crown"] = int(np.where(middle, base[:, 1], -np.inf).argmax())
    return points

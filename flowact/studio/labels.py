"""Exact labels of a 3D clip: the posed face points, projected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowact.studio.character import Character3D
from flowact.studio.performance import LANDMARKS, RenderedClip
from flowact.studio.scene import Scene
from flowact.studio.skeleton import SIDES, Poser
from flowact.studio.surface import follow_surface, shaped, skinned

Float = NDArray[np.float32]


def label_clip(
    character: Character3D,
    scene: Scene,
    size: int,
    frames: NDArray[np.uint8],
    depths: Float,
    poser: Poser,
    matrices: Float,
    weights: Float,
) -> RenderedClip:
    """Labels for drawn frames.

    Args:
        character: who was drawn.
        scene: the camera.
        size: width and height in pixels.
        frames: [F, size, size, 3].
        depths: [F, D, D] their depth buffers.
        poser: the posed skeleton.
        matrices: [F, P, 3, 4] of the same pose.
        weights: [F, U] of the face units.
    """
    names = list(character.points)
    vertices = np.asarray([character.points[name] for name in names])
    at_rest = shaped(character, vertices, weights)
    local = {name: at_rest[:, i] for i, name in enumerate(names)}
    world = skinned(character, vertices, at_rest, matrices)
    points = {name: world[:, i] for i, name in enumerate(names)}
    for side, letter in zip(("left", "right"), SIDES):
        pupil = character.eye_centres[SIDES.index(letter)] + np.asarray([0, 0, character.eye_radius])
        points[f"iris_{side}"] = poser.at(f"eye.{letter}", pupil).astype(np.float32)
        points[f"wrist_{side}"] = poser.at(f"wrist.{letter}").astype(np.float32)
        middle = character.skeleton.middle[SIDES.index(letter)]
        points[f"knuckle_{side}"] = poser.at(f"wrist.{letter}", middle).astype(np.float32)
    pixels = {name: scene.project(position, size) for name, position in points.items()}
    rest = {name: character.positions[character.points[name]] for name in names}
    return RenderedClip(
        frames=frames,
        mouth_box=_mouth_box(pixels),
        face_box=_face_box(pixels),
        mouth_open=_mouth_open(local, rest),
        landmarks=np.stack([pixels[name] for name in LANDMARKS], 1).astype(np.float32),
        eye_open=np.stack([_eye_open(local, rest, side) for side in ("left", "right")], 1),
        hand_visible=_hand_visible(character, scene, poser, size),
        points=follow_surface(character, scene, size, depths, matrices, weights),
    )


def _mouth_box(pixels: dict[str, Float]) -> Float:
    corners = ("mouth_left", "mouth_right", "lip_top_outer", "lip_bottom_outer")
    points = np.stack([pixels[name] for name in corners], 1)
    margin = np.linalg.norm(pixels["mouth_left"] - pixels["mouth_right"], axis=1, keepdims=True) / 4
    return np.concatenate([points.min(1) - margin, points.max(1) + margin], 1).astype(np.float32)


def _face_box(pixels: dict[str, Float]) -> Float:
    names = ("chin", "brow_left", "brow_right", "ear_left", "ear_right")
    points = np.stack([pixels[name] for name in names], 1)
    return np.concatenate([points.min(1), points.max(1)], 1).astype(np.float32)


def _mouth_open(local: dict[str, Float], rest: dict[str, Float]) -> Float:
    gap = local["lip_top_inner"][:, 1] - local["lip_bottom_inner"][:, 1]
    closed = rest["lip_top_inner"][1] - rest["lip_bottom_inner"][1]
    width = np.linalg.norm(rest["mouth_left"] - rest["mouth_right"])
    return np.asarray(np.clip(gap - closed, 0, None) / width, np.float32)


def _eye_open(local: dict[str, Float], rest: dict[str, Float], side: str) -> Float:
    gap = local[f"eye_{side}_top"][:, 1] - local[f"eye_{side}_bottom"][:, 1]
    return np.asarray(np.clip(gap / (rest[f"eye_{side}_top"][1] - rest[f"eye_{side}_bottom"][1]), 0, None), np.float32)


def _hand_visible(character: Character3D, scene: Scene, poser: Poser, size: int) -> Float:
    seen = []
    for side, letter in enumerate(SIDES):
        knuckles = [poser.at(f"wrist.{letter}", point) for point in character.skeleton.knuckles[side]]
        points = np.stack([poser.at(f"wrist.{letter}"), *knuckles], 1).astype(np.float32)
        pixels = scene.project(points, size)
        seen.append(np.any(np.all((pixels >= 0) & (pixels < size), -1), 1))
    return np.stack(seen, 1).astype(np.float32)

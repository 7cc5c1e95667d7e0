"""What surrounds the person in one clip: camera, light and background, all drawn from the framing seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from flowact.core.errors import ConfigError
from flowact.studio.character import Character3D

Float = NDArray[np.float32]

FRAMINGS = ("face", "bust", "waist", "full")
HEAD_SHARE = {"face": (0.74, 0.82), "bust": (0.525, 0.55), "waist": (0.27, 0.31), "full": (0.118, 0.128)}
TOP_MARGIN = {"face": 0.11, "bust": 0.085, "waist": 0.09, "full": 0.05}
# A bust comes closer to a person with a small mouth, so that the lips keep enough pixels to be learned from.
MOUTH_SHARE = 0.128
MAX_HEAD_SHARE = 0.575
# Narrowest region over many people and framing seeds, for hands up to 0.35 in front of the neck.
REGIONS = {
    "face": (-0.28, 0.28, 0.36, 0.84),
    "bust": (-0.44, 0.44, 0.05, 0.85),
    "waist": (-0.9, 0.9, -0.85, 0.93),
    "full": (-2.4, 2.4, -4.0, 0.98),
}


def visible_region(framing: str) -> tuple[float, float, float, float]:
    """x0, x1, y0, y1 in shoulder widths from the neck base: where a hand is surely inside the frame.

    Raises:
        ConfigError: there is no such framing.
    """
    if framing not in REGIONS:
        raise ConfigError(f"Cannot frame the person: got framing {framing!r}, expected one of {', '.join(FRAMINGS)}.")
    return REGIONS[framing]


@dataclass(frozen=True)
class Scene:
    """Camera, light and background of one clip."""

    camera: Float  # [4, 4] world to clip space
    eye: Float  # [3]
    key_direction: Float
    key_colour: Float
    sky: Float
    ground: Float
    rim_colour: Float
    background: NDArray[np.uint8]  # [S, S, 3]

    def project(self, points: Float, size: int) -> Float:
        """[..., 2] pixels of world points, x to the right and y down."""
        clip = points @ self.camera[:3, :3].T + self.camera[:3, 3]
        w = points @ self.camera[3, :3].T + self.camera[3, 3]
        x, y = clip[..., 0] / w, clip[..., 1] / w
        return np.asarray(np.stack([(x + 1) / 2 * size, (1 - y) / 2 * size], -1), np.float32)


def _perspective(fov: float, near: float, far: float) -> Float:
    f = 1 / np.tan(fov / 2)
    a, b = (far + near) / (near - far), 2 * far * near / (near - far)
    return np.asarray([[f, 0, 0, 0], [0, f, 0, 0], [0, 0, a, b], [0, 0, -1, 0]], np.float32)


def _look(eye: NDArray[Any], target: NDArray[Any]) -> Float:
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 1.0, 0.0], back)
    right /= np.linalg.norm(right)
    turn = np.stack([right, np.cross(back, right), back])
    view = np.eye(4)
    view[:3, :3], view[:3, 3] = turn, -turn @ eye
    return np.asarray(view, np.float32)


def _camera(character: Character3D, rng: np.random.Generator, framing: str) -> tuple[Float, Float]:
    crown, chin = (character.positions[character.points[n]] for n in ("crown", "chin"))
    head = float(crown[1] - chin[1])
    height = head / float(rng.uniform(*HEAD_SHARE[framing]))
    if framing == "bust":
        left, right = (character.positions[character.points[n]] for n in ("mouth_left", "mouth_right"))
        height = max(min(height, float(left[0] - right[0]) / MOUTH_SHARE), head / MAX_HEAD_SHARE)
    if framing == "full":
        height = float(crown[1] - character.positions[:, 1].min()) * float(rng.uniform(1.12, 1.18))
    top = float(crown[1]) + TOP_MARGIN[framing] * height
    yaw = np.radians(np.clip(rng.normal(0, 6), -12, 12))
    fov = np.radians(rng.uniform(15, 24))
    target = np.asarray([0.0, top - height / 2, 0.6])
    tilt = np.radians(rng.uniform(-4, 4))
    distance = height / 2 / np.tan(fov / 2)
    toward = np.asarray([np.sin(yaw) * np.cos(tilt), np.sin(tilt), np.cos(yaw) * np.cos(tilt)])
    eye = target + toward * distance
    side = np.asarray([np.cos(yaw), 0.0, -np.sin(yaw)]) * rng.normal(0, 0.008) * height
    camera = np.matmul(_perspective(float(fov), 1.0, distance + 30.0), _look(eye + side, target + side))
    return np.asarray(camera, np.float32), np.asarray(eye + side, np.float32)


def _warmth(value: float) -> NDArray[np.float64]:
    """Light colour from cool (-1) to warm (1)."""
    return np.asarray([1 + 0.16 * value, 1.0, 1 - 0.20 * value])


def make_scene(character: Character3D, framing_seed: int, framing: str, size: int) -> Scene:
    """The scene of a framing seed for one person; the same arguments give the same scene."""
    visible_region(framing)
    rng = np.random.default_rng([framing_seed, 23])
    camera, eye = _camera(character, rng, framing)
    around, above = np.radians(rng.uniform(-65, 65)), np.radians(rng.uniform(12, 55))
    key = np.asarray([np.sin(around) * np.cos(above), np.sin(above), np.cos(around) * np.cos(above)])
    warm = rng.uniform(-0.7, 1.0)
    strength = rng.uniform(0.55, 0.95)
    fill = rng.uniform(0.34, 0.62)
    return Scene(
        camera=camera,
        eye=eye,
        key_direction=key.astype(np.float32),
        key_colour=np.asarray(_warmth(warm) * strength, np.float32),
        sky=np.asarray(_warmth(-0.5 * warm) * fill, np.float32),
        ground=np.asarray(_warmth(0.4) * fill * rng.uniform(0.45, 0.7), np.float32),
        rim_colour=np.asarray(_warmth(rng.uniform(-1, 1)) * rng.uniform(0.05, 0.4), np.float32),
        background=paint_background(framing_seed, size),
    )


def _colour(rng: np.random.Generator, low: float, high: float) -> tuple[int, int, int]:
    grey = rng.uniform(low, high)
    return tuple(int(np.clip(grey + rng.normal(0, 26), 4, 250)) for _ in range(3))  # type: ignore[return-value]


def _gradient(rng: np.random.Generator, size: int) -> Image.Image:
    a, b = np.asarray(_colour(rng, 50, 210)), np.asarray(_colour(rng, 50, 210))
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    share = np.clip(0.5 + x * np.cos(angle) + y * np.sin(angle), 0, 1)
    return Image.fromarray((a + (b - a) * share[..., None]).astype(np.uint8))


def _blobs(rng: np.random.Generator, size: int) -> Image.Image:
    picture = _gradient(rng, size)
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(6, 18))):
        x, y, r = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(0.04, 0.22) * size
        draw.ellipse((x - r, y - r, x + r, y + r), fill=_colour(rng, 40, 240))
    return picture.filter(ImageFilter.GaussianBlur(size * float(rng.uniform(0.02, 0.06))))


def _shelves(rng: np.random.Generator, size: int) -> Image.Image:
    picture = Image.new("RGB", (size, size), _colour(rng, 40, 110))
    draw = ImageDraw.Draw(picture)
    row = size * float(rng.uniform(0.2, 0.32))
    y = -row * float(rng.random())
    while y < size:
        x = -size * 0.05
        while x < size:
            width, height = size * rng.uniform(0.02, 0.07), row * rng.uniform(0.5, 0.86)
            if rng.random() < 0.85:
                draw.rectangle((x, y + row - height, x + width, y + row * 0.94), fill=_colour(rng, 40, 200))
            x += width + 1
        draw.rectangle((0, y + row * 0.94, size, y + row), fill=_colour(rng, 70, 120))
        y += row
    return picture.filter(ImageFilter.GaussianBlur(size * float(rng.uniform(0.008, 0.03))))


def _room(rng: np.random.Generator, size: int) -> Image.Image:
    wall = _colour(rng, 110, 220)
    picture = Image.new("RGB", (size, size), wall)
    draw = ImageDraw.Draw(picture)
    corner = float(rng.uniform(-0.2, 1.2)) * size
    draw.rectangle((corner, 0, size * 2, size), fill=tuple(int(c * 0.86) for c in wall))
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(-0.1, 0.8, 2) * size
        w, h = rng.uniform(0.15, 0.4, 2) * size
        frame, inner = _colour(rng, 60, 230), _colour(rng, 60, 250)
        draw.rectangle((x, y, x + w, y + h), fill=frame)
        edge = 0.08 * min(w, h)
        draw.rectangle((x + edge, y + edge, x + w - edge, y + h - edge), fill=inner)
    return picture.filter(ImageFilter.GaussianBlur(size * float(rng.uniform(0.006, 0.025))))


def paint_background(seed: int, size: int) -> NDArray[np.uint8]:
    """[S, S, 3] picture behind the person: a gradient, blurred spots, bookshelves or a room."""
    rng = np.random.default_rng([seed, 31])
    painter = (_gradient, _blobs, _shelves, _room)[int(rng.choice(4, p=[0.32, 0.26, 0.14, 0.28]))]
    return np.asarray(painter(rng, size), np.uint8)

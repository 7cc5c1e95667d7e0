"""Hair: what hangs behind the head, what caps it, and beards."""

from __future__ import annotations

import numpy as np
import skia

from flowact.studio.puppet.face import skull
from flowact.studio.puppet.headpose import HALF_HEIGHT, HeadPose
from flowact.studio.puppet.identity import Puppet, darker, lighter
from flowact.studio.puppet.mouth import MOUTH_Y
from flowact.studio.puppet.pen import Points, clipped, ink, polygon, sampled, smooth, soft

# Hairlines from the person's right temple to the left one: x in hundredths of half the head's width, y of its height.
_HAIRLINES = {
    "short hair": "-97 -5, -86 20, -74 52, -30 62, 25 60, 74 52, 86 20, 97 -5",
    "side parted hair": "-97 -5, -86 30, -55 74, -20 62, 35 50, 78 44, 88 20, 97 -5",
    "quiff": "-97 -2, -85 25, -72 58, -30 72, 30 72, 72 58, 85 25, 97 -2",
    "curly hair": "-98 -5, -85 30, -60 54, -20 60, 20 58, 60 55, 85 30, 98 -5",
    "buzz cut": "-98 2, -86 30, -66 62, -25 68, 25 68, 66 62, 86 30, 98 2",
    "long hair": "-97 -20, -84 30, -40 72, -15 78, 30 62, 82 35, 90 0, 97 -20",
    "bob": "-96 -25, -80 10, -72 40, -30 42, 30 42, 72 40, 80 10, 96 -25",
    "hair in a bun": "-98 0, -87 30, -60 64, -20 74, 20 74, 60 64, 87 30, 98 0",
    "ponytail": "-98 -5, -86 28, -70 50, -10 66, 40 56, 76 40, 88 15, 98 -5",
    "curtain hair": "-97 -30, -83 15, -50 55, 0 82, 50 55, 83 15, 97 -30",
    "fringe and long hair": "-96 -20, -80 15, -74 38, -30 44, 30 44, 74 38, 80 15, 96 -20",
}
_VOLUME = {"buzz cut": 0.006, "curly hair": 0.055, "quiff": 0.03}
_TOP = {"quiff": 0.05, "short hair": 0.012, "side parted hair": 0.018, "curly hair": 0.02}
_HANGING = {"long hair": -0.62, "fringe and long hair": -0.7, "curtain hair": -0.42, "bob": -0.27, "curly hair": -0.2}


def draw_back_hair(canvas: skia.Canvas, head: HeadPose, puppet: Puppet) -> None:
    """Draw what lies behind the head and the neck."""
    style, a = puppet.hair_style, puppet.half_width
    colour, volume = darker(puppet.hair, 0.28), puppet.hair_volume
    if style not in _HANGING:
        # The back of the head comes into view when it turns away.
        angle = np.linspace(0, 2 * np.pi, 16, False)
        skull_back = np.column_stack([np.cos(angle) * a * 0.98, 0.06 + np.sin(angle) * 0.19, np.full(16, -0.13)])
        canvas.drawPath(smooth(head.edge(skull_back)), ink(colour if style != "bald" else darker(puppet.skin, 0.18)))
    if style == "hair in a bun":
        bun = np.array(
            [(np.cos(t) * 0.085, 0.335 + np.sin(t) * 0.075, -0.1) for t in np.linspace(0, 2 * np.pi, 12, False)]
        )
        canvas.drawPath(smooth(head.edge(bun)), ink(darker(puppet.hair, 0.12)))
    if style == "ponytail":
        side = puppet.hair_side
        tail = [(0.02, 0.2), (0.16, 0.17), (0.275, 0.02), (0.27, -0.2), (0.2, -0.36), (0.18, -0.2), (0.12, 0.0)]
        canvas.drawPath(smooth(head.edge(np.array([(side * x, y, -0.16) for x, y in tail]))), ink(colour))
    if style not in _HANGING or (style == "curly hair" and puppet.description["sex"] == "man"):
        return
    low, wide = _HANGING[style], a * (1.12 + 0.12 * volume)
    half = [
        (0.0, 0.3),
        (wide * 0.8, 0.24),
        (wide, 0.05),
        (wide * 1.04, low * 0.5),
        (wide * 1.0, low + 0.03),
        (wide * 0.7, low - 0.02),
    ]
    contour = np.array(half + [(-x, y) for x, y in half[:0:-1]])
    if style == "curly hair":
        contour = _bumps(contour, 0.03)
    canvas.drawPath(smooth(head.edge(np.column_stack([contour, np.full(len(contour), -0.1)]))), ink(colour))


def draw_hair(canvas: skia.Canvas, head: HeadPose, puppet: Puppet) -> None:
    """Draw the hair on the skull, after the face."""
    style = puppet.hair_style
    if style == "bald":
        return
    cap = _cap(head, puppet)
    line = max(puppet.outline * head.view.scale, 0.01)
    middle = head.edge(np.zeros((1, 3)))[0]
    shadow = polygon(cap + np.array([0.0, 0.016 * head.view.scale]))
    with clipped(canvas, smooth(head.edge(skull(puppet, 0.0)))):
        canvas.drawPath(shadow, soft(darker(puppet.skin, 0.6), 0.35, 0.012 * head.view.scale))
    path = polygon(cap)
    canvas.drawPath(path, ink(puppet.hair))
    with clipped(canvas, path):
        _draw_strands(canvas, head, puppet)
        canvas.drawCircle(
            *middle.tolist(), 0.12 * head.view.scale, soft(darker(puppet.hair, 0.4), 0.5, 0.05 * head.view.scale)
        )
    if puppet.outline:
        canvas.drawPath(path, ink(darker(puppet.hair, 0.45), 1.0, line))


def _cap(head: HeadPose, puppet: Puppet) -> Points:
    style, a = puppet.hair_style, puppet.half_width
    volume = _VOLUME.get(style, 0.02) * puppet.hair_volume
    top = _TOP.get(style, 0.01) * puppet.hair_volume
    points = [[float(number) / 100 for number in point.split()] for point in _HAIRLINES[style].split(", ")]
    hairline = np.array(points) * (puppet.hair_side * a, HALF_HEIGHT)
    if puppet.hair_side < 0:
        hairline = hairline[::-1]
    angle = np.linspace(np.pi * 1.04, -np.pi * 0.04, 25)
    lift = np.maximum(np.sin(angle), 0.0)
    shape = np.column_stack(
        [np.cos(angle) * (a + volume), 0.02 + np.sin(angle) * (HALF_HEIGHT - 0.02 + volume + top * lift)]
    )
    # A skull is squarer than an ellipse.
    shape[:, 0] *= 1.0 + 0.1 * np.sin(2 * angle) ** 2
    shape[0, 1], shape[-1, 1] = hairline[0, 1] - 0.01, hairline[-1, 1] - 0.01
    if style == "quiff":
        shape[:, 0] += 0.03 * puppet.hair_side * lift**2
    if style == "curly hair":
        shape = _bumps(shape, 0.016, closed=False)
    outer = head.edge(np.column_stack([shape, np.full(len(shape), -0.03)]))
    inner = head.on(sampled(hairline), 0.012)[1:-1]
    return np.concatenate([outer, inner[::-1]])


def _bumps(contour: Points, size: float, closed: bool = True) -> Points:
    line = sampled(np.concatenate([contour, contour[:1]]) if closed else contour, 10)
    line = line[:-1] if closed else line
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    out = line - line.mean(0)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return np.asarray(line + out * (np.abs(np.sin(travelled / (size * 4.2) * np.pi)) * size)[:, None])


def _draw_strands(canvas: skia.Canvas, head: HeadPose, puppet: Puppet) -> None:
    rng, a, scale = np.random.default_rng(puppet.seed), puppet.half_width, head.view.scale
    if puppet.hair_style in ("buzz cut", "curly hair"):
        return
    crown = puppet.hair_side * -0.25
    for share in np.linspace(-0.95, 0.95, 9):
        end = share + rng.normal(0.0, 0.05)
        strand = sampled(
            np.array(
                [
                    ((crown + (end - crown) * 0.25) * a, 0.27),
                    ((crown + (end - crown) * 0.75) * a, 0.22),
                    (end * a, 0.06),
                ]
            )
        )
        colour = lighter(puppet.hair, 0.25) if rng.random() < 0.45 else darker(puppet.hair, 0.3)
        path = skia.Path()
        path.addPoly([skia.Point(x, y) for x, y in head.on(strand, 0.02).tolist()], False)
        canvas.drawPath(path, ink(colour, 0.5, rng.uniform(0.005, 0.014) * scale))


def draw_beard(canvas: skia.Canvas, head: HeadPose, puppet: Puppet, face: skia.Path, opening: float) -> None:
    """Draw a beard below the mouth's ink; `opening` in shoulder widths moves it with the jaw."""
    kind, a, low = puppet.beard, puppet.half_width, -HALF_HEIGHT - opening
    if kind == "none":
        return
    colour = darker(puppet.hair, 0.15)
    with clipped(canvas, face):
        if kind in ("beard", "stubble"):
            right = [(-a * 1.02, 0.0), (-a * 0.82, -0.06), (-a * 0.52, MOUTH_Y + 0.055), (-0.03, MOUTH_Y + 0.05)]
            top = sampled(np.array([*right, *[(-x, y) for x, y in right[::-1]]]))
            bottom = np.array([(a * 1.4, -0.1), (a * 1.2, low - 0.1), (-a * 1.2, low - 0.1), (-a * 1.4, -0.1)])
            region = np.concatenate([head.on(top), head.edge(np.column_stack([bottom, np.zeros(4)]))])
            paint = soft(colour, 0.3, 0.012 * head.view.scale) if kind == "stubble" else ink(colour)
            canvas.drawPath(polygon(region), paint)
        if kind == "goatee":
            goatee = np.array(
                [
                    (-0.05, MOUTH_Y - 0.05 - opening),
                    (0.0, MOUTH_Y - 0.04 - opening),
                    (0.05, MOUTH_Y - 0.05 - opening),
                    (0.055, low - 0.02),
                    (-0.055, low - 0.02),
                ]
            )
            canvas.drawPath(smooth(head.on(goatee)), ink(colour))
    if kind in ("moustache", "goatee"):
        half = [(0.0, MOUTH_Y + 0.045), (0.045, MOUTH_Y + 0.046), (0.088, MOUTH_Y + 0.012), (0.04, MOUTH_Y + 0.022)]
        hair = np.array([*half, (0.0, MOUTH_Y + 0.026), *[(-x, y) for x, y in half[:0:-1]]])
        canvas.drawPath(smooth(head.on(hair, 0.01)), ink(colour))

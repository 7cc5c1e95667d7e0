"""Neck, shoulders and clothes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skia

from flowact.studio.puppet.headpose import HALF_HEIGHT, HeadPose
from flowact.studio.puppet.identity import Puppet, darker, lighter
from flowact.studio.puppet.pen import Points, View, clipped, fade, ink, polygon, rotation, sampled, smooth, soft

SHOULDER = (0.47, -0.09, 0.0)
"""The person's left shoulder joint."""


@dataclass(frozen=True)
class TorsoPose:
    """The chest of one frame: camera, [3, 3] rotation, [3] offset, and how far each shoulder is raised."""

    view: View
    turn: Points
    offset: Points
    raised: tuple[float, float]

    @classmethod
    def at(cls, view: View, angles: Points, offset: Points, raised: tuple[float, float]) -> TorsoPose:
        """The pose for yaw, pitch, roll in degrees and an offset in shoulder widths."""
        return cls(view, rotation(*angles.tolist()), offset, raised)

    def place(self, points: Points) -> Points:
        """[N, 3] points of the resting body, moved with the chest (which turns about the waist)."""
        waist = np.array([0.0, -1.3, 0.0])
        turned = (points - waist) @ self.turn.T + waist + self.offset
        return np.asarray(turned)

    def pixels(self, flat: Points, z: float = 0.0) -> Points:
        """Pixels of [N, 2] points drawn on the chest; those near a raised shoulder rise with it."""
        share = np.clip((np.abs(flat[:, 0]) - 0.08) / 0.3, 0.0, 1.0)
        lift = share * np.where(flat[:, 0] > 0, self.raised[0], self.raised[1])
        raised = np.column_stack([flat[:, 0], flat[:, 1] + lift, np.full(len(flat), z)])
        return self.view.pixels(self.place(raised))

    def shoulder(self, side: float) -> Points:
        """[3] the shoulder joint of a side: +1 the person's left."""
        x, y, z = SHOULDER
        raised = self.raised[0 if side > 0 else 1]
        return np.asarray(self.place(np.array([[side * x, y + raised, z]]))[0])


def draw_body(canvas: skia.Canvas, torso: TorsoPose, head: HeadPose, puppet: Puppet) -> None:
    """Draw neck, chest and clothes."""
    _draw_neck(canvas, torso, head, puppet)
    half = [(0.125, 0.045), (0.2, 0.012), (0.34, -0.03), (0.46, -0.075), (0.555, -0.19), (0.6, -0.45), (0.61, -1.6)]
    contour = np.array([(-x, y) for x, y in half] + [(x, y) for x, y in half[::-1]])
    left = sampled(contour[: len(half)], 5)
    right = sampled(contour[len(half) :], 5)
    neckline = _neckline(puppet)
    outline = torso.pixels(np.concatenate([right, neckline[::-1], left]))
    path = polygon(outline)
    ends = torso.pixels(np.array([(-0.4, 0.0), (0.45, -0.6)]))
    canvas.drawPath(path, fade(lighter(puppet.cloth, 0.1), darker(puppet.cloth, 0.25), ends[0], ends[1]))
    with clipped(canvas, path):
        _draw_pattern(canvas, torso, puppet)
        _draw_folds(canvas, torso, puppet)
    if puppet.outline:
        canvas.drawPath(path, ink(darker(puppet.cloth, 0.5), 1.0, puppet.outline * torso.view.scale))
    _draw_garment(canvas, torso, puppet, neckline)


def _neckline(puppet: Puppet) -> Points:
    """[N, 2] from the person's right to the left."""
    depth = {
        "turtleneck": 0.07,
        "shirt": -0.03,
        "hoodie": -0.02,
        "v-neck sweater": -0.13,
        "jacket": -0.22,
        "t-shirt": -0.035,
    }
    low = depth[puppet.garment]
    if puppet.garment in ("v-neck sweater", "jacket"):
        return np.array([(-0.125, 0.045), (-0.11, 0.03), (0.0, low), (0.11, 0.03), (0.125, 0.045)])
    points = [(-0.125, 0.045), (-0.09, 0.045 + (low - 0.045) * 0.65), (0.0, low)]
    return sampled(np.array(points + [(-x, y) for x, y in points[1::-1]]), 5)


def _draw_neck(canvas: skia.Canvas, torso: TorsoPose, head: HeadPose, puppet: Puppet) -> None:
    top = head.edge(
        np.array([(-0.092, -0.12, -0.04), (0.092, -0.12, -0.04), (0.09, -0.24, -0.02), (-0.09, -0.24, -0.02)])
    )
    base = torso.pixels(
        np.array([(0.105, 0.05), (0.17, 0.0), (0.16, -0.26), (-0.16, -0.26), (-0.17, 0.0), (-0.105, 0.05)])
    )
    path = polygon(np.concatenate([top[:3], base, top[3:]]))
    canvas.drawPath(path, ink(darker(puppet.skin, 0.1)))
    if puppet.outline:
        canvas.drawPath(path, ink(darker(puppet.skin, 0.5), 1.0, puppet.outline * head.view.scale))
    with clipped(canvas, path):
        chin = np.array(
            [
                (-0.16, -0.1),
                (0.16, -0.1),
                (0.13, -HALF_HEIGHT - 0.02),
                (0.0, -HALF_HEIGHT - 0.055),
                (-0.13, -HALF_HEIGHT - 0.02),
            ]
        )
        shade = smooth(head.edge(np.column_stack([chin, np.full(5, 0.06)])))
        canvas.drawPath(shade, soft(darker(puppet.skin, 0.45), 0.75, 0.012 * head.view.scale))
        for side in (-1.0, 1.0):
            bone = torso.pixels(
                sampled(np.array([(side * 0.03, -0.025), (side * 0.09, -0.012), (side * 0.16, -0.005)]))
            )
            _line(canvas, bone, ink(darker(puppet.skin, 0.35), 0.6, 0.007 * torso.view.scale))


def _draw_pattern(canvas: skia.Canvas, torso: TorsoPose, puppet: Puppet) -> None:
    scale = torso.view.scale
    if puppet.pattern == "stripes" and puppet.garment != "jacket":
        for y in np.arange(-0.1, -1.5, -0.12):
            band = torso.pixels(
                sampled(np.array([(-0.65, y + 0.02), (-0.3, y), (0.0, y - 0.015), (0.3, y), (0.65, y + 0.02)]))
            )
            _line(canvas, band, ink(puppet.second, 0.9, 0.045 * scale))
    elif puppet.pattern == "print" and puppet.garment in ("t-shirt", "hoodie"):
        x, y = torso.pixels(np.array([(0.0, -0.27)]), 0.12)[0].tolist()
        canvas.drawCircle(x, y, 0.11 * scale, ink(puppet.second))
        canvas.drawCircle(x, y, 0.07 * scale, ink(lighter(puppet.second, 0.4)))


def _draw_folds(canvas: skia.Canvas, torso: TorsoPose, puppet: Puppet) -> None:
    paint = ink(darker(puppet.cloth, 0.45), 0.5, 0.009 * torso.view.scale)
    for side in (-1.0, 1.0):
        for fold in ([(0.43, -0.3), (0.425, -0.42), (0.44, -0.6)], [(0.36, -0.16), (0.41, -0.2), (0.43, -0.3)]):
            _line(canvas, torso.pixels(sampled(np.array(fold) * (side, 1.0))), paint)


def _draw_garment(canvas: skia.Canvas, torso: TorsoPose, puppet: Puppet, neckline: Points) -> None:
    scale, dark = torso.view.scale, darker(puppet.cloth, 0.3)
    if puppet.garment in ("t-shirt", "v-neck sweater"):
        _line(canvas, torso.pixels(neckline), ink(dark, 1.0, 0.022 * scale))
    elif puppet.garment == "turtleneck":
        for offset in (0.0, -0.035):
            roll = np.array([(-0.115, 0.075 + offset), (0.0, 0.05 + offset), (0.115, 0.075 + offset)])
            _line(
                canvas,
                torso.pixels(sampled(roll), 0.03),
                ink(darker(puppet.cloth, 0.1 - offset * 4), 1.0, 0.05 * scale),
            )
    elif puppet.garment == "shirt":
        for side in (-1.0, 1.0):
            collar = np.array([(0.125, 0.075), (0.145, 0.02), (0.105, -0.1), (0.0, -0.035), (0.06, 0.01)]) * (side, 1.0)
            path = polygon(torso.pixels(collar, 0.05))
            canvas.drawPath(path, ink(lighter(puppet.cloth, 0.22)))
            canvas.drawPath(path, ink(dark, 1.0, 0.006 * scale))
        _line(canvas, torso.pixels(np.array([(0.0, -0.05), (0.0, -1.5)]), 0.1), ink(dark, 0.7, 0.007 * scale))
        for y in (-0.13, -0.3, -0.47):
            x, down = torso.pixels(np.array([(0.022, y)]), 0.1)[0].tolist()
            canvas.drawCircle(x, down, 0.011 * scale, ink(lighter(puppet.cloth, 0.6)))
    elif puppet.garment == "hoodie":
        hood = [
            (-0.13, 0.06),
            (-0.19, 0.04),
            (-0.17, -0.06),
            (0.0, -0.12),
            (0.17, -0.06),
            (0.19, 0.04),
            (0.13, 0.06),
            (0.09, -0.01),
            (0.0, -0.04),
            (-0.09, -0.01),
        ]
        canvas.drawPath(smooth(torso.pixels(np.array(hood), 0.04)), ink(darker(puppet.cloth, 0.18)))
        for side in (-1.0, 1.0):
            cord = torso.pixels(
                sampled(np.array([(side * 0.06, -0.09), (side * 0.07, -0.18), (side * 0.062, -0.27)])), 0.1
            )
            _line(canvas, cord, ink(lighter(puppet.cloth, 0.65), 1.0, 0.011 * scale))
    else:
        _draw_jacket(canvas, torso, puppet)


def _draw_jacket(canvas: skia.Canvas, torso: TorsoPose, puppet: Puppet) -> None:
    scale = torso.view.scale
    inner = torso.pixels(
        np.array([(-0.1, -0.005), (0.0, -0.045), (0.1, -0.005), (0.09, -0.1), (0.0, -0.3), (-0.09, -0.1)]), 0.02
    )
    canvas.drawPath(polygon(inner), ink(lighter(puppet.second, 0.35)))
    for side in (-1.0, 1.0):
        lapel = np.array(
            [(0.125, 0.05), (0.16, 0.01), (0.22, -0.1), (0.17, -0.14), (0.18, -0.18), (0.0, -0.42), (0.085, -0.05)]
        )
        path = polygon(torso.pixels(lapel * (side, 1.0), 0.05))
        canvas.drawPath(path, ink(lighter(puppet.cloth, 0.12)))
        canvas.drawPath(path, ink(darker(puppet.cloth, 0.45), 1.0, 0.006 * scale))


def _line(canvas: skia.Canvas, points: Points, paint: skia.Paint) -> None:
    path = skia.Path()
    path.addPoly([skia.Point(x, y) for x, y in points.tolist()], False)
    canvas.drawPath(path, paint)

"""The head without its hair: skull, ears, eyes, brows, nose, and what some people wear on the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skia

from flowact.studio.puppet.headpose import HALF_HEIGHT, HeadPose
from flowact.studio.puppet.identity import Puppet, darker, lighter, mixed
from flowact.studio.puppet.pen import Points, clipped, fade, ink, polygon, sampled, smooth, soft

EYE_Y = 0.012
COVERED_EARS = ("bob", "long hair", "fringe and long hair", "curtain hair")
_SIDES = (1.0, -1.0)  # the person's left first, as in every label


def skull(puppet: Puppet, jaw_drop: float) -> Points:
    """[N, 3] contour of crown, temples, cheeks and chin."""
    a, h = puppet.half_width, HALF_HEIGHT
    half = np.array(
        [
            (0.0, h, 0.0),
            (a * 0.55, h * 0.93, 0.0),
            (a * 0.93, h * 0.58, 0.0),
            (a, h * 0.08, 0.0),
            (a * puppet.cheek * 0.97, -h * 0.3, 0.02),
            (a * (puppet.jaw + 0.1), -h * 0.64 - jaw_drop * 0.5, 0.05),
            (a * (puppet.chin + 0.16), -h * 0.93 - jaw_drop * 0.95, 0.09),
            (0.0, -h - jaw_drop, 0.1),
        ]
    )
    return np.concatenate([half, half[-2:0:-1] * (-1, 1, 1)])


@dataclass(frozen=True)
class EyeInk:
    """Where one eye was drawn, in pixels, and how open it is (1 at rest)."""

    inner: Points
    outer: Points
    top: Points
    bottom: Points
    iris: Points
    brow: Points
    opening: float


def draw_skull(canvas: skia.Canvas, head: HeadPose, puppet: Puppet, jaw_drop: float) -> skia.Path:
    """Draw the face's skin and return its outline."""
    contour = head.edge(skull(puppet, jaw_drop))
    outline = smooth(contour)
    across = head.edge(np.array([(-0.2, 0.1, 0.0), (0.22, -0.1, 0.0)]))
    canvas.drawPath(outline, fade(lighter(puppet.skin, 0.12), darker(puppet.skin, 0.1), across[0], across[1]))
    if puppet.outline:
        canvas.drawPath(outline, ink(darker(puppet.skin, 0.5), 1.0, puppet.outline * head.view.scale))
    with clipped(canvas, outline):
        _draw_complexion(canvas, head, puppet)
    return outline


def draw_ears(canvas: skia.Canvas, head: HeadPose, puppet: Puppet, near: bool) -> None:
    """Draw the ears on the side turned to us (over the hair), or those on the far side (under the face)."""
    if puppet.hair_style in COVERED_EARS:
        return
    line = ink(darker(puppet.skin, 0.5), 1.0, max(puppet.outline * head.view.scale, 0.01))
    for side in _SIDES:
        if (side * head.lean[0] < 0.04) == near:
            _draw_ear(canvas, head, puppet, side, line)


def _draw_ear(canvas: skia.Canvas, head: HeadPose, puppet: Puppet, side: float, line: skia.Paint) -> None:
    size, x = 0.055 * puppet.ear_size, puppet.half_width * 0.98
    shape = np.array([(0.0, 1.0), (0.55, 1.05), (0.75, 0.35), (0.45, -0.55), (0.1, -0.9), (-0.4, 0.0)])
    contour = np.column_stack([side * (x + shape[:, 0] * size * 0.75), -0.01 + shape[:, 1] * size, np.full(6, -0.09)])
    path = smooth(head.edge(contour))
    canvas.drawPath(path, ink(darker(puppet.skin, 0.08)))
    if puppet.outline:
        canvas.drawPath(path, line)
    middle = contour.mean(0)
    inner = middle + (contour - middle) * 0.5
    canvas.drawPath(smooth(head.edge(inner)), ink(darker(puppet.skin, 0.22)))
    if puppet.earrings:
        at = head.edge(np.array([(side * (x + size * 0.15), -0.01 - size * 1.15, -0.08)]))[0]
        canvas.drawCircle(*at.tolist(), 0.014 * head.view.scale, ink((0.93, 0.79, 0.42)))


def _draw_complexion(canvas: skia.Canvas, head: HeadPose, puppet: Puppet) -> None:
    scale = head.view.scale
    for side in _SIDES:
        x, y = head.on(np.array([(side * 0.115, -0.085)]))[0].tolist()
        canvas.drawCircle(
            x,
            y,
            0.035 * scale,
            soft(mixed(puppet.skin, (0.9, 0.3, 0.3), 0.6), puppet.blush * puppet.skin[0] ** 2, 0.02 * scale),
        )
        if puppet.wrinkles:
            fold = head.on(sampled(np.array([(side * 0.052, -0.075), (side * 0.088, -0.115), (side * 0.096, -0.15)])))
            _line(canvas, fold, ink(darker(puppet.skin, 0.4), 0.45, 0.006 * scale))
    if puppet.wrinkles:
        for y in (0.15, 0.175):
            crease = head.on(sampled(np.array([(-0.07, y), (0.0, y + 0.006), (0.07, y)])))
            _line(canvas, crease, ink(darker(puppet.skin, 0.4), 0.28, 0.005 * scale))
    if puppet.freckles:
        spots = np.random.default_rng(puppet.seed).uniform((-0.13, -0.09), (0.13, -0.03), (22, 2))
        for x, y in head.on(spots).tolist():
            canvas.drawCircle(x, y, 0.0045 * scale, ink(darker(puppet.skin, 0.42), 0.5))


def draw_eye(
    canvas: skia.Canvas, head: HeadPose, puppet: Puppet, side: float, look: dict[str, float], gaze: tuple[float, float]
) -> EyeInk:
    """Draw one eye. `look`: blink, wide, squint in 0..1; `gaze`: yaw and pitch in degrees."""
    s, scale = puppet.eye_size, head.view.scale
    # Lids follow the eyeball: looking down lowers the upper lid.
    follow = float(np.clip(gaze[1] / 40.0, -0.5, 0.3))
    rest = puppet.eye_height
    opening = max(
        0.0,
        (1.0 + 0.25 * look["wide"] + 0.5 * follow) * (1.0 - look["blink"])
        - 0.35 * look["squint"] * (1 - look["blink"]),
    )
    low = rest * s * (0.42 - 0.25 * look["squint"])
    high = -low + rest * s * 1.07 * opening
    x, tilt = side * puppet.eye_gap, puppet.eye_tilt * s
    centre = np.array([x, EYE_Y])
    corners = np.array([(-side * s, -tilt * 0.5 - low * 0.3), (side * s, tilt - low * 0.3)])

    def lid(height: float) -> Points:
        arc = [
            corners[0],
            (-side * 0.62 * s, height * 0.82),
            (side * 0.02, height),
            (side * 0.66 * s, height * 0.8 + tilt * 0.6),
            corners[1],
        ]
        return sampled(np.array(arc)) + centre

    upper, lower = lid(high), lid(-low)
    p_upper, p_lower = head.on(upper), head.on(lower)
    hole = polygon(np.concatenate([p_upper, p_lower[::-1]]))
    eye = centre + np.array(
        [np.sin(np.radians(gaze[0])) * s * 0.95, np.sin(np.radians(gaze[1])) * s * 0.9 + rest * s * 0.08]
    )
    iris = head.on(eye[None])[0]
    radius = rest**0.5 * s * 0.66 * scale
    if opening > 0.02:
        with clipped(canvas, hole):
            canvas.drawPath(hole, ink((0.975, 0.97, 0.96)))
            canvas.drawCircle(*iris.tolist(), radius, ink(darker(puppet.iris, 0.45)))
            canvas.drawCircle(*iris.tolist(), radius * 0.86, ink(puppet.iris))
            canvas.drawCircle(iris[0], iris[1] + radius * 0.35, radius * 0.5, ink(lighter(puppet.iris, 0.4), 0.55))
            canvas.drawCircle(*iris.tolist(), radius * 0.5, ink((0.05, 0.04, 0.06)))
            canvas.drawCircle(iris[0] - radius * 0.35, iris[1] - radius * 0.38, radius * 0.27, ink((1, 1, 1), 0.95))
            shade = p_upper + np.array([0.0, 0.008 * scale])
            _line(canvas, shade, ink((0.2, 0.15, 0.25), 0.22, 0.014 * scale))
    _line(canvas, p_lower[8:-3], ink(darker(puppet.skin, 0.45), 0.6, 0.004 * scale))
    lash = mixed(darker(puppet.skin, 0.75), (0.1, 0.07, 0.08), puppet.lashes)
    _line(canvas, p_upper, ink(lash, 1.0, (0.007 + 0.006 * puppet.lashes) * scale))
    if puppet.lashes > 0.5:
        flick = np.array([upper[-3], corners[1] + centre, corners[1] + centre + (side * 0.012, 0.012)])
        _line(canvas, head.on(sampled(flick)), ink(lash, 1.0, 0.008 * scale))
    crease = head.on(upper[3:-3] + np.array([0.0, 0.016]))
    _line(canvas, crease, ink(darker(puppet.skin, 0.45), 0.5, 0.004 * scale))
    brow = _draw_brow(canvas, head, puppet, side, look)
    mid = len(upper) // 2
    return EyeInk(p_upper[0], p_upper[-1], p_upper[mid], p_lower[mid], iris, brow, opening)


def _draw_brow(canvas: skia.Canvas, head: HeadPose, puppet: Puppet, side: float, look: dict[str, float]) -> Points:
    weight, y = puppet.brow_weight, EYE_Y + 0.068
    inner = y + 0.035 * look["inner_up"] - 0.028 * look["down"]
    outer = y + 0.03 * look["outer_up"] - 0.008 * look["down"] - 0.008
    peak = (inner * 0.4 + outer * 0.6) + 0.014 * puppet.brow_arch
    pinch = 0.012 * look["down"]
    spine = np.array([(0.04 - pinch, inner), (0.09, (inner + peak) / 2 + 0.005), (0.115, peak), (0.15, outer - 0.006)])
    curve = sampled(spine * (side, 1.0))
    thick = np.linspace(1.0, 0.25, len(curve))[:, None] * (0.0, weight)
    band = head.on(np.concatenate([curve + thick * 0.6, (curve - thick * 0.6)[::-1]]))
    colour = darker(puppet.hair, 0.25) if puppet.hair_style != "bald" else darker(puppet.hair, 0.4)
    canvas.drawPath(polygon(band), ink(colour))
    canvas.drawPath(polygon(band), ink(colour, 1.0, 0.006 * head.view.scale))
    return np.asarray(head.on(curve[len(curve) // 2][None])[0])


def draw_nose(canvas: skia.Canvas, head: HeadPose, puppet: Puppet) -> Points:
    """Draw the nose and return its tip in pixels. It stands out of the face, so it moves most in a turn."""
    s, scale, y = puppet.nose_size, head.view.scale, -0.07
    dark, lift = darker(puppet.skin, 0.45), 0.035
    line = ink(dark, 0.85, 0.007 * scale)
    tip = head.on(np.array([(0.0, y)]), lift)[0]
    w = 0.03 * s
    if puppet.nose == "button":
        canvas.drawPath(
            smooth(head.on(np.array([(-w, y), (0, y + 0.018), (w, y), (0, y - 0.02)]), lift)),
            ink(darker(puppet.skin, 0.14)),
        )
        _line(
            canvas,
            head.on(sampled(np.array([(-w * 0.9, y - 0.008), (0.0, y - 0.021), (w * 0.9, y - 0.008)])), lift),
            line,
        )
    elif puppet.nose == "line":
        bridge = head.on(sampled(np.array([(0.006, 0.0), (0.012, -0.03), (w * 0.9, y + 0.0)])), 0.015)
        _line(
            canvas,
            np.concatenate(
                [bridge, head.on(sampled(np.array([(w * 0.9, y), (w * 0.6, y - 0.02), (-w * 0.3, y - 0.018)])), lift)]
            ),
            line,
        )
    elif puppet.nose == "wedge":
        root = head.on(np.array([(0.0, 0.02)]), 0.0)
        base = head.on(sampled(np.array([(w, y + 0.002), (w * 0.5, y - 0.02), (0.0, y - 0.014)])), lift)
        canvas.drawPath(polygon(np.concatenate([root, base])), ink(darker(puppet.skin, 0.2), 0.8))
        _line(
            canvas,
            head.on(
                sampled(
                    np.array(
                        [(-w, y - 0.004), (-w * 0.7, y - 0.018), (0.0, y - 0.016), (w * 0.7, y - 0.018), (w, y - 0.004)]
                    )
                ),
                lift,
            ),
            line,
        )
    else:
        for side in _SIDES:
            x, yy = head.on(np.array([(side * w * 0.55, y - 0.014)]), lift * 0.8)[0].tolist()
            canvas.drawOval(
                skia.Rect.MakeXYWH(x - 0.008 * scale, yy - 0.005 * scale, 0.016 * scale, 0.01 * scale), ink(dark, 0.75)
            )
        x, yy = tip.tolist()
        canvas.drawCircle(x, yy - 0.004 * scale, 0.017 * s * scale, soft(lighter(puppet.skin, 0.6), 0.5, 0.008 * scale))
    return np.asarray(tip)


def draw_glasses(canvas: skia.Canvas, head: HeadPose, puppet: Puppet) -> None:
    """Draw glasses, if the puppet wears them."""
    if puppet.glasses == "none":
        return
    scale, r = head.view.scale, 0.066
    power = 1.0 if puppet.glasses.startswith("round") else 0.5
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.column_stack(
        [
            np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power,
            np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power * 0.86,
        ]
    )
    frame = ink(mixed((0.13, 0.1, 0.12), puppet.second, 0.35), 1.0, 0.011 * scale)
    for side in _SIDES:
        rim = smooth(head.on(ring * r + np.array([side * (puppet.eye_gap + 0.004), EYE_Y - 0.006]), 0.02))
        canvas.drawPath(rim, ink((0.85, 0.93, 1.0), 0.13))
        canvas.drawPath(rim, frame)
        arm = head.on(np.array([(side * (puppet.eye_gap + r + 0.002), EYE_Y + 0.004)]), 0.015)
        ear = head.edge(np.array([(side * puppet.half_width, EYE_Y + 0.01, -0.05)]))
        _line(canvas, np.concatenate([arm, ear]), frame)
    bridge = np.array([(-(puppet.eye_gap - r), EYE_Y), (0.0, EYE_Y + 0.01), (puppet.eye_gap - r, EYE_Y)])
    _line(canvas, head.on(sampled(bridge), 0.03), frame)


def _line(canvas: skia.Canvas, points: Points, paint: skia.Paint) -> None:
    path = skia.Path()
    path.addPoly([skia.Point(x, y) for x, y in points.tolist()], False)
    canvas.drawPath(path, paint)

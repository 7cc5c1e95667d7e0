"""What is behind the person: quiet rooms and walls, drawn once per clip."""

from __future__ import annotations

import numpy as np
import skia

from flowact.studio.puppet.identity import Colour, Puppet, darker, lighter, mixed
from flowact.studio.puppet.pen import fade, ink, soft


def draw_backdrop(size: int, puppet: Puppet, seed: int) -> skia.Image:
    """A [size, size] picture; `seed` moves and varies its parts."""
    surface = skia.Surface(size, size)
    rng, s, wall = np.random.default_rng([seed, 5]), float(size), puppet.wall
    wall = mixed(wall, lighter(wall, 0.5), float(rng.uniform(0.0, 0.6)))
    with surface as canvas:
        tilt = float(rng.uniform(-0.3, 0.3)) * s
        canvas.drawPaint(fade(lighter(wall, 0.25), darker(wall, 0.22), (s / 2 - tilt, 0), (s / 2 + tilt, s)))
        _PARTS[puppet.backdrop](canvas, s, wall, rng)
        canvas.drawCircle(s * 0.5, s * 0.45, s * 0.36, soft(lighter(wall, 0.6), 0.3, s * 0.12))
    return surface.makeImageSnapshot()


def _plain(canvas: skia.Canvas, s: float, wall: Colour, rng: np.random.Generator) -> None:
    y = s * float(rng.uniform(0.62, 0.85))
    canvas.drawRect(skia.Rect.MakeLTRB(0, y, s, s), ink(darker(wall, 0.3), 0.5))


def _glow(canvas: skia.Canvas, s: float, wall: Colour, rng: np.random.Generator) -> None:
    for _ in range(9):
        x, y = rng.uniform(0, s, 2).tolist()
        canvas.drawCircle(x, y, s * float(rng.uniform(0.04, 0.12)), soft(lighter(wall, 0.7), 0.4, s * 0.015))


def _window(canvas: skia.Canvas, s: float, wall: Colour, rng: np.random.Generator) -> None:
    left = s * float(rng.choice((-0.08, 0.62)))
    frame = skia.Rect.MakeXYWH(left, s * 0.06, s * 0.44, s * 0.6)
    canvas.drawRect(frame, fade((0.62, 0.8, 0.93), (0.92, 0.95, 0.93), (0, s * 0.06), (0, s * 0.66)))
    canvas.drawCircle(left + s * 0.2, s * 0.66, s * 0.14, soft((0.5, 0.68, 0.5), 0.7, s * 0.02))
    paint = ink(lighter(wall, 0.7), 1.0, s * 0.022)
    canvas.drawRect(frame, paint)
    canvas.drawLine(left + s * 0.22, s * 0.06, left + s * 0.22, s * 0.66, paint)
    canvas.drawLine(left, s * 0.36, left + s * 0.44, s * 0.36, paint)


def _stripes(canvas: skia.Canvas, s: float, wall: Colour, rng: np.random.Generator) -> None:
    step = s * float(rng.uniform(0.07, 0.13))
    for x in np.arange(step * float(rng.random()), s, step).tolist():
        canvas.drawLine(x, 0, x, s, ink(lighter(wall, 0.35), 0.45, step * 0.4))


def _dots(canvas: skia.Canvas, s: float, wall: Colour, rng: np.random.Generator) -> None:
    step = s * float(rng.uniform(0.09, 0.14))
    for row, y in enumerate(np.arange(0, s + step, step).tolist()):
        for x in np.arange(step * 0.5 * (row % 2), s + step, step).tolist():
            canvas.drawCircle(x, y, step * 0.13, ink(lighter(wall, 0.5), 0.55))


def _shelf(canvas: skia.Canvas, s: float, wall: Colour, rng: np.random.Generator) -> None:
    for y in (0.24, 0.5, 0.76):
        x = 0.0
        while x < s:
            width, height = s * float(rng.uniform(0.02, 0.05)), s * float(rng.uniform(0.1, 0.18))
            book = mixed(wall, tuple(rng.uniform(0.25, 0.85, 3).tolist()), 0.55)
            if rng.random() < 0.85:
                canvas.drawRect(skia.Rect.MakeXYWH(x, y * s - height, width, height), ink(book, 0.85))
            x += width * 1.06
        canvas.drawRect(skia.Rect.MakeXYWH(0, y * s, s, s * 0.022), ink(darker(wall, 0.45)))


def _plants(canvas: skia.Canvas, s: float, wall: Colour, rng: np.random.Generator) -> None:
    for side in (0.06, 0.94):
        for _ in range(9):
            angle, length = float(rng.normal(-np.pi / 2, 0.6)), s * float(rng.uniform(0.16, 0.36))
            x, y = s * side, s * 0.78
            leaf = skia.Path()
            leaf.moveTo(x, y)
            ex, ey = x + np.cos(angle) * length, y + np.sin(angle) * length
            bow = length * 0.25
            leaf.quadTo((x + ex) / 2 + bow, (y + ey) / 2, float(ex), float(ey))
            leaf.quadTo((x + ex) / 2 - bow, (y + ey) / 2, x, y)
            canvas.drawPath(leaf, ink(mixed((0.28, 0.5, 0.34), wall, float(rng.uniform(0.0, 0.4)))))


_PARTS = {
    "plain": _plain,
    "glow": _glow,
    "window": _window,
    "stripes": _stripes,
    "dots": _dots,
    "shelf": _shelf,
    "plants": _plants,
}

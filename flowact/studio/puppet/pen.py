"""Points to pixels, and smooth paths to ink: everything the drawing files share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import skia
from numpy.typing import ArrayLike, NDArray

from flowact.studio.puppet.identity import Colour

Points = NDArray[np.float64]


def rotation(yaw: float, pitch: float, roll: float) -> Points:
    """[3, 3] matrix for angles in degrees: left, up, and crown to the left are positive (see Performance)."""
    (cy, cp, cr), (sy, sp, sr) = np.cos(a := np.radians((yaw, pitch, roll))), np.sin(a)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    tilt = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    return np.asarray(tilt @ turn @ nod)


@dataclass(frozen=True)
class View:
    """Camera: pixels per shoulder width, and the pixel where the neck base rests."""

    scale: float
    x: float
    y: float
    distance: float = 4.5

    def pixels(self, points: ArrayLike) -> Points:
        """[..., 3] in shoulder widths to [..., 2] pixels, nearer things slightly larger."""
        p = np.asarray(points, dtype=np.float64)
        near = self.distance / (self.distance - p[..., 2])
        return np.stack([self.x + p[..., 0] * near * self.scale, self.y - p[..., 1] * near * self.scale], -1)


def smooth(points: Points, closed: bool = True) -> skia.Path:
    """A curve through [N, 2] pixels (Catmull-Rom)."""
    p = np.concatenate([points[-1:], points, points[:2]] if closed else [points[:1], points, points[-1:]])
    a, b = p[1:-2] + (p[2:-1] - p[:-3]) / 6.0, p[2:-1] - (p[3:] - p[1:-2]) / 6.0
    path = skia.Path()
    path.moveTo(*p[1].tolist())
    for first, second, end in zip(a.tolist(), b.tolist(), p[2:-1].tolist()):
        path.cubicTo(*first, *second, *end)
    if closed:
        path.close()
    return path


def polygon(points: Points) -> skia.Path:
    """A closed path of straight lines through [N, 2] pixels."""
    path = skia.Path()
    path.addPoly([skia.Point(x, y) for x, y in points.tolist()], True)
    return path


def sampled(points: ArrayLike, steps: int = 6) -> Points:
    """[N, D] control points to a dense open curve through them."""
    p = np.asarray(points, dtype=np.float64)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[:, None]
    a, b, c, d = p[:-3, None], p[1:-2, None], p[2:-1, None], p[3:, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate([curve.reshape(-1, p.shape[1]), p[-2:-1]])


def ink(colour: Colour, alpha: float = 1.0, width: float = 0.0) -> skia.Paint:
    """Paint that fills, or draws round lines of `width` pixels."""
    paint = skia.Paint(AntiAlias=True, Color4f=skia.Color4f(*colour, alpha))
    if width > 0:
        paint.setStyle(skia.Paint.kStroke_Style)
        paint.setStrokeWidth(width)
        paint.setStrokeCap(skia.Paint.kRound_Cap)
        paint.setStrokeJoin(skia.Paint.kRound_Join)
    return paint


def soft(colour: Colour, alpha: float, blur: float) -> skia.Paint:
    """Paint with a blurred edge of `blur` pixels."""
    paint = ink(colour, alpha)
    paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, max(blur, 0.1)))
    return paint


def fade(first: Colour, last: Colour, start: ArrayLike, end: ArrayLike) -> skia.Paint:
    """Paint that goes from one colour to another between two pixels."""
    ends = [skia.Point(*np.asarray(p, dtype=np.float64).tolist()) for p in (start, end)]
    colours = [skia.Color4f(*c, 1.0).toColor() for c in (first, last)]
    return skia.Paint(AntiAlias=True, Shader=skia.GradientShader.MakeLinear(ends, colours))


@contextmanager
def clipped(canvas: skia.Canvas, path: skia.Path) -> Iterator[None]:
    """Draw only inside a path."""
    canvas.save()
    canvas.clipPath(path, True)
    try:
        yield
    finally:
        canvas.restore()

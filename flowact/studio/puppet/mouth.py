"""The mouth: from visemes and face units to a few numbers, and from those to lips, teeth and tongue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skia

from flowact.studio.performance import FACE_UNITS, VISEMES, Float
from flowact.studio.puppet.headpose import HeadPose
from flowact.studio.puppet.identity import Puppet, darker, lighter
from flowact.studio.puppet.pen import Points, clipped, ink, polygon, sampled

MOUTH_Y = -0.15
"""Height of the closed lips in head space, where 0 is the middle of the head."""

_SHAPES = ("gap", "width", "round", "press", "tuck", "tongue", "upper", "lower", "teeth")
# gap: inner opening / mouth width. width: change of width. round: lips forward and full. press: lips thin.
# tuck: lower lip under the upper teeth. tongue: tip up. upper, lower: lip lifted off the teeth. teeth: closed rows.
_VISEME_SHAPES = {
    "sil": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "PP": (0.0, -0.06, 0.1, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "FF": (0.07, 0.0, 0.0, 0.0, 1.0, 0.0, 0.5, 0.0, 0.0),
    "TH": (0.14, 0.0, 0.0, 0.0, 0.0, 1.0, 0.3, 0.3, 0.0),
    "DD": (0.15, 0.02, 0.0, 0.0, 0.0, 0.7, 0.3, 0.4, 0.4),
    "kk": (0.18, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3, 0.4, 0.2),
    "CH": (0.17, -0.22, 0.6, 0.0, 0.0, 0.0, 0.5, 0.5, 1.0),
    "SS": (0.11, 0.06, 0.0, 0.0, 0.0, 0.0, 0.5, 0.6, 1.0),
    "nn": (0.12, 0.0, 0.0, 0.0, 0.0, 0.8, 0.3, 0.2, 0.3),
    "RR": (0.16, -0.16, 0.45, 0.0, 0.0, 0.3, 0.2, 0.2, 0.2),
    "aa": (0.46, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.3, 0.0),
    "E": (0.27, 0.08, 0.0, 0.0, 0.0, 0.0, 0.3, 0.4, 0.0),
    "I": (0.17, 0.15, 0.0, 0.0, 0.0, 0.0, 0.4, 0.4, 0.4),
    "O": (0.36, -0.3, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "U": (0.16, -0.42, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
}
_TABLE = np.array([_VISEME_SHAPES[name] for name in VISEMES])
_STEPS = 9


@dataclass(frozen=True)
class MouthTrack:
    """The mouth over F frames: `shape` [F, 9] in the order of _SHAPES; `corner` [F, 2, 2] out and up, left, right."""

    shape: Points
    corner: Points

    def opening(self, frame: int) -> float:
        """Inner lip gap divided by the mouth width at rest."""
        return float(self.shape[frame, 0])


def mouth_track(visemes: Float, face: Float) -> MouthTrack:
    """Mix the shapes of speech [F, 15] and of expression [F, units]."""
    unit = {name: face[:, i].astype(np.float64) for i, name in enumerate(FACE_UNITS)}
    shape = visemes.astype(np.float64) @ _TABLE

    def both(name: str) -> Points:
        return np.asarray((unit[name + "Left"] + unit[name + "Right"]) / 2.0)

    pucker, funnel = unit["mouthPucker"], unit["mouthFunnel"]
    lifted, lowered = both("mouthUpperUp"), both("mouthLowerDown")
    shape[:, 0] += 0.5 * unit["jawOpen"] + 0.1 * lifted + 0.12 * lowered + 0.1 * funnel
    rolled = (unit["mouthRollLower"] + unit["mouthRollUpper"]) / 2.0
    pressed = np.clip(shape[:, 3] + both("mouthPress") + rolled, 0.0, 1.0)
    shape[:, 0] = np.clip(shape[:, 0] * (1.0 - 0.9 * unit["mouthClose"]) * (1.0 - 0.85 * pressed), 0.0, 0.8)
    shape[:, 1] += 0.16 * both("mouthStretch") - 0.4 * pucker - 0.2 * funnel
    shape[:, 2] += pucker + 0.7 * funnel
    shape[:, 3] = pressed
    shape[:, 6] += lifted
    shape[:, 7] += lowered
    shape[:, 1] = np.clip(shape[:, 1], -0.5, 0.4)
    shape[:, 2:] = np.clip(shape[:, 2:], 0.0, 1.0)
    corner = np.empty((len(face), 2, 2))
    for side, name in enumerate(("Left", "Right")):
        smile, frown = unit["mouthSmile" + name], unit["mouthFrown" + name]
        # A slight upward rest keeps a silent face friendly.
        corner[:, side, 0] = 0.12 * smile + 0.05 * unit["mouthDimple" + name] - 0.03 * frown
        corner[:, side, 1] = 0.02 + 0.17 * smile - 0.14 * frown + 0.03 * unit["mouthDimple" + name]
    return MouthTrack(shape, corner)


@dataclass(frozen=True)
class MouthInk:
    """Where the mouth was drawn, in pixels: corners left and right, inner and outer lip middles, all outer points."""

    left: Points
    right: Points
    inner: tuple[Points, Points]
    outer: tuple[Points, Points]
    rim: Points


def draw_mouth(canvas: skia.Canvas, head: HeadPose, puppet: Puppet, track: MouthTrack, frame: int) -> MouthInk:
    """Draw lips, and when they part, teeth and tongue."""
    gap, wide, pout, press, tuck, tongue, up, low, closed_teeth = track.shape[frame].tolist()
    width = puppet.mouth_width
    gap *= width
    (out_l, up_l), (out_r, up_r) = (track.corner[frame] * width).tolist()
    half = width * (0.5 + wide / 2)
    left, right = (half + out_l, MOUTH_Y + up_l - gap * 0.35), (-half - out_r, MOUTH_Y + up_r - gap * 0.35)
    full = puppet.lip_fullness * (1.0 + 0.35 * pout - 0.55 * press)
    top, bottom = MOUTH_Y + gap * (0.15 + 0.12 * up), MOUTH_Y - gap * (0.85 - 0.12 * up)
    # A round mouth is an oval, a relaxed one an almond: where the curve leaves the corner decides.
    belly = 0.55 + 0.25 * pout + 0.3 * min(gap / width, 0.5)

    def arc(middle: float, bow: float = 0.0) -> Points:
        shoulder = [(x * 0.55, y + (middle + bow - y) * (0.62 + 0.3 * belly)) for x, y in (right, left)]
        inner = [(x * 0.22, middle + bow) for x, _ in (right, left)]
        return sampled(np.array([right, shoulder[0], inner[0], (0.0, middle), inner[1], shoulder[1], left]), _STEPS)

    upper_in, lower_in = arc(top), arc(bottom)
    upper_out = arc(top + full * (0.75 + 0.3 * pout), bow=full * 0.22)
    lower_out = arc(bottom - full * (1.15 - 0.5 * tuck))
    points = [head.on(line) for line in (upper_in, lower_in, upper_out, lower_out)]
    middle = len(upper_in) // 2
    inside = polygon(np.concatenate([points[0], points[1][::-1]]))
    scale = head.view.scale
    if gap > 0.004:
        _draw_inside(canvas, head, puppet, inside, (top, bottom, half), (tongue, closed_teeth, max(up, low)))
    canvas.drawPath(polygon(np.concatenate([points[2], points[0][::-1]])), ink(darker(puppet.lips, 0.1)))
    canvas.drawPath(polygon(np.concatenate([points[1], points[3][::-1]])), ink(puppet.lips))
    shine = head.on(np.array([(-half * 0.25, bottom - full * 0.5), (half * 0.25, bottom - full * 0.5)]))
    canvas.drawLine(*shine.ravel().tolist(), ink(lighter(puppet.lips, 0.5), 0.45, full * 0.3 * scale))
    seam = ink(darker(puppet.lips, 0.55), 1.0, 0.006 * scale)
    for line in points[:2]:
        path = skia.Path()
        path.addPoly([skia.Point(x, y) for x, y in line.tolist()], False)
        canvas.drawPath(path, seam)
    rim = np.concatenate([points[2], points[3]])
    return MouthInk(
        head.on(np.array([left]))[0],
        head.on(np.array([right]))[0],
        (points[0][middle], points[1][middle]),
        (points[2][middle], points[3][middle]),
        rim,
    )


def _draw_inside(
    canvas: skia.Canvas,
    head: HeadPose,
    puppet: Puppet,
    inside: skia.Path,
    place: tuple[float, float, float],
    look: tuple[float, float, float],
) -> None:
    (top, bottom, half), (tongue, closed, lifted) = place, look
    gap = top - bottom
    with clipped(canvas, inside):
        canvas.drawPath(inside, ink((0.26, 0.06, 0.08)))
        body = sampled(
            np.array(
                [
                    (-half * 0.7, bottom - 0.02),
                    (-half * 0.45, bottom + gap * (0.22 + 0.3 * tongue)),
                    (0.0, bottom + gap * (0.3 + 0.5 * tongue)),
                    (half * 0.45, bottom + gap * (0.22 + 0.3 * tongue)),
                    (half * 0.7, bottom - 0.02),
                ]
            )
        )
        canvas.drawPath(polygon(head.on(body)), ink((0.78, 0.36, 0.38)))
        # Rows of teeth hang from the skull and the jaw; speech that hisses closes them.
        reach = min(0.017 + 0.008 * lifted + closed * gap * 0.3, gap * 0.62)
        row = np.array([(-half * 0.86, top + 0.03), (half * 0.86, top + 0.03), (half * 0.8, top - reach * 0.8)])
        row = np.concatenate(
            [row, [(half * 0.4, top - reach), (-half * 0.4, top - reach), (-half * 0.8, top - reach * 0.8)]]
        )
        canvas.drawPath(polygon(head.on(row)), ink((0.97, 0.95, 0.91)))
        low = min(0.006 + closed * gap * 0.45, gap * 0.5) * (1.0 - 0.7 * tongue)
        if low > 0.003:
            row = np.array([(-half * 0.7, bottom - 0.03), (half * 0.7, bottom - 0.03), (half * 0.6, bottom + low)])
            row = np.concatenate([row, [(-half * 0.6, bottom + low)]])
            canvas.drawPath(polygon(head.on(row)), ink((0.9, 0.87, 0.83)))

"""Arms and hands: two bones to the wrist, and five fingers that bend towards the palm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skia

from flowact.studio.puppet.body import TorsoPose
from flowact.studio.puppet.identity import Puppet, darker, lighter
from flowact.studio.puppet.pen import Points, View, ink, polygon, smooth

_UPPER_ARM, _FOREARM = 0.8, 0.7
_PALM = 0.2
# Thumb side positive: where each finger leaves the palm (across, along), its length and thickness.
_FINGERS = {
    "index": (0.062, 1.0, 0.165, 0.047),
    "middle": (0.02, 1.05, 0.182, 0.049),
    "ring": (-0.024, 1.01, 0.168, 0.046),
    "little": (-0.064, 0.9, 0.132, 0.041),
}
_BENDS_DEG = (75.0, 95.0, 65.0)


@dataclass(frozen=True)
class HandInk:
    """Pixels of the wrist [2] and the four knuckles [4, 2]."""

    wrist: Points
    knuckles: Points


@dataclass(frozen=True)
class Hand:
    """One hand in one frame: where it is and how it is held; `side` +1 is the person's left."""

    side: float
    wrist: Points
    palm: Points
    fingers: Points
    curl: Points


def draw_arm(canvas: skia.Canvas, torso: TorsoPose, puppet: Puppet, hand: Hand) -> None:
    """Draw upper arm and forearm up to the wrist."""
    shoulder = torso.shoulder(hand.side)
    wrist, elbow = _reach(shoulder, hand.wrist, hand.side)
    scale, view = torso.view.scale, torso.view
    cuff = wrist + (elbow - wrist) * 0.1
    skin_part = wrist + (elbow - wrist) * 0.1 if puppet.sleeves else elbow
    a, b, w, c = (view.pixels(p) for p in (shoulder, elbow, wrist, cuff))
    cloth, outline = darker(puppet.cloth, 0.06), puppet.outline * scale
    _limb(canvas, (w, view.pixels(skin_part)), (0.075 * scale, 0.125 * scale), puppet.skin, outline)
    _limb(canvas, (b, a), (0.19 * scale, 0.21 * scale), cloth, outline)
    if puppet.sleeves:
        _limb(canvas, (c, b), (0.125 * scale, 0.185 * scale), cloth, outline)
        across = np.array([-(b - w)[1], (b - w)[0]]) / max(float(np.linalg.norm(b - w)), 1e-6) * 0.06 * scale
        canvas.drawLine(
            *(c + across).tolist(), *(c - across).tolist(), ink(darker(puppet.cloth, 0.3), 1.0, 0.022 * scale)
        )


def draw_hand(canvas: skia.Canvas, view: View, puppet: Puppet, hand: Hand) -> HandInk:
    """Draw palm and fingers."""
    along, out = _unit(hand.fingers), hand.palm - _unit(hand.fingers) * float(hand.palm @ _unit(hand.fingers))
    out = _unit(out)
    across = np.cross(out, along) * hand.side  # towards the thumb
    knuckles = np.array([hand.wrist + across * x + along * (_PALM * y) for x, y, _, _ in _FINGERS.values()])
    chains = []
    for i, (_, _, length, _) in enumerate(_FINGERS.values()):
        chains.append(_finger(knuckles[i], along, out, length, float(hand.curl[i + 1])))
    root = hand.wrist + across * 0.055 + along * 0.05
    bend = float(hand.curl[0])
    aim = _unit(across * (0.85 - 0.9 * bend) + along * (0.62 - 0.1 * bend) + out * (0.15 + 0.8 * bend))
    thumb = _finger(root, aim, _unit(out - across * bend), 0.16, 0.35 * bend)
    palm_faces_us = out[2] > 0
    scale, rim = view.scale, darker(puppet.skin, 0.42)
    line = max(puppet.outline, 0.005) * scale
    corners = [across * 0.048, across * 0.075 + along * 0.08, across * 0.08 + along * _PALM * 0.95]
    corners += [across * 0.02 + along * _PALM * 1.08, -across * 0.03 + along * _PALM * 1.05]
    corners += [-across * 0.084 + along * _PALM * 0.88, -across * 0.075 + along * 0.08, -across * 0.045]
    palm = smooth(view.pixels(hand.wrist + np.array(corners)))
    skin = lighter(puppet.skin, 0.1) if palm_faces_us else puppet.skin

    def draw_palm() -> None:
        canvas.drawPath(palm, ink(rim, 1.0, line * 2))
        canvas.drawPath(palm, ink(skin))

    def draw_thumb() -> None:
        _draw_finger(canvas, view, thumb, 0.055, skin, rim, line)

    if not palm_faces_us:
        draw_thumb()
    fingers = [(chains[i], width) for i, (_, _, _, width) in enumerate(_FINGERS.values())]
    fingers.sort(key=lambda item: float(item[0][:, 2].mean()))
    if palm_faces_us:
        draw_palm()
    for chain, width in fingers:
        _draw_finger(canvas, view, chain, width, skin, rim, line)
    if palm_faces_us:
        draw_thumb()
    else:
        draw_palm()
        for point in view.pixels(knuckles - along * 0.01):
            canvas.drawCircle(*point.tolist(), 0.008 * scale, ink(rim, 0.35))
    return HandInk(view.pixels(hand.wrist), view.pixels(knuckles))


def _finger(root: Points, along: Points, out: Points, length: float, curl: float) -> Points:
    points, angle = [root], 0.0
    for share, bend in zip((0.45, 0.32, 0.23), _BENDS_DEG):
        angle += np.radians(bend) * curl
        points.append(points[-1] + (along * np.cos(angle) + out * np.sin(angle)) * length * share)
    return np.array(points)


def _draw_finger(
    canvas: skia.Canvas,
    view: View,
    chain: Points,
    width: float,
    skin: tuple[float, float, float],
    rim: tuple[float, float, float],
    line: float,
) -> None:
    path = skia.Path()
    path.addPoly([skia.Point(x, y) for x, y in view.pixels(chain).tolist()], False)
    thick = width * view.scale
    canvas.drawPath(path, ink(rim, 1.0, thick + line * 2))
    canvas.drawPath(path, ink(skin, 1.0, thick))


def _limb(
    canvas: skia.Canvas,
    ends: tuple[Points, Points],
    widths: tuple[float, float],
    colour: tuple[float, float, float],
    outline: float,
) -> None:
    """A tapered tube with round ends."""
    a, b = ends
    axis = (b - a) / max(float(np.linalg.norm(b - a)), 1e-6)
    turn = np.arctan2(axis[1], axis[0])
    arc = np.linspace(np.pi / 2, 3 * np.pi / 2, 7) + turn
    near = a + np.column_stack([np.cos(arc), np.sin(arc)]) * widths[0] / 2
    far = b - np.column_stack([np.cos(arc), np.sin(arc)]) * widths[1] / 2
    path = polygon(np.concatenate([near, far]))
    if outline:
        canvas.drawPath(path, ink(darker(colour, 0.45), 1.0, outline * 2))
    canvas.drawPath(path, ink(colour))


def _reach(shoulder: Points, wrist: Points, side: float) -> tuple[Points, Points]:
    """Wrist within reach and elbow, bent down and outwards."""
    way = wrist - shoulder
    distance = float(np.clip(np.linalg.norm(way), 0.25, (_UPPER_ARM + _FOREARM) * 0.999))
    axis = _unit(way)
    wrist = shoulder + axis * distance
    pole = np.array([side * 0.55, -1.0, -0.15])
    pole = _unit(pole - axis * float(pole @ axis))
    foot = (_UPPER_ARM**2 - _FOREARM**2 + distance**2) / (2 * distance)
    height = np.sqrt(max(_UPPER_ARM**2 - foot**2, 0.0))
    return wrist, shoulder + axis * foot + pole * height


def _unit(vector: Points) -> Points:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))

"""Plays a performance with a puppet: one picture and its exact labels per frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skia

from flowact.core.errors import ConfigError
from flowact.studio.performance import FACE_UNITS, LANDMARKS, SURFACE_POINTS, Performance, RenderedClip
from flowact.studio.puppet.backdrop import draw_backdrop
from flowact.studio.puppet.body import TorsoPose, draw_body
from flowact.studio.puppet.face import EyeInk, draw_ears, draw_eye, draw_glasses, draw_nose, draw_skull, skull
from flowact.studio.puppet.hair import draw_back_hair, draw_beard, draw_hair
from flowact.studio.puppet.hands import Hand, HandInk, draw_arm, draw_hand
from flowact.studio.puppet.headpose import HeadPose
from flowact.studio.puppet.identity import Puppet
from flowact.studio.puppet.mouth import MouthInk, MouthTrack, draw_mouth, mouth_track
from flowact.studio.puppet.pen import Points, View

FRAMINGS = {"face": (1.45, 1.05), "bust": (1.0, 0.755), "waist": (0.6, 0.5)}
"""Pixels per shoulder width and height of the neck base from the top, both as shares of the picture."""

_HEAD_CENTRE = np.array([0.0, 0.365, 0.0])
_HAND_AT_REST = np.array([0.56, -1.5, 0.1])
_SIDES = (1.0, -1.0)


@dataclass(frozen=True)
class _Drawn:
    """What one frame left on the canvas, in pixels."""

    mouth: MouthInk
    eyes: tuple[EyeInk, EyeInk]
    nose: Points
    skull: Points
    hands: tuple[HandInk, HandInk]


class PuppetRenderer:
    """Draws puppets as square pictures of `size` pixels."""

    def __init__(self, size: int = 256) -> None:
        self.size = size

    def render(
        self, puppet: Puppet, performance: Performance, framing_seed: int, framing: str = "bust"
    ) -> RenderedClip:
        """Draw every frame of a performance.

        Args:
            puppet: who performs.
            performance: what is done, F frames.
            framing_seed: fixes the camera's small offsets and the backdrop.
            framing: "face", "bust" or "waist".

        Returns:
            F frames of [size, size, 3] and their labels.

        Raises:
            ConfigError: unknown framing.
        """
        view = self._view(framing_seed, framing)
        backdrop = draw_backdrop(self.size, puppet, framing_seed)
        surface = skia.Surface(self.size, self.size)
        track = mouth_track(performance.visemes, performance.face)
        frames = np.empty((performance.frames, self.size, self.size, 3), np.uint8)
        drawn = []
        with surface as canvas:
            for frame in range(performance.frames):
                canvas.drawImage(backdrop, 0, 0)
                drawn.append(_draw(canvas, view, puppet, performance, track, frame))
                frames[frame] = surface.toarray(colorType=skia.kRGBA_8888_ColorType)[..., :3]
        return _labelled(frames, drawn, track, self.size)

    def _view(self, seed: int, framing: str) -> View:
        if framing not in FRAMINGS:
            raise ConfigError(f"unknown framing {framing!r} for a puppet; expected one of {', '.join(FRAMINGS)}")
        scale, neck = FRAMINGS[framing]
        zoom, right, down = (
            np.random.default_rng([seed, 3]).uniform((0.96, -0.025, -0.012), (1.04, 0.025, 0.018)).tolist()
        )
        return View(self.size * scale * zoom, self.size * (0.5 + right), self.size * (neck + down))


def _draw(canvas: skia.Canvas, view: View, puppet: Puppet, play: Performance, track: MouthTrack, frame: int) -> _Drawn:
    breath = float(play.breath[frame]) * 0.012
    left, right = (play.shoulders[frame] * 0.11 + breath).tolist()
    torso = TorsoPose.at(view, play.torso[frame].astype(np.float64), play.sway[frame].astype(np.float64), (left, right))
    yaw, pitch, roll = (play.head[frame] + play.torso[frame]).tolist()
    head = _head_pose(view, torso, puppet, yaw, pitch, roll)
    jaw = track.opening(frame) * puppet.mouth_width * 0.42
    draw_back_hair(canvas, head, puppet)
    draw_body(canvas, torso, head, puppet)
    draw_ears(canvas, head, puppet, near=False)
    face = draw_skull(canvas, head, puppet, jaw)
    draw_beard(canvas, head, puppet, face, jaw)
    mouth = draw_mouth(canvas, head, puppet, track, frame)
    gaze = (float(play.gaze[frame, 0]), float(play.gaze[frame, 1]))
    looks = _looks(play.face[frame])
    one, two = (draw_eye(canvas, head, puppet, side, looks[i], gaze) for i, side in enumerate(_SIDES))
    nose = draw_nose(canvas, head, puppet)
    draw_hair(canvas, head, puppet)
    draw_ears(canvas, head, puppet, near=True)
    draw_glasses(canvas, head, puppet)
    hands = _draw_hands(canvas, torso, puppet, play, frame)
    return _Drawn(mouth, (one, two), nose, head.edge(skull(puppet, jaw)), hands)


def _head_pose(view: View, torso: TorsoPose, puppet: Puppet, yaw: float, pitch: float, roll: float) -> HeadPose:
    # The head tips about the top of the spine, not about its middle.
    spine = torso.place(np.array([[0.0, 0.12, 0.0]]))[0]
    lean = np.radians(roll)
    up = np.array([np.sin(lean), np.cos(lean), 0.0]) * (_HEAD_CENTRE[1] - 0.12)
    nod = np.array([0.06 * np.sin(np.radians(yaw)), 0.05 * np.sin(np.radians(pitch)), 0.0])
    return HeadPose.at(view, spine + up + nod, (yaw, pitch, roll), puppet.half_width)


def _looks(face: Points) -> tuple[dict[str, float], dict[str, float]]:
    unit = dict(zip(FACE_UNITS, face.tolist()))

    def look(name: str) -> dict[str, float]:
        return {
            "blink": min(unit["eyeBlink" + name], 1.0),
            "wide": unit["eyeWide" + name],
            "squint": min(unit["eyeSquint" + name] + 0.5 * unit["cheekSquint" + name], 1.0),
            "down": unit["browDown" + name],
            "inner_up": unit["browInnerUp"],
            "outer_up": unit["browOuterUp" + name],
        }

    return look("Left"), look("Right")


def _draw_hands(
    canvas: skia.Canvas, torso: TorsoPose, puppet: Puppet, play: Performance, frame: int
) -> tuple[HandInk, HandInk]:
    hands = []
    for i, side in enumerate(_SIDES):
        active = float(play.hand_active[frame, i])
        rest = _HAND_AT_REST * (side, 1.0, 1.0)
        wrist = rest + (play.wrist[frame, i] - rest) * active
        hands.append(
            Hand(side, wrist, *(getattr(play, n)[frame, i].astype(np.float64) for n in ("palm", "fingers", "curl")))
        )
    for i in np.argsort([hand.wrist[2] for hand in hands]).tolist():
        if play.hand_active[frame, i] > 0.01:
            draw_arm(canvas, torso, puppet, hands[i])
    drawn = [draw_hand(canvas, torso.view, puppet, hand) for hand in hands]
    return drawn[0], drawn[1]


def _labelled(frames: np.ndarray, drawn: list[_Drawn], track: MouthTrack, size: int) -> RenderedClip:
    points = np.array([_landmarks(d) for d in drawn])
    face_box = []
    for d in drawn:
        brow = min(d.eyes[0].brow[1], d.eyes[1].brow[1])
        face_box.append((d.skull[:, 0].min(), brow, d.skull[:, 0].max(), d.skull[:, 1].max()))
    mouth_box = []
    for d in drawn:
        margin = np.linalg.norm(d.mouth.left - d.mouth.right) / 4.0
        mouth_box.append((*(d.mouth.rim.min(0) - margin), *(d.mouth.rim.max(0) + margin)))
    hands = np.array([[np.vstack([hand.wrist, hand.knuckles]) for hand in d.hands] for d in drawn])
    inside = np.asarray(((hands >= 0) & (hands < size)).all(-1).any(-1), np.float32)
    return RenderedClip(
        frames=frames,
        mouth_box=np.array(mouth_box, np.float32),
        face_box=np.array(face_box, np.float32),
        mouth_open=track.shape[:, 0].astype(np.float32),
        landmarks=points.astype(np.float32),
        eye_open=np.array([[eye.opening for eye in d.eyes] for d in drawn], np.float32),
        hand_visible=inside,
        points=np.full((len(drawn), SURFACE_POINTS, 2), np.nan, np.float32),
    )


def _landmarks(drawn: _Drawn) -> Points:
    mouth, (left, right) = drawn.mouth, drawn.eyes
    named = {
        "mouth_left": mouth.left,
        "mouth_right": mouth.right,
        "lip_top_inner": mouth.inner[0],
        "lip_bottom_inner": mouth.inner[1],
        "lip_top_outer": mouth.outer[0],
        "lip_bottom_outer": mouth.outer[1],
        "nose_tip": drawn.nose,
        "chin": drawn.skull[7],
        "wrist_left": drawn.hands[0].wrist,
        "wrist_right": drawn.hands[1].wrist,
        "knuckle_left": drawn.hands[0].knuckles[1],
        "knuckle_right": drawn.hands[1].knuckles[1],
    }
    for name, eye in (("left", left), ("right", right)):
        named |= {f"eye_{name}_{part}": getattr(eye, part) for part in ("inner", "outer", "top", "bottom")}
        named |= {f"iris_{name}": eye.iris, f"brow_{name}": eye.brow}
    return np.array([named[name] for name in LANDMARKS])

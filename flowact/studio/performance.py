"""What a person does during one clip, as tracks at 25 fps: the score that every renderer (3D or 2D) plays.

A `Performance` knows nothing about who performs it, so one score fits any body. All angles are in degrees, all
positions in shoulder widths (distance between the shoulder joints), all weights in 0..1.

Axes, seen from the person (so they hold for any camera): x to the person's LEFT (the viewer's right), y up,
z forward, towards the camera. The origin of hand positions is the neck base (the notch between the collarbones).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

STATES = ("talk", "listen", "think", "react", "idle", "gesture")
State = Literal["talk", "listen", "think", "react", "idle", "gesture"]

GESTURES = (
    "none",
    "wave",
    "nod",
    "shake",
    "point",
    "shrug",
    "hand_to_chin",
    "open_palms",
    "beat",
    "clap",
    "thumbs_up",
)

VISEMES = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")

FACE_UNITS = [
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "eyeSquintLeft",
    "eyeSquintRight",
    "eyeWideLeft",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthClose",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthFunnel",
    "mouthLeft",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "noseSneerLeft",
    "noseSneerRight",
]
"""ARKit names, person's left and right. Gaze is a track of its own, so the eyeLook units are not listed."""


@dataclass(frozen=True)
class Phone:
    """One speech sound: an ARPAbet-like label ("pau" for silence) and when it sounds, in seconds."""

    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Caption:
    """What is seen between two times, in plain English. `detail` 0 is a few words, 1 a sentence, 2 a dense script."""

    start_s: float
    end_s: float
    text: str
    detail: int


@dataclass(frozen=True)
class Segment:
    """A stretch of one behaviour state, with the gesture made in it ("none" if none)."""

    start_s: float
    end_s: float
    state: State
    gesture: str


@dataclass(frozen=True)
class Performance:
    """The score of one clip of F frames.

    Attributes:
        visemes: [F, 15] weights in the order of VISEMES, coarticulated.
        face: [F, len(FACE_UNITS)] weights; expression, blinks and brows, without the visemes.
        head: [F, 3] yaw, pitch, roll of the head relative to the chest: positive looks to the person's left,
            up, and tilts the crown to the person's left.
        torso: [F, 3] yaw, pitch, roll of the chest, same signs.
        sway: [F, 3] offset of the whole body in shoulder widths (posture shifts).
        shoulders: [F, 2] raise of the left and right shoulder.
        breath: [F] how full the chest is.
        gaze: [F, 2] yaw, pitch of the eyes relative to the head; (0, 0) looks straight ahead.
        hand_active: [F, 2] (left, right): 0 = the arm hangs at rest, out of the frame; 1 = the hand is at `wrist`.
        wrist: [F, 2, 3] wrist target in shoulder widths from the neck base.
        palm: [F, 2, 3] unit vector out of the palm.
        fingers: [F, 2, 3] unit vector from wrist to knuckles.
        curl: [F, 2, 5] bend of thumb, index, middle, ring, little; 0 straight, 1 fist.
        audio: [F * 640] float32 in -1..1 at 16 kHz, what is heard (augmented).
        phones: the speech sounds, exact.
        segments: the states in order, covering the clip.
        captions: what is seen, at three levels of detail.
        voice: name of the voice, "" when nobody speaks.
        sentence: the words spoken, "" when nobody speaks.
    """

    visemes: Float
    face: Float
    head: Float
    torso: Float
    sway: Float
    shoulders: Float
    breath: Float
    gaze: Float
    hand_active: Float
    wrist: Float
    palm: Float
    fingers: Float
    curl: Float
    audio: Float
    phones: tuple[Phone, ...] = ()
    segments: tuple[Segment, ...] = ()
    captions: tuple[Caption, ...] = ()
    voice: str = ""
    sentence: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Number of video frames."""
        return len(self.head)


@dataclass(frozen=True)
class RenderedClip:
    """What a renderer returns for one performance: pictures and exact labels in pixels.

    Attributes:
        frames: [F, H, W, 3] uint8 RGB.
        mouth_box: [F, 4] x0, y0, x1, y1 in pixels, around the lips with a margin of a quarter of the mouth width.
        face_box: [F, 4] x0, y0, x1, y1 in pixels, chin to brow, ear to ear.
        mouth_open: [F] inner lip gap divided by the mouth width at rest: the true opening.
        landmarks: [F, K, 2] named points in pixels, order in LANDMARKS; NaN where a renderer lacks one.
        eye_open: [F, 2] lid gap relative to the resting gap, left and right.
        hand_visible: [F, 2] 1 where the wrist or a knuckle lies inside the frame.
        points: [F, SURFACE_POINTS, 2] points of what the first frame shows, in pixels, NaN while they are not seen
            (`surface.follow_surface`); all NaN where a renderer lacks them.
    """

    frames: NDArray[np.uint8]
    mouth_box: Float
    face_box: Float
    mouth_open: Float
    landmarks: Float
    eye_open: Float
    hand_visible: Float
    points: Float


SURFACE_POINTS = 256
"""Points of what a clip shows first that are followed, one for each cell of 16 x 16."""
LANDMARKS = [
    "mouth_left",
    "mouth_right",
    "lip_top_inner",
    "lip_bottom_inner",
    "lip_top_outer",
    "lip_bottom_outer",
    "eye_left_inner",
    "eye_left_outer",
    "eye_left_top",
    "eye_left_bottom",
    "eye_right_inner",
    "eye_right_outer",
    "eye_right_top",
    "eye_right_bottom",
    "iris_left",
    "iris_right",
    "nose_tip",
    "chin",
    "brow_left",
    "brow_right",
    "wrist_left",
    "wrist_right",
    "knuckle_left",
    "knuckle_right",
]

"""The judges' networks: small readers of pixels that no training of the avatar ever uses.

frame -> Locator  (where are face, mouth and hands, how are head, chest and arms held)
      -> hand crops -> hand reader    (how are palm and fingers held)
      -> mouth crop -> mouth reader   (how far is the mouth open)
      -> face crop  -> face reader    (gaze, lids, expression)
                    -> IdentityProbe  (who is it)
what was read over one stretch of behaviour -> ActionProbe (what is done)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowact.studio.performance import GESTURES, STATES

PLACE_LABELS = {"mouth_centre": 2, "face_box": 4, "hand_centres": 4}
"""In shares of the picture's side; a hand's is known where the hand is in the picture."""
POSE_LABELS = {"head": 3, "torso": 3, "shoulders": 2, "hand_visible": 2}
HAND_LABELS = {"wrist": 6, "palm": 6, "fingers": 6, "curl": 10}
"""Left, then right; known where the hand is in the picture. The locator reads the wrists, the hand reader the rest."""
HAND_SHAPE = {name: width // 2 for name, width in HAND_LABELS.items() if name != "wrist"}
"""What the hand reader reads of one hand; a right hand is mirrored into a left one before."""
FACE_UNITS_READ = (
    "browDownLeft",
    "browInnerUp",
    "eyeWideLeft",
    "eyeSquintLeft",
    "jawOpen",
    "mouthPressLeft",
    "mouthSmileLeft",
    "mouthFrownLeft",
    "mouthPucker",
)
FACE_LABELS = {"gaze": 2, "eye_open": 2, "units": len(FACE_UNITS_READ)}
SCALE = {"head": 0.1, "torso": 0.1, "gaze": 0.1}
"""Degrees are brought to a spread of about one."""

ACTIONS = (*(g for g in GESTURES if g != "none"), *(s for s in STATES if s != "gesture"))
"""A gesture if one is made, else the state."""

TRACK_WIDTH = sum((POSE_LABELS | HAND_LABELS | FACE_LABELS).values()) + 1
"""What the action probe is told of each frame: pose, hands, face and mouth opening."""
ACTION_EVERY_FRAMES = 2
"""The action probe takes means of so many frames: twelve and a half steps a second, so that claps stay claps."""


@dataclass(frozen=True)
class ReaderConfig:
    """Sizes of one reader of pictures: side of its input in pixels, values read, width of its first layer."""

    side: int
    values: int
    width: int = 16


class Reader(nn.Module):
    """A small convolutional network from pictures [N, 3, side, side] in 0..1 to values [N, values]."""

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        sizes = ((3, w, 2), (w, 2 * w, 2), (2 * w, 4 * w, 2), (4 * w, 4 * w, 1), (4 * w, 6 * w, 2))
        self.layers = nn.Sequential(*(_layer(*size) for size in sizes))
        grid = config.side // 16
        self.read = nn.Sequential(
            nn.Flatten(), nn.Linear(6 * w * grid * grid, 96), nn.SiLU(), nn.Linear(96, config.values)
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures to values."""
        x = (pictures - 0.5) * 4
        values: Tensor = self.read(self.layers(x.contiguous(memory_format=torch.channels_last)))
        return values


class IdentityProbe(Reader):
    """Face crops to unit vectors [N, values]: near for one person, apart for two.

    Only an ellipse is looked at, so that the background is no part of a person.
    """

    ellipse: Tensor

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__(config)
        y, x = torch.meshgrid(*(2 * [torch.linspace(-1, 1, config.side)]), indexing="ij")
        self.register_buffer("ellipse", ((x / 0.8) ** 2 + y**2 <= 1).float(), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures to embeddings."""
        return F.normalize(super().forward(torch.lerp(pictures.new_tensor(0.5), pictures, self.ellipse)), dim=-1)


@dataclass(frozen=True)
class ActionConfig:
    """Width of the action probe."""

    width: int = 72


class ActionProbe(nn.Module):
    """Tracks [N, T, TRACK_WIDTH], of which the first `steps` [N] count, to scores [N, actions].

    It is told nothing of a stretch's length: only what is seen speaks.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: ActionConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.register_buffer("mean", torch.zeros(TRACK_WIDTH))
        self.register_buffer("deviation", torch.ones(TRACK_WIDTH))
        self.layers = nn.ModuleList(
            nn.Conv1d(inside, w, 5, padding=2 * dilation, dilation=dilation)
            for inside, dilation in ((TRACK_WIDTH, 1), (w, 2), (w, 4))
        )
        self.drop = nn.Dropout(0.25)
        self.read = nn.Linear(2 * w, len(ACTIONS))

    def forward(self, tracks: Tensor, steps: Tensor) -> Tensor:
        """Tracks to scores; what lies behind a stretch's steps changes nothing."""
        inside = (torch.arange(tracks.shape[1], device=tracks.device) < steps[:, None])[:, None]
        x = ((tracks - self.mean) / self.deviation).clamp(-4, 4).transpose(1, 2) * inside
        for layer in self.layers:
            x = F.silu(layer(x)) * inside
        mean = x.sum(-1) / steps[:, None]
        peak = x.masked_fill(~inside, -torch.inf).amax(-1)
        scores: Tensor = self.read(self.drop(torch.cat([mean, peak], -1)))
        return scores


def _layer(inside: int, outside: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outside), nn.SiLU())

"""Small stand-ins, so that tests of the runtime need no weights."""

from __future__ import annotations

import torch
from torch import Tensor

from flowact.core.motion import MOTION_WIDTH
from flowact.core.types import Conditions, Frames
from flowact.models.mmdit.config import MMDiTConfig

CHANNELS, GRID, AUDIO, TEXT, MOTION = 4, 4, 6, 5, MOTION_WIDTH
SMALL_MMDIT = MMDiTConfig(
    width=48,
    depth=2,
    heads=2,
    dual_blocks=1,
    latent_channels=CHANNELS,
    grid=GRID,
    patch=2,
    audio_dim=AUDIO,
    text_dim=TEXT,
    motion_dim=MOTION,
)


class FakeBackbone:
    """Velocity that points to the mean voice feature of each latent frame; counts its evaluations."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frames: Frames, remembered: object, guidance: Tensor | None) -> Tensor:
        self.calls += 1
        target = frames.conditions.audio.mean((2, 3))[:, :, None, None, None]
        level = frames.level[:, :, None, None, None]
        return (frames.latents - target) / level.clamp(min=1e-3)

    def remember(self, memory: Frames) -> object:
        return memory


def conditions(rows: int, time: int, value: float = 0.0) -> Conditions:
    voice, prompt, still = (
        torch.full((rows, time, 4, AUDIO), value),
        torch.zeros(rows, time, 2, TEXT),
        torch.zeros(rows, time, 4, 0),
    )
    return Conditions(voice, prompt, still, *torch.ones(3, rows, time))


def random_conditions(rows: int, time: int, audio: int = AUDIO, text: int = TEXT, motion: int = MOTION) -> Conditions:
    given = torch.randn(rows, time, 4, audio), torch.randn(rows, time, 2, text), torch.randn(rows, time, 4, motion)
    return Conditions(*given, *torch.ones(3, rows, time))

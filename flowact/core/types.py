"""The nouns everyone shares. Time is axis 1 of every tensor that has time; latents are [B, T, C, H, W].

Letters: B rows (samples or sessions), T latent frames, L condition tokens, C, H, W, D width, A heads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Role(IntEnum):
    """What a latent frame is to the backbone (FlowAct-R1, structured memory bank)."""

    REFERENCE = 0
    LONG = 1
    SHORT = 2
    STREAM = 3


@dataclass(frozen=True)
class Conditions:
    """What steers a run of latent frames. It enters with its chunk and travels with it into memory.

    Attributes:
        audio: [B, T, 4, Da] features of the voice, one per video frame.
        text: [B, T, L, Dt] tokens of the behaviour prompt that was current when the frame's chunk entered.
        motion: [B, T, 4, M] what the body does in each video frame (`core.motion`); M is 0 where nobody says it.
        audio_present: [B, T] 1 where the voice is given, 0 where it is dropped (guidance, dropout).
        text_present: [B, T] the same for the prompt.
        motion_present: [B, T] the same for the motion.
    """

    audio: Tensor
    text: Tensor
    motion: Tensor
    audio_present: Tensor
    text_present: Tensor
    motion_present: Tensor

    def frames(self, start: int, stop: int) -> Conditions:
        """The conditions of latent frames `start` to `stop`."""
        return self.map(lambda x: x[:, start:stop])

    def map(self, f: Callable[[Tensor], Tensor]) -> Conditions:
        """Apply one function to every tensor (slice, move, repeat)."""
        return Conditions(**{name: f(value) for name, value in vars(self).items()})

    def without(self, *dropped: Literal["audio", "text", "motion"]) -> Conditions:
        """The same frames with some of what steers them dropped: the unconditional side of guidance."""
        names = [f"{name}_present" for name in dropped]
        return replace(self, **{name: torch.zeros_like(getattr(self, name)) for name in names})

    @staticmethod
    def cat(parts: list[Conditions]) -> Conditions:
        """Join along time."""
        return Conditions(**{name: torch.cat([getattr(p, name) for p in parts], 1) for name in vars(parts[0])})


@dataclass(frozen=True)
class Frames:
    """Latent frames as the backbone meets them, from memory or from the stream.

    Attributes:
        latents: [B, T, C, H, W]. The reference holds the portrait's look, standardised; all others are relative to it.
        level: [B, T] noise level, 0 clean, 1 noise.
        position: [T] time index for RoPE, relative to the head of the stream, so it stays bounded for ever.
        role: [T] values of `Role`.
        valid: [B, T] bool; a slot that is empty is seen by nobody.
        conditions: what steered each frame.
        colours: [B, 3, 2 H, 2 W] the portrait itself, small, in -1..1; None for frames that are not memory.
    """

    latents: Tensor
    level: Tensor
    position: Tensor
    role: Tensor
    valid: Tensor
    conditions: Conditions
    colours: Tensor | None = None

    @staticmethod
    def cat(parts: list[Frames]) -> Frames:
        """Join along time; memory comes first."""
        return Frames(
            torch.cat([p.latents for p in parts], 1),
            torch.cat([p.level for p in parts], 1),
            torch.cat([p.position for p in parts]),
            torch.cat([p.role for p in parts]),
            torch.cat([p.valid for p in parts], 1),
            Conditions.cat([p.conditions for p in parts]),
            parts[0].colours,
        )


@dataclass(frozen=True)
class Chunk:
    """Latent frames that are made together: the unit of everything.

    Attributes:
        index: number of the chunk in its stream, from 0.
        latents: [B, T, C, H, W].
        level: noise level of the whole chunk, 0 clean, 1 noise.
        conditions: what steers it.
    """

    index: int
    latents: Tensor
    level: float
    conditions: Conditions

    def part(self, start: int, stop: int) -> Chunk:
        """The same chunk with only its latent frames `start` to `stop`."""
        return replace(self, latents=self.latents[:, start:stop], conditions=self.conditions.frames(start, stop))


@dataclass(frozen=True)
class Clip:
    """Decoded frames with their sound.

    Attributes:
        index: number of the chunk they come from.
        frames: [F, H, W, 3] uint8 RGB.
        audio: [F * 640] float32 at 16 kHz.
        seconds: wall time it took to make them.
    """

    index: int
    frames: NDArray[np.uint8]
    audio: NDArray[np.float32]
    seconds: float


class State(StrEnum):
    """What a living person does, in FlowAct-R1's words."""

    IDLE = "idle"
    LISTEN = "listen"
    THINK = "think"
    REACT = "react"
    TALK = "talk"
    GESTURE = "gesture"


@dataclass(frozen=True)
class Tick:
    """40 ms of a live session: one frame and its sound. Nothing downstream handles them apart.

    Attributes:
        index: number on the session's timeline, from 0, no gaps.
        epoch: raised by every interruption and every urgent reaction.
        frame: [H, W, 3] uint8 RGB; a repeated frame is the same object.
        sound: [640] float32 at 16 kHz, the avatar's own voice, silence included.
        state: what the person does.
        segment: id of the speech that sounds in it.
        ends_segment: whether it is the last tick of that speech.
        is_held: whether it repeats the last frame because nothing was ready.
    """

    index: int
    epoch: int
    frame: NDArray[np.uint8]
    sound: NDArray[np.float32]
    state: State
    segment: str | None
    ends_segment: bool
    is_held: bool

"""What the body does next, by the same loop as the pictures: motion is a stream of latents of one cell.

A latent frame of it holds the motion of its four video frames (`models.motion_codec`). It has a memory of its own and
is made before the pictures of its chunk, which then have little left to guess (docs/decisions/0011).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.core.types import Chunk, Conditions
from flowact.diffusion.guidance import NoGuidance
from flowact.diffusion.plan import DenoisePlan
from flowact.memory.bank import BankConfig, MemoryBank
from flowact.models.motion_codec import MotionCodec
from flowact.rollout.generate import Backbone, StreamState, shift

_FADE_FRAMES = 2.0
"""Time constant in which the gap at a chunk's edge fades."""


@dataclass(frozen=True)
class Mover:
    """Moves a body. It holds no state; a `MemoryBank` of motion is the state of a stream.

    Attributes:
        network: an `MMDiT` of one cell.
        codec: motion to its latents and back.
        plan: how motion is denoised, one chunk at a time.
        bank: sizes of the memory.
        noise_scale: deviation of the noise that a chunk begins with; below 1 is calmer.
    """

    network: Backbone
    codec: MotionCodec
    plan: DenoisePlan
    bank: BankConfig
    noise_scale: float = 1.0

    def start(self, neutral: Conditions) -> MemoryBank:
        """A memory in which nothing happened yet, for conditions [B, 1] of a latent frame that nobody steered."""
        reference = torch.zeros(len(neutral.audio), 1, self.codec.config.latents, 1, 1, device=neutral.audio.device)
        return MemoryBank.start(self.bank, reference, _without_motion(neutral))

    def move(self, before: MemoryBank, given: Conditions, noise: Tensor) -> tuple[Tensor, MemoryBank]:
        """The motion of one more chunk.

        Args:
            before: what the body did.
            given: voice and prompt of the chunk, [B, T].
            noise: [B, T, K, 1, 1] standard normal.

        Returns:
            Motion [B, T, 4, M], and the memory after it.
        """
        stream, entering = StreamState.start(before), _without_motion(given)
        done, _ = shift(self.network, self.plan, NoGuidance(), stream, entering, self.noise_scale * noise)
        assert done is not None, "a plan of one chunk is done at once"
        last = self.codec.decode(before.recent[:, -1:].float())[:, 0, -1]
        motion = _joined(last, before.filled[:, -1], self.codec.decode(done.latents.float()))
        return motion, before.commit(replace(done, latents=self.codec.encode(motion)))

    def follow(self, before: MemoryBank, shown: Chunk) -> MemoryBank:
        """The memory after the motion that a chunk of pictures shows."""
        given = shown.conditions
        latents = self.codec.encode(given.motion)
        return before.commit(replace(shown, latents=latents, conditions=_without_motion(given)))


def _joined(last: Tensor, is_known: Tensor, motion: Tensor) -> Tensor:
    """Begin motion [B, T, 4, M] where the `last` frame [B, M] before it ended, if it `is_known` [B], and let the
    difference fade: a body has mass, and a chunk that is drawn anew begins a little elsewhere (Bollo 2018,
    "Inertialization").
    """
    fade = (-(torch.arange(1, motion.shape[1] * FRAMES_PER_LATENT + 1, device=motion.device) / _FADE_FRAMES)).exp()
    gap = (last - motion[:, 0, 0]) * is_known[:, None]
    return motion + (gap[:, None] * fade[:, None]).unflatten(1, motion.shape[1:3])


def _without_motion(given: Conditions) -> Conditions:
    return replace(given, motion=given.motion[..., :0], motion_present=torch.zeros_like(given.motion_present))

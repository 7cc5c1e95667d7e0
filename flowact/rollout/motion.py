"""What the body does next, by the same loop as the pictures: motion is a stream of latents of one cell.

A latent frame of it holds the motion of its four video frames (`models.motion_codec`). It has a memory of its own and
is made before the pictures of its chunk, which then have little left to guess (docs/decisions/0011).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.core.errors import ConfigError
from flowact.core.motion import motion_slice
from flowact.core.types import Chunk, Conditions
from flowact.diffusion.guidance import Guidance
from flowact.diffusion.plan import DenoisePlan
from flowact.memory.bank import BankConfig, MemoryBank
from flowact.models.lips import Lips
from flowact.models.motion_codec import MotionCodec
from flowact.rollout.blinks import blinking
from flowact.rollout.generate import Backbone, StreamState, shift

_QUICK = ("visemes", "gaze")
"""Tracks that may jump."""
_FACE = (1.0, 2.0, 1.0)
"""Weights of a frame of the face between its neighbours."""
_MASS = (1.0, 8.0, 28.0, 56.0, 70.0, 56.0, 28.0, 8.0, 1.0)
"""Weights of a frame and the eight before it, for all that has mass: it lags by four frames. Nods at 2 Hz keep three
quarters, trembling at 5 Hz a fifth."""
_LOOKED_BACK = 2
"""Latent frames that hold these eight."""
_STANCE, _RETURN_FRAMES = ("torso", "sway"), 50.0
"""Tracks that drift, and the time constant of their way back."""
_FADE_FRAMES = 2.0
"""Time constant in which the gap at a chunk's edge fades."""


@dataclass(frozen=True)
class Mover:
    """Moves a body. It holds no state; a `MemoryBank` of motion is the state of a stream.

    Attributes:
        network: an `MMDiT` of one cell.
        codec: motion to its latents and back.
        lips: what they do to the voice; blinks come by chance, and the rest is imagined.
        plan: how motion is denoised, one chunk at a time.
        bank: sizes of the memory.
        guidance: how voice and prompt are made to count.
        noise_scale: deviation of the noise that a chunk begins with; below 1 is calmer.
    """

    network: Backbone
    codec: MotionCodec
    lips: Lips
    plan: DenoisePlan
    bank: BankConfig
    guidance: Guidance
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.bank.short < _LOOKED_BACK:
            raise ConfigError(f"A memory of motion needs short >= {_LOOKED_BACK}; got {self.bank}.")

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
        done, _ = shift(self.network, self.plan, self.guidance, stream, entering, self.noise_scale * noise)
        assert done is not None, "a plan of one chunk is done at once"
        past, made = (self.codec.decode(x.float()) for x in (before.recent[:, -_LOOKED_BACK:], done.latents))
        # Before a stream begins the body stands as the portrait does: at rest.
        past = past * before.filled[:, -_LOOKED_BACK:, None, None]
        motion = _upright(_joined(past[:, -1, -1], made))
        motion = blinking(self.lips.speak(motion, given.audio, given.audio_present), noise)
        shown = _steadied(past, motion)
        return shown, before.commit(replace(done, latents=self.codec.encode(motion)))

    def follow(self, before: MemoryBank, shown: Chunk) -> MemoryBank:
        """The memory after the motion that a chunk of pictures shows."""
        given = shown.conditions
        latents = self.codec.encode(given.motion)
        return before.commit(replace(shown, latents=latents, conditions=_without_motion(given)))


def _upright(motion: Tensor) -> Tensor:
    """Motion [B, T, 4, M] whose stance goes back to rest little by little.

    Errors of each chunk add up, and after a minute a body that nobody calls back has walked out of its picture.
    """
    frames = torch.arange(1, motion.shape[1] * FRAMES_PER_LATENT + 1, device=motion.device)
    share = (-frames / _RETURN_FRAMES).exp().view(1, -1, FRAMES_PER_LATENT, 1)
    upright = motion.clone()
    for track in _STANCE:
        upright[..., motion_slice(track)] *= share
    return upright


def _joined(last: Tensor, motion: Tensor) -> Tensor:
    """Begin motion [B, T, 4, M] where the `last` frame [B, M] before it ended, and let the difference fade: a body has
    mass, and a chunk that is drawn anew begins a little elsewhere (Bollo 2018, "Inertialization").
    """
    fade = (-(torch.arange(1, motion.shape[1] * FRAMES_PER_LATENT + 1, device=motion.device) / _FADE_FRAMES)).exp()
    gap = last - motion[:, 0, 0]
    return motion + (gap[:, None] * fade[:, None]).unflatten(1, motion.shape[1:3])


def _steadied(before: Tensor, motion: Tensor) -> Tensor:
    """Motion [B, T, 4, M] as it is shown: what has mass lags a little and does not tremble, going on from what was
    `before` [B, 2, 4, M].
    """
    here = motion.flatten(1, 2)
    line = torch.cat([before.flatten(1, 2), here], 1)
    steady = _averaged(line, _MASS)[:, -here.shape[1] :]
    # A face may not lag behind the voice: its last frame of a chunk does without the one after.
    face = _averaged(torch.cat([line, line[:, -1:]], 1), _FACE)[:, -here.shape[1] :]
    steady[..., motion_slice("face")] = face[..., motion_slice("face")]
    for track in _QUICK:
        steady[..., motion_slice(track)] = here[..., motion_slice(track)]
    return steady.unflatten(1, motion.shape[1:3])


def _averaged(line: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted means [B, F - w + 1, M] of each w frames in a row of [B, F, M]."""
    share = torch.tensor(weights, device=line.device) / sum(weights)
    return torch.einsum("bfmw,w->bfm", line.unfold(1, len(weights), 1), share)


def _without_motion(given: Conditions) -> Conditions:
    return replace(given, motion=given.motion[..., :0], motion_present=torch.zeros_like(given.motion_present))

"""THE denoising loop. Serving, self-forcing and evaluation all call `shift`; there is no second one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from flowact.core.types import Chunk, Conditions, Frames, Role
from flowact.diffusion.guidance import Guidance
from flowact.diffusion.plan import DenoisePlan
from flowact.diffusion.solver import euler
from flowact.memory.bank import MemoryBank


class Backbone(Protocol):
    """What the loop needs of a network; `context` is whatever `remember` returned."""

    def __call__(self, frames: Frames, remembered: object, guidance: Tensor | None, /) -> Tensor:
        """Velocity of the stream's latent frames, [B, T, C, H, W]."""
        ...

    def remember(self, memory: Frames, /) -> object:
        """Keys and values of the memory, computed once per shift."""
        ...


@dataclass(frozen=True)
class Serving:
    """How a backbone is let run: what training must imitate wherever it generates.

    Attributes:
        plan: which levels the passes visit.
        guidance: how evaluations become a velocity.
        noise_scale: deviation of the noise a chunk starts from, everywhere or [H, W].
    """

    plan: DenoisePlan
    guidance: Guidance
    noise_scale: float | Tensor = 1.0


@dataclass(frozen=True)
class StreamState:
    """All that lives between two shifts: the chunks in flight, oldest first, and the memory."""

    chunks: tuple[Chunk, ...]
    bank: MemoryBank
    next_index: int = 0

    @staticmethod
    def start(bank: MemoryBank) -> StreamState:
        """An empty stream before a cold memory."""
        return StreamState((), bank)


@torch.no_grad()
def shift(
    backbone: Backbone,
    plan: DenoisePlan,
    guidance: Guidance,
    state: StreamState,
    entering: Conditions,
    noise: Tensor,
) -> tuple[Chunk | None, StreamState]:
    """Let one chunk enter, denoise every chunk one stair down, and pop the oldest once it is clean.

    Args:
        backbone: predicts velocities.
        plan: which levels the passes visit.
        guidance: how evaluations become a velocity.
        state: the stream before.
        entering: conditions of the new chunk, [B, T].
        noise: [B, T, C, H, W] standard normal; the new chunk at pure noise.

    Returns:
        The finished chunk (None while the stream still fills) and the stream after.
    """
    chunks = (*state.chunks, Chunk(state.next_index, noise, 1.0, entering))
    chunks = denoise(backbone, plan, guidance, chunks, state.bank)
    if chunks[0].level > 0:
        return None, replace(state, chunks=chunks, next_index=state.next_index + 1)
    done = chunks[0]
    return done, StreamState(chunks[1:], state.bank.commit(done), state.next_index + 1)


def denoise(
    backbone: Backbone, plan: DenoisePlan, guidance: Guidance, chunks: tuple[Chunk, ...], bank: MemoryBank
) -> tuple[Chunk, ...]:
    """The passes of one shift: every chunk in flight goes one stair down."""
    remembered = backbone.remember(bank.view())
    for step in plan.until_pop(len(chunks)):
        stream = stack(chunks, step.level_from)
        velocity = guidance(lambda frames, weight: backbone(frames, remembered, weight), stream)
        target = levels_per_frame(chunks, step.level_to).to(stream.level)
        chunks = unstack(chunks, euler(stream.latents, velocity, stream.level, target), step.level_to)
    return chunks


def levels_per_frame(chunks: tuple[Chunk, ...], levels: tuple[float, ...]) -> Tensor:
    """One level per chunk -> one per latent frame, [B, T]."""
    rows, length = chunks[0].latents.shape[:2]
    return torch.tensor(levels).repeat_interleave(length).expand(rows, -1)


def stack(chunks: tuple[Chunk, ...], levels: tuple[float, ...]) -> Frames:
    """The chunks in flight as one run of latent frames at positions 0, 1, 2, ..."""
    latents = torch.cat([c.latents for c in chunks], 1)
    rows, time = latents.shape[:2]
    device = latents.device
    return Frames(
        latents=latents,
        level=levels_per_frame(chunks, levels).to(device),
        position=torch.arange(time, device=device),
        role=torch.full((time,), int(Role.STREAM), device=device),
        valid=torch.ones(rows, time, dtype=torch.bool, device=device),
        conditions=Conditions.cat([c.conditions for c in chunks]),
    )


def unstack(chunks: tuple[Chunk, ...], latents: Tensor, levels: tuple[float, ...]) -> tuple[Chunk, ...]:
    """Put denoised latents back into their chunks."""
    parts = latents.split([c.latents.shape[1] for c in chunks], 1)
    return tuple(replace(c, latents=x, level=level) for c, x, level in zip(chunks, parts, levels))

"""Training windows: a real stream of chunks, and the memory that came before it, shaped as serving would meet them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from flowact.core.clock import LATENTS_PER_CHUNK
from flowact.core.types import Chunk, Conditions, Frames, Role
from flowact.diffusion.path import add_noise
from flowact.memory.bank import MemoryBank


@dataclass(frozen=True)
class Window:
    """One batch of training material.

    Attributes:
        bank: memory just before the stream.
        clean: [B, T, C, H, W] real stream latents, relative to the portrait; T is a whole number of chunks.
        conditions: what steers them.
        weight: [B, T, 1, H, W] importance of each latent cell in the loss.
        sequence, start: [B] where the window was cut, so that generated memory can be matched to it.
    """

    bank: MemoryBank
    clean: Tensor
    conditions: Conditions
    weight: Tensor
    sequence: Tensor
    start: Tensor

    def to(self, device: torch.device) -> Window:
        """The same window on a device."""

        def move(x: Tensor) -> Tensor:
            return x.to(device)

        bank = replace(
            self.bank,
            reference=move(self.bank.reference),
            recent=move(self.bank.recent),
            filled=move(self.bank.filled),
            colours=None if self.bank.colours is None else move(self.bank.colours),
            conditions=self.bank.conditions.map(move),
        )
        return replace(
            self,
            bank=bank,
            clean=move(self.clean),
            conditions=self.conditions.map(move),
            weight=move(self.weight),
        )

    def chunks(self, first: int, last: int) -> Window:
        """The same window with only its chunks `first` to `last`."""
        a, b = first * LATENTS_PER_CHUNK, last * LATENTS_PER_CHUNK
        return replace(
            self,
            clean=self.clean[:, a:b],
            conditions=self.conditions.frames(a, b),
            weight=self.weight[:, a:b],
        )


def mouth_cells(weight: Tensor) -> Tensor:
    """The cells of the mouth, which weigh most in their frame: [..., H, W] -> bool."""
    return weight > 0.99 * weight.amax((-2, -1), keepdim=True)


def noised(window: Window, level: Tensor, noise: Tensor) -> Frames:
    """The stream of a window at noise levels [B, T], as frames for the backbone."""
    rows, time = window.clean.shape[:2]
    device = window.clean.device
    return Frames(
        latents=add_noise(window.clean, noise, level),
        level=level,
        position=torch.arange(time, device=device),
        role=torch.full((time,), int(Role.STREAM), device=device),
        valid=torch.ones(rows, time, dtype=torch.bool, device=device),
        conditions=window.conditions,
    )


def drop_conditions(conditions: Conditions, share: float, generator: torch.Generator | None = None) -> Conditions:
    """Forget voice, prompt and motion, each for itself, in `share` of the rows: what guidance and robustness need."""
    rows = conditions.audio_present.shape[0]
    device = conditions.audio_present.device
    hear, read, move = ((torch.rand(rows, 1, generator=generator) >= share).float().to(device) for _ in range(3))
    return replace(
        conditions,
        audio_present=conditions.audio_present * hear,
        text_present=conditions.text_present * read,
        motion_present=conditions.motion_present * move,
    )


def roughen_memory(bank: MemoryBank, strength: float, generator: torch.Generator | None = None) -> MemoryBank:
    """Add noise of a random small level to the remembered latents of half of the rows, so that memory is not blindly
    copied. The portrait stays clean: it is the anchor.
    """
    rows = bank.recent.shape[0]
    chosen = (torch.rand(rows, 1, generator=generator) < 0.5).float()
    level = (strength * torch.rand(rows, 1, generator=generator) * chosen).to(bank.recent)
    noise = torch.randn(bank.recent.shape, generator=generator).to(bank.recent)
    return replace(bank, recent=add_noise(bank.recent, noise, level.expand(rows, bank.recent.shape[1])))


def drift_memory(bank: MemoryBank, strength: float, generator: torch.Generator | None = None) -> MemoryBank:
    """Bend, tint and stretch the remembered latents of half of the rows, all slots alike, as a long stream drifts."""
    recent = bank.recent
    rows, _, channels, height, width = recent.shape
    chosen = (torch.rand(rows, 1, 1, 1, generator=generator) < 0.5).float()
    amount = strength * torch.rand(rows, 1, 1, 1, generator=generator) * chosen
    field = F.interpolate(torch.randn(rows, channels, 4, 4, generator=generator), (height, width), mode="bicubic")
    gain = 1 + 0.5 * amount * torch.randn(rows, 1, 1, 1, generator=generator)
    drifted = recent * gain[:, None].to(recent) + (amount * field)[:, None].to(recent)
    return replace(bank, recent=torch.where(bank.filled[:, :, None, None, None], drifted, recent))


def split_chunks(window: Window, latents: Tensor, levels: tuple[float, ...]) -> tuple[Chunk, ...]:
    """Stream latents [B, T, C, H, W] as chunks that stand at the given levels, with the window's conditions."""
    steps = range(0, latents.shape[1], LATENTS_PER_CHUNK)
    return tuple(
        Chunk(i, latents[:, a : a + LATENTS_PER_CHUNK], level, window.conditions.frames(a, a + LATENTS_PER_CHUNK))
        for i, (a, level) in enumerate(zip(steps, levels))
    )

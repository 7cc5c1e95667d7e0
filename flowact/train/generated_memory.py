"""Keeps a pool of generated memories fresh during training, and mixes them into the batches."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from flowact.core.clock import LATENTS_PER_CHUNK
from flowact.core.device import choose_precision
from flowact.models.mmdit.model import MMDiT
from flowact.rollout.generate import Serving
from flowact.rollout.self_forcing import MemoryPool
from flowact.rollout.window import Window
from flowact.train.data.latents import WindowCutter
from flowact.train.ema import Ema
from flowact.train.stage import Batch


@dataclass(frozen=True)
class GeneratedMemoryConfig:
    """How much generated memory there is.

    Attributes:
        every: train_steps between two refills by a fresh frozen checkpoint.
        rows: streams of one refill.
        lead: at most this share of what a streamed chunk begins with is the real one, the rest noise. A stream left to
            itself soon moves as well as the clip but otherwise, and memory of it would say nothing of what follows.
        share_from, share_to: share of the batches with generated memory, at the start and after `ramp_steps`.
        ramp_steps: length of the ramp.
    """

    every: int = 50
    rows: int = 16
    lead: float = 0.3
    share_from: float = 0.0
    share_to: float = 0.5
    ramp_steps: int = 500


@dataclass
class GeneratedMemory:
    """The self-forcing variant as two hooks of a stage: `on_step` refills the pool, `rollout` draws from it.

    Attributes:
        config: how much and how often.
        network: name of the backbone among the stage's networks, and the backbone itself.
        serving: how the frozen checkpoint is let run.
        short: cuts the windows that are trained on.
        long: cuts the windows that are streamed through, of more chunks.
    """

    config: GeneratedMemoryConfig
    network: tuple[str, MMDiT]
    serving: Serving
    short: WindowCutter
    long: WindowCutter
    pool: MemoryPool = field(default_factory=MemoryPool)

    def __post_init__(self) -> None:
        self._frozen = copy.deepcopy(self.network[1]).eval().requires_grad_(False)

    def on_step(self, step: int, emas: Mapping[str, Ema]) -> None:
        """Every so often freeze the averaged weights and let them stream; a resumed run refills at once."""
        if step % self.config.every and self.pool.entries:
            return
        name, live = self.network
        emas[name].copy_to(self._frozen)
        spare = self.long.store.length - self.long.length
        sequence = torch.randint(self.long.store.sequences, (self.config.rows,))
        start = torch.randint(spare + 1, (self.config.rows,)) // LATENTS_PER_CHUNK * LATENTS_PER_CHUNK
        device = next(live.parameters()).device
        precision = choose_precision(device)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            lead = (self.config.lead * torch.rand(self.config.rows, 1, 1, 1, 1)).to(device)
            last = self.short.store.length - self.short.length
            self.pool.refill(self._frozen, self.serving, self.long.cut(sequence, start).to(device), lead, last)

    def rollout(self, batch: Batch, step: int) -> Batch:
        """The batch, or by chance one whose memory was generated."""
        c = self.config
        share = c.share_from + (c.share_to - c.share_from) * min(1.0, step / c.ramp_steps)
        if not self.pool.entries or float(torch.rand(())) >= share:
            return batch
        window: Window = batch["window"]
        drawn = self.pool.draw(len(window.clean), self.short.cut)
        return {**batch, "window": drawn.to(window.clean.device)}

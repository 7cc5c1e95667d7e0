"""A DenoisePlan is data: which levels each pass goes from and to, until a chunk is clean and is popped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from flowact.core.clock import CHUNKS_IN_STREAM
from flowact.core.errors import ConfigError
from flowact.diffusion.levels import staircase_levels


@dataclass(frozen=True)
class Pass:
    """One evaluation of the backbone over the stream: each chunk's level before and after, oldest chunk first."""

    level_from: tuple[float, ...]
    level_to: tuple[float, ...]


class DenoisePlan(Protocol):
    """How a stream of chunks is denoised."""

    @property
    def entering(self) -> tuple[float, ...]:
        """Levels at which chunks stand when a shift begins, oldest first; the length is the stream's size."""
        ...

    def until_pop(self, chunks: int) -> Iterator[Pass]:
        """Passes of one shift, for a stream that holds `chunks` chunks (fewer while it fills)."""
        ...


@dataclass(frozen=True)
class Staircase:
    """FlowAct-R1's plan: chunks at rising noise; every shift each goes one step down and the oldest is popped.

    Attributes:
        chunks: chunks in the stream (3 in the paper).
        micro_steps: passes per shift; 1 for the few-step student, about 4 for an undistilled model.
        shift: bends the levels towards noise (`levels.warp`).
    """

    chunks: int = CHUNKS_IN_STREAM
    micro_steps: int = 4
    shift: float = 2.0

    def __post_init__(self) -> None:
        if self.chunks < 1 or self.micro_steps < 1 or self.shift <= 0:
            raise ConfigError(f"A staircase needs chunks >= 1, micro_steps >= 1, shift > 0; got {self}.")

    @property
    def entering(self) -> tuple[float, ...]:
        """Rising levels, the newest chunk at pure noise."""
        return staircase_levels(self.chunks, self.shift)

    def until_pop(self, chunks: int) -> Iterator[Pass]:
        """`micro_steps` passes. A stream that is not yet full holds only the noisiest stairs."""
        high = self.entering[-chunks:]
        low = (0.0, *self.entering[:-1])[-chunks:]
        for i in range(self.micro_steps):
            a, b = i / self.micro_steps, (i + 1) / self.micro_steps
            yield Pass(
                tuple(h + (l - h) * a for h, l in zip(high, low)), tuple(h + (l - h) * b for h, l in zip(high, low))
            )

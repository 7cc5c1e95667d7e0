"""FlowAct-R1's structured memory bank: one reference, a short queue of long memory, the newest latents, all bounded.

The bank is a value: `commit` returns the next one, so a snapshot is the object itself and restoring is keeping it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flowact.core.errors import ConfigError
from flowact.core.types import Chunk, Conditions, Frames, Role


@dataclass(frozen=True)
class BankConfig:
    """Sizes of the memory, in latent frames.

    Attributes:
        long: length of the long queue (at most 3 in the paper).
        short: newest finished latents kept (1 or 3 in the paper).
    """

    long: int = 3
    short: int = 1

    def __post_init__(self) -> None:
        if self.short < 1 or self.long < 0:
            raise ConfigError(f"The bank holds at least 1 short and 0 long latents; got {self}.")

    @property
    def size(self) -> int:
        """Latent frames in the bank, reference included."""
        return 1 + self.long + self.short

    def positions(self) -> list[int]:
        """Time index of each slot before the stream's head (0): reference, long (oldest first), short."""
        return [-self.size - 2, *range(-self.long - self.short, 0)]

    def roles(self) -> list[int]:
        """Role of each slot."""
        return [Role.REFERENCE, *[Role.LONG] * self.long, *[Role.SHORT] * self.short]


@dataclass(frozen=True)
class MemoryBank:
    """What the next chunk may see, [B] rows at once.

    Attributes:
        config: its sizes.
        reference: [B, 1, C, H, W] standardised look of the portrait; never changes.
        recent: [B, R, C, H, W] finished latents relative to the portrait, oldest first: long queue, then short.
        filled: [B, R] which of these slots hold finished latents (at a cold start the short ones hold the portrait).
        conditions: [B, 1 + R] what steered each slot.
        colours: [B, 3, 2 H, 2 W] the portrait itself, small; None where nobody looks at it.
    """

    config: BankConfig
    reference: Tensor
    recent: Tensor
    filled: Tensor
    conditions: Conditions
    colours: Tensor | None = None

    @staticmethod
    def start(config: BankConfig, reference: Tensor, neutral: Conditions, colours: Tensor | None = None) -> MemoryBank:
        """Cold start: no long memory; short memory is the portrait itself, which is zero relative to itself.

        Args:
            config: sizes of the bank.
            reference: [B, 1, C, H, W] standardised look of the portrait.
            neutral: conditions of one latent frame [B, 1], carried by every slot that has none of its own.
            colours: [B, 3, 2 H, 2 W] the portrait itself, small.
        """
        rows, slots = reference.shape[0], config.long + config.short
        return MemoryBank(
            config,
            reference,
            torch.zeros_like(reference).repeat(1, slots, 1, 1, 1),
            torch.zeros(rows, slots, dtype=torch.bool, device=reference.device),
            Conditions.cat([neutral] * (1 + slots)),
            colours,
        )

    def commit(self, chunk: Chunk) -> MemoryBank:
        """Remember a finished chunk: the newest short latent moves to the long queue, the oldest long one falls out.

        A chunk that was cut to fewer latents than the short memory holds only fills up the short memory: what it
        pushes out is still the past of the same chunk, so the long queue stays.
        """
        long, count = self.config.long, chunk.latents.shape[1]
        moves = count >= self.config.short

        def shifted(slots: Tensor, fresh: Tensor) -> Tensor:
            queue, short = slots[:, :long], slots[:, long:]
            if moves:
                queue = torch.cat((queue, short[:, -1:]), 1)[:, 1:]
            return torch.cat((queue, torch.cat((short, fresh), 1)[:, -self.config.short :]), 1)

        ref, rest = self.conditions.frames(0, 1), self.conditions.frames(1, self.config.size)
        fresh = chunk.conditions
        moved = Conditions(**{name: shifted(old, getattr(fresh, name)) for name, old in vars(rest).items()})
        return replace(
            self,
            recent=shifted(self.recent, chunk.latents),
            filled=shifted(self.filled, torch.ones_like(self.filled[:, :1]).expand(-1, count)),
            conditions=Conditions.cat([ref, moved]),
        )

    def view(self) -> Frames:
        """The bank as latent frames for the backbone: reference, long, short."""
        device = self.recent.device
        rows = self.reference.shape[0]
        seen = self.filled.clone()
        seen[:, self.config.long :] = True  # the portrait stands in for a past that is not there yet
        return Frames(
            latents=torch.cat((self.reference, self.recent), 1),
            level=torch.zeros(rows, self.config.size, device=device),
            position=torch.tensor(self.config.positions(), device=device),
            role=torch.tensor(self.config.roles(), device=device),
            valid=torch.cat((torch.ones_like(seen[:, :1]), seen), 1),
            conditions=self.conditions,
            colours=self.colours,
        )

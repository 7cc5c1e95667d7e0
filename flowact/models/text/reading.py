"""What every text encoder offers to the rest of the house, whatever network is inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Reading(Protocol):
    """Text encoder: prompts in, a fixed number of tokens per prompt out. An empty prompt is a prompt like any other."""

    @property
    def width(self) -> int:
        """Width of each token."""

    @property
    def tokens(self) -> int:
        """Tokens per prompt."""

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """B prompts -> tokens [B, L, D]."""

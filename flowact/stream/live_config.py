"""Sizes of live sessions."""

from __future__ import annotations

from dataclasses import dataclass

from flowact.core.clock import FRAMES_PER_CHUNK, FRAMES_PER_LATENT


@dataclass(frozen=True)
class LiveConfig:
    """Sizes of a live session.

    Attributes:
        most_lead_ticks: the ring never holds more.
        margin_s: safety between the end of a refill and the tick that needs it.
        onset_ticks: speech begins once so much of it is there, or all of it: three chunks and the hearing's look-ahead.
        reaction_pause_s: urgent actions that follow closer than this act from the next chunk on instead.
        queue_s: longest speech that may wait.
    """

    most_lead_ticks: int = 4 * FRAMES_PER_CHUNK
    margin_s: float = 0.06
    onset_ticks: int = 3 * FRAMES_PER_CHUNK + FRAMES_PER_LATENT
    reaction_pause_s: float = 1.0
    queue_s: float = 120.0

"""What a live session tells about itself."""

from __future__ import annotations

from dataclasses import dataclass

from flowact.core.types import State
from flowact.stream.tiers import Tier


@dataclass(frozen=True)
class Interrupted:
    """What an interruption broke off.

    Attributes:
        segment: id of the speech that sounded or waited first; None if there was none.
        played_s: seconds of it that were released.
        epoch: the epoch that begins now.
    """

    segment: str | None
    played_s: float
    epoch: int


@dataclass(frozen=True)
class SessionStats:
    """How a session is doing.

    Attributes:
        frames: ticks released.
        held_ticks: of these, repeats because nothing was ready.
        lead_ticks: ticks that wait.
        queued_s: speech that waits.
        chunk_p50_ms, chunk_p99_ms: cost of a chunk, lately; 0 before the first.
        discarded_chunks: chunks whose making was overtaken by a cut.
        epoch: number of interruptions and reactions.
        reactions_s: for the last 32 cuts, from the request to the first tick after the cut.
        state: what the person does.
        prompt: in words.
        tier: how well the latest chunk was made.
        tier_changes: how often that was another one than for the chunk before.
    """

    frames: int
    held_ticks: int
    lead_ticks: int
    queued_s: float
    chunk_p50_ms: float
    chunk_p99_ms: float
    discarded_chunks: int
    epoch: int
    reactions_s: tuple[float, ...]
    state: State
    prompt: str
    tier: Tier = Tier.FULL
    tier_changes: int = 0

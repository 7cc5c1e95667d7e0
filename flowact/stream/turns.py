"""Whose turn it is on the engine's thread, and how well the next chunk is made. No threads, no locks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flowact.core.clock import FRAMES_PER_CHUNK, SHIFT_S
from flowact.stream.costs import Costs
from flowact.stream.live import LiveSession
from flowact.stream.threads import Threads
from flowact.stream.tiers import Tier, Tiers

_LOG = logging.getLogger(__name__)
_CALM_TICKS = FRAMES_PER_CHUNK


@dataclass(frozen=True)
class ComputeThreads:
    """The threads that compute, as something that can be changed and compared.

    Attributes:
        choice: how many.
        apply: lets so many threads compute from now on.
        compare: seconds of a short piece of work with several threads, and with one; one computes afterwards.
    """

    choice: Threads
    apply: Callable[[int], None]
    compare: Callable[[], tuple[float, float]]


class Turns:
    """Gives turns to sessions, the earliest deadline first; one turn is one `LiveSession.advance`."""

    def __init__(
        self, clock: Callable[[], float], costs: Costs, tiers: Tiers, threads: ComputeThreads | None = None
    ) -> None:
        """`costs` is that of the sessions; without `threads` their number is left alone."""
        self._clock, self._costs, self._tiers, self._threads = clock, costs, tiers, threads

    @property
    def tier(self) -> Tier:
        """How well the next chunk is made."""
        return self._tiers.tier

    @property
    def changes(self) -> int:
        """How often the tier changed."""
        return self._tiers.changes

    @property
    def threads(self) -> int | None:
        """How many threads compute together; None where nobody chooses."""
        return None if self._threads is None else self._threads.choice.count

    @property
    def thread_changes(self) -> int:
        """How often the number of threads changed."""
        return 0 if self._threads is None else self._threads.choice.changes

    def most_urgent(self, sessions: Sequence[LiveSession]) -> LiveSession | None:
        """The session that needs a chunk first; None when all have enough."""
        due = [(at_s, i) for i, session in enumerate(sessions) if (at_s := session.deadline()) is not None]
        return sessions[min(due)[1]] if due else None

    def give(self, session: LiveSession, living: int) -> None:
        """One turn for a session, while `living` sessions live. What it costs chooses tier and threads."""
        deadline_s, begin_s, changes = session.deadline(), self._clock(), self.thread_changes

        def watch() -> None:
            now_s = self._clock()
            self._judge_threads(now_s, now_s - begin_s, is_whole=False)

        is_chunk = session.advance(self.tier, watch)
        now_s = self._clock()
        cost_s = now_s - begin_s
        if not is_chunk and cost_s <= SHIFT_S:
            return  # a shift without pictures, or one that was given up, says little; but not if even that is too slow
        self._judge_threads(now_s, cost_s, is_whole=is_chunk)
        if changes == self.thread_changes:  # else this chunk tells nothing about the next one
            is_late = is_chunk and deadline_s is not None and now_s > deadline_s
            self._judge_tier(now_s, cost_s, SHIFT_S / max(1, living), is_late)

    def compare_threads(self, sessions: Sequence[LiveSession]) -> None:
        """Measure whether several threads are faster again, if that is due and every session has enough for a while."""
        threads = self._threads
        if threads is None or not threads.choice.wants_probe(self._clock()):
            return
        if any(session.snapshot_stats().lead_ticks < _CALM_TICKS for session in sessions):
            return
        many_s, one_s = threads.compare()
        if threads.choice.probed(self._clock(), many_s, one_s):
            self._apply_threads(threads, "beside idle cores again")

    def _judge_threads(self, now_s: float, cost_s: float, is_whole: bool) -> None:
        threads = self._threads
        if threads is not None and threads.choice.observe(now_s, cost_s, is_whole):
            self._apply_threads(threads, f"a chunk took {cost_s:.2f} s")

    def _judge_tier(self, now_s: float, cost_s: float, time_s: float, is_late: bool) -> None:
        before = self.tier
        self._tiers.observe(now_s, cost_s, time_s, is_late)
        if self.tier is not before:
            self._costs.start_afresh()
            _LOG.warning(
                "Tier %s -> %s: a chunk took %.2f s, there is %.2f s for one",
                before.name, self.tier.name, cost_s, time_s,
            )  # fmt: skip

    def _apply_threads(self, threads: ComputeThreads, why: str) -> None:
        threads.apply(threads.choice.count)
        self._costs.start_afresh()
        self._tiers.forget()
        _LOG.warning("Compute threads: %d (%s)", threads.choice.count, why)

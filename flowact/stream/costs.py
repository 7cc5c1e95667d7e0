"""What the engine's work costs on this machine, measured: the base of cuts, leads and admission."""

from __future__ import annotations

from collections import deque


class _Recent:
    """The last few measurements, sorted once per measurement: they are read far more often than made."""

    def __init__(self, count: int) -> None:
        self._latest: deque[float] = deque(maxlen=count)
        self._sorted: list[float] = []

    def add(self, seconds: float) -> None:
        self._latest.append(seconds)
        self._sorted = sorted(self._latest)

    def keep_latest(self) -> None:
        """Forget all but the latest measurement."""
        self._latest = deque(list(self._latest)[-1:], self._latest.maxlen)
        self._sorted = list(self._latest)

    def quantile(self, share: float) -> float | None:
        """The smallest measurement that at least `share` of all do not exceed; None before the first."""
        ordered = self._sorted
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


class Costs:
    """Seconds that were measured lately; sessions of one engine share one object.

    Attributes:
        mean_chunk_s: of chunks with all their evaluations, the latest counting most; None before the first.
    """

    def __init__(self) -> None:
        self._chunk, self._refill = _Recent(64), _Recent(16)
        self.mean_chunk_s: float | None = None

    def add_chunk(self, seconds: float, is_full: bool = True) -> None:
        """One more chunk was made: a shift and the decoding; `is_full`: with all evaluations that the model has."""
        self._chunk.add(seconds)
        if is_full:
            before = seconds if self.mean_chunk_s is None else self.mean_chunk_s
            self.mean_chunk_s = before + 0.1 * (seconds - before)

    def add_refill(self, seconds: float) -> None:
        """One more stream was filled after a cut: to its first latent frame, other sessions' turns included."""
        self._refill.add(seconds)

    def start_afresh(self) -> None:
        """Chunks are made in another way from now on: of what was measured, only the latest chunk still counts."""
        self._chunk.keep_latest()
        self._refill = _Recent(16)

    def chunk_s(self, quantile: float) -> float:
        """Quantile of the cost of a chunk; 0 before the first one."""
        return self._chunk.quantile(quantile) or 0.0

    def refill_s(self, shifts: int) -> float:
        """What the next refill will cost: nearly the worst that was seen; before that, `shifts` whole chunks."""
        measured = self._refill.quantile(0.9)
        return shifts * self.chunk_s(0.9) if measured is None else measured

"""How many threads compute together: several are faster on idle cores, one beside a busy neighbour.

A computation that is split waits for its slowest part at the end of every operation. Where a neighbour holds one of the
cores, that part waits for the system to give the core back, some milliseconds each time: a chunk of 0.13 s then takes
seconds. One thread alone is given a core that is free.
"""

from __future__ import annotations

from dataclasses import dataclass

from flowact.stream.hold import Hold


@dataclass(frozen=True)
class ThreadRules:
    """When to change.

    Attributes:
        gain: several threads are worth it while they take less than this share of the time of one.
        worse: to one thread, when two chunks in a row took more than this times as long as with one thread.
        much_worse: to one thread at once, in the middle of a chunk that took more than this times as long.
        hold_s: from the change to one thread to the first probe; doubled after every probe that failed.
        longest_hold_s: it is never doubled beyond this, and back at `hold_s` once several threads have lasted so long.
        probe_s: between probes that succeed.
        probes: that must succeed in a row before several threads compute again.
    """

    gain: float = 0.9
    worse: float = 1.15
    much_worse: float = 2.0
    hold_s: float = 5.0
    longest_hold_s: float = 80.0
    probe_s: float = 0.5
    probes: int = 3


class Threads:
    """Chooses between `many` threads and one. What is measured is told to it; it measures nothing."""

    def __init__(self, many: int, many_s: float, one_s: float, rules: ThreadRules | None = None) -> None:
        """A chunk took `many_s` with `many` threads, and `one_s` with one, on the machine as it was at the start."""
        self._rules = rules or ThreadRules()
        self.many, self._one_s = many, one_s
        self.count = many if many_s < self._rules.gain * one_s else 1
        self._hold = Hold(self._rules.hold_s, self._rules.longest_hold_s)
        self._next_probe_s, self._passed = float("-inf"), 0
        self._was_worse = False
        self.changes = 0

    def observe(self, now_s: float, cost_s: float, is_whole: bool = True) -> bool:
        """A chunk took `cost_s` with the threads chosen, or did up to now; whether the choice changed."""
        if self.count == 1:
            return False
        factor, is_worse_again = cost_s / self._one_s, False
        if is_whole:
            is_worse_again = self._was_worse and factor > self._rules.worse
            self._was_worse = factor > self._rules.worse
        if factor <= self._rules.much_worse and not is_worse_again:
            return False
        self._go_alone(now_s)
        return True

    def wants_probe(self, now_s: float) -> bool:
        """Whether to compare several threads with one on a short piece of work, as soon as there is time for it."""
        return self.count < self.many and now_s >= self._next_probe_s

    def probed(self, now_s: float, many_s: float, one_s: float) -> bool:
        """The same short piece of work took so long with several threads and with one; whether the choice changed."""
        if many_s >= self._rules.gain * one_s:
            self._passed = 0
            self._hold.lengthen()
            self._next_probe_s = now_s + self._hold.seconds
            return False
        self._passed += 1
        self._next_probe_s = now_s + self._rules.probe_s
        if self._passed < self._rules.probes:
            return False
        self._hold.begin(now_s)
        self._change(self.many)
        return True

    def _go_alone(self, now_s: float) -> None:
        self._hold.end(now_s)
        self._change(1)
        self._next_probe_s = now_s + self._hold.seconds

    def _change(self, count: int) -> None:
        self.count, self._passed, self._was_worse = count, 0, False
        self.changes += 1

"""The arithmetic behind the figures: quantiles, slopes, missed deadlines, gaps. Pure functions of what was noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowact.core.clock import FPS, FRAMES_PER_CHUNK

TICK_S = 1 / FPS
GIVE_UP_S = 0.5
"""A viewer that is this late does not catch up: its clock goes on from where it is, as that of the pacer does."""
_FEWEST_FOR_A_SLOPE_S = 120.0


def spread(values: Sequence[float]) -> dict[str, float | int | None]:
    """How many there are, their p50, p95, p99 and the largest, to four digits after the point; None without values."""
    if not len(values):
        return {"count": 0, "p50": None, "p95": None, "p99": None, "worst": None}
    p50, p95, p99, worst = (round(float(x), 4) for x in np.quantile(values, (0.5, 0.95, 0.99, 1.0)))
    return {"count": len(values), "p50": p50, "p95": p95, "p99": p99, "worst": worst}


def middle_and_worst(values: Sequence[float]) -> dict[str, float | int]:
    """The median and the largest of a few repetitions."""
    return {"count": len(values), "median": round(float(np.median(values)), 3), "worst": round(max(values), 3)}


def slope_per_hour(at_s: Sequence[float], values: Sequence[float]) -> float | None:
    """Least-squares slope per hour; None when the samples span less than two minutes, which tells nothing."""
    if len(at_s) < 3 or at_s[-1] - at_s[0] < _FEWEST_FOR_A_SLOPE_S:
        return None
    return round(float(np.polyfit(np.asarray(at_s) / 3600, values, 1)[0]), 2)


@dataclass(frozen=True)
class Deadlines:
    """What one viewer got.

    Attributes:
        due: ticks that were due, those of stalls included.
        missed: of these, not there or more than a tick late.
        held: ticks that repeated the last picture because nothing was ready.
        freezes: separate stretches in which the picture stood still.
        longest_freeze_s: the longest of them.
    """

    due: int
    missed: int
    held: int
    freezes: int
    longest_freeze_s: float

    @property
    def met(self) -> float:
        """Share of the deadlines that were met; 0 when nothing was due."""
        return 1 - self.missed / self.due if self.due else 0.0


def deadlines(released_s: Sequence[float], held: Sequence[bool]) -> Deadlines:
    """Which ticks of one viewer were there in time.

    Tick i is due at the release of the first one plus i * 40 ms. It is missed when it is held, or released more than
    40 ms after it was due. After a stall of `GIVE_UP_S` the viewer's clock starts again: every tick that was due in
    the stall is missed, and the later ones are judged by the new clock.

    Args:
        released_s: when each tick was released, in order.
        held: whether it repeated the last picture.
    """
    if not released_s:
        return Deadlines(0, 0, 0, 0, 0.0)
    start_s, stalled, missed = released_s[0], 0, 0
    still_since_s: float | None = None
    previous_s, freezes = released_s[0], []
    for i, (at_s, is_held) in enumerate(zip(released_s, held, strict=True)):
        late_s = at_s - (start_s + i * TICK_S)
        is_late = late_s > TICK_S
        missed += is_held or is_late
        if late_s >= GIVE_UP_S:
            stalled += int(late_s / TICK_S + 1e-9) - 1  # the last of them is the tick that comes late itself
            start_s += late_s
        stood_still = is_held or at_s - previous_s > 2 * TICK_S
        if stood_still and still_since_s is None:
            still_since_s = previous_s
        if still_since_s is not None and not is_held:
            freezes.append(at_s - still_since_s)
            still_since_s = None
        previous_s = at_s
    if still_since_s is not None:
        freezes.append(released_s[-1] + TICK_S - still_since_s)
    longest_s = round(max(freezes, default=0.0), 3)
    return Deadlines(len(released_s) + stalled, missed + stalled, sum(held), len(freezes), longest_s)


class Arrivals:
    """Finds out from looks at a session how far apart its chunks arrive, a chunk being 12 ticks nobody saw before.

    A cut drops ticks and makes others in their place, so the gap in which one happens is left out.
    """

    def __init__(self) -> None:
        self.gaps_s: list[float] = []
        self._made = self._epoch = -1
        self._fresh = 0
        self._last_s: float | None = None

    def look(self, now_s: float, made: int, epoch: int) -> None:
        """At `now_s` the session had released or held ready `made` ticks, in `epoch`."""
        if epoch != self._epoch or made < self._made:
            self._fresh, self._last_s = 0, None
        elif made > self._made:
            self._fresh += made - self._made
            if self._fresh >= FRAMES_PER_CHUNK:
                self._fresh -= FRAMES_PER_CHUNK
                if self._last_s is not None:
                    self.gaps_s.append(now_s - self._last_s)
                self._last_s = now_s
        self._made, self._epoch = made, epoch

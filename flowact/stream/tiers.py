"""Tiers: what is left out of the pictures while the machine is too slow, and when. A rule on measured costs, no clock.

The sound is never touched, and nobody is shown less than every second picture. `docs/live.md` tells what each costs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from flowact.core.errors import ConfigError
from flowact.diffusion.guidance import ClassifierFree, Guidance, NoGuidance, VoiceGuidance
from flowact.stream.hold import Hold


class Tier(IntEnum):
    """How well a chunk is made, the best first; each leaves out what the one before does, and more."""

    FULL = 0
    """As the model is meant."""
    SPARSE = 1
    """Every second picture, shown twice: 12.5 a second."""
    PLAIN = 2
    """Without guidance, one evaluation of the backbone a pass: lips move less. Last, since that is missed most."""

    @property
    def every(self) -> int:
        """Of how many pictures one is painted."""
        return 1 if self is Tier.FULL else 2


@dataclass(frozen=True)
class TierRules:
    """When to step. A *load* is the cost of a chunk over the time there is for it.

    Attributes:
        most_load: down, when the median of the last five loads is higher.
        growth: a tier up costs at most so many times as much.
        hold_s: up, at the earliest so long after the last change; doubled after each step up that did not last.
        longest_hold_s: it is never doubled beyond this, and back at `hold_s` once a step up has lasted so long.
    """

    most_load: float = 0.9
    growth: float = 1.4
    hold_s: float = 4.0
    longest_hold_s: float = 64.0

    def __post_init__(self) -> None:
        if not (0 < self.most_load <= 1 <= self.growth and 0 < self.hold_s <= self.longest_hold_s):
            raise ConfigError(f"Tiers need 0 < most_load <= 1 <= growth and 0 < hold_s <= longest_hold_s; got {self}.")


_SEEN, _CALM = 5, 10


class Tiers:
    """Chooses the tier for the next chunk of any session of one engine.

    Down by one, as soon as
    - a chunk took longer than there is time for one, and its tick was already late; or
    - two chunks in a row took longer than there is time for one; or
    - the median of the last five loads is over `most_load`.

    Up by one, once `hold_s` have passed since the last change, and nine of the last ten loads would be under
    `most_load` even `growth` times as high. Costs that were measured before a change do not count after it.
    """

    def __init__(self, ladder: Sequence[Tier], rules: TierRules | None = None) -> None:
        """`ladder` is the tiers that make a difference for the model, the best first."""
        self._ladder, self._rules = tuple(ladder), rules or TierRules()
        self._rung, self._hold = 0, Hold(self._rules.hold_s, self._rules.longest_hold_s)
        self._costs_s: deque[float] = deque(maxlen=_CALM)
        self._changed_s = float("-inf")
        self.changes = 0

    @property
    def tier(self) -> Tier:
        """For the next chunk."""
        return self._ladder[self._rung]

    def observe(self, now_s: float, cost_s: float, time_s: float, is_late: bool = False) -> None:
        """A chunk took `cost_s`, and there is `time_s` for one; `is_late`: its first tick should have been shown."""
        self._costs_s.append(cost_s)
        loads = [cost / time_s for cost in self._costs_s]
        if self._must_go_down(loads, is_late):
            self._go_down(now_s)
        elif self._may_go_up(loads, now_s):
            self._step(-1, now_s)
            self._hold.begin(now_s)

    def forget(self) -> None:
        """What was measured up to now tells nothing about the next chunks."""
        self._costs_s.clear()

    def _must_go_down(self, loads: list[float], is_late: bool) -> bool:
        if self._rung == len(self._ladder) - 1:
            return False
        is_over = loads[-1] > 1
        is_over_again = is_over and len(loads) > 1 and loads[-2] > 1
        latest = sorted(loads[-_SEEN:])
        is_too_much = len(latest) == _SEEN and latest[_SEEN // 2] > self._rules.most_load
        return (is_over and is_late) or is_over_again or is_too_much

    def _may_go_up(self, loads: list[float], now_s: float) -> bool:
        if self._rung == 0 or len(loads) < _CALM or now_s - self._changed_s < self._hold.seconds:
            return False
        return self._rules.growth * sorted(loads)[_CALM - 2] <= self._rules.most_load

    def _go_down(self, now_s: float) -> None:
        self._hold.end(now_s)
        self._step(1, now_s)

    def _step(self, rungs: int, now_s: float) -> None:
        self._rung += rungs
        self._changed_s = now_s
        self.changes += 1
        self.forget()


def ladder_for(guidance: Guidance) -> tuple[Tier, ...]:
    """The tiers that make a difference for a model that is served with `guidance`."""
    has_two = isinstance(guidance, VoiceGuidance | ClassifierFree)
    return (Tier.FULL, Tier.SPARSE, Tier.PLAIN) if has_two else (Tier.FULL, Tier.SPARSE)


def guidance_at(tier: Tier, guidance: Guidance, is_voiced: bool) -> Guidance:
    """What a shift is guided with; `is_voiced`: whether speech sounds in any chunk in flight.

    A voice that is silent has nothing to say at the mouth: what sets silence apart from no voice at all is less than a
    grey level (`docs/live.md`), so the second evaluation is saved.
    """
    is_idle = isinstance(guidance, VoiceGuidance) and not is_voiced
    has_two = isinstance(guidance, VoiceGuidance | ClassifierFree)
    return NoGuidance() if is_idle or (has_two and tier >= Tier.PLAIN) else guidance

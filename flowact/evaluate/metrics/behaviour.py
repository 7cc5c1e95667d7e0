"""Is the action that was asked for recognised: accuracy over stretches of behaviour, and by action."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from flowact.studio.performance import GESTURES


@dataclass(frozen=True)
class BehaviourScore:
    """Recognition of actions.

    Attributes:
        recognised: share of stretches whose asked-for action the probe names first.
        gestures: the same share among the stretches that ask for a gesture; None when there are none.
        states: the same share among those that ask for a state alone; None when there are none.
        by_action: (action, share recognised, stretches) of each.
        mistaken: (action, named instead, stretches), the most frequent first.
        stretches: how many.
    """

    recognised: float
    gestures: float | None
    states: float | None
    by_action: tuple[tuple[str, float, int], ...]
    mistaken: tuple[tuple[str, str, int], ...]
    stretches: int


def asked_action(state: str, gesture: str) -> str:
    """The action that a stretch of behaviour asks for: its gesture if it has one, else its state."""
    return gesture if gesture != "none" else state


def score_behaviour(asked: Sequence[str], named: Sequence[str]) -> BehaviourScore | None:
    """Compare the actions asked for with those named; None when there are none."""
    if not asked:
        return None
    right: dict[str, list[bool]] = defaultdict(list)
    for wanted, got in zip(asked, named, strict=True):
        right[wanted].append(wanted == got)
    rows = tuple((action, sum(hits) / len(hits), len(hits)) for action, hits in sorted(right.items()))
    mistakes = Counter((wanted, got) for wanted, got in zip(asked, named) if wanted != got)
    ranked = sorted(mistakes.items(), key=lambda item: (-item[1], item[0]))
    return BehaviourScore(
        recognised=sum(sum(hits) for hits in right.values()) / len(asked),
        gestures=_share([hit for action, hits in right.items() if action in GESTURES for hit in hits]),
        states=_share([hit for action, hits in right.items() if action not in GESTURES for hit in hits]),
        by_action=rows,
        mistaken=tuple((wanted, got, count) for (wanted, got), count in ranked),
        stretches=len(asked),
    )


def _share(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None

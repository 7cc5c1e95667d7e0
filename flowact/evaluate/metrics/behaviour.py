"""Is the action that was asked for recognised: accuracy over stretches of behaviour, and by action."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class BehaviourScore:
    """Recognition of actions.

    Attributes:
        recognised: share of stretches whose asked-for action the probe names first.
        by_action: (action, share recognised, stretches) of each.
        stretches: how many.
    """

    recognised: float
    by_action: tuple[tuple[str, float, int], ...]
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
    return BehaviourScore(sum(sum(hits) for hits in right.values()) / len(asked), rows, len(asked))

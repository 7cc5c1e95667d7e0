"""The engine's steps, as Prometheus sees them."""

from __future__ import annotations

from flowact.serve.metrics import Metrics
from flowact.stream.engine import Capacity
from flowact.stream.tiers import Tier


def test_steps_of_the_engine_are_counted_once() -> None:
    metrics = Metrics()
    for capacity in (
        Capacity(1, 1, 0.2, 0.4, Tier.SPARSE, tier_changes=1, threads=1, thread_changes=1),
        Capacity(1, 1, 0.2, 0.4, Tier.PLAIN, tier_changes=2, threads=1, thread_changes=1),
        Capacity(1, 1, 0.2, 0.4, Tier.PLAIN, tier_changes=2, threads=1, thread_changes=1),
    ):
        metrics.show_engine(capacity)
    lines = metrics.text().decode().splitlines()
    for line in (
        "flowact_tier 2.0",
        "flowact_tier_changes_total 2.0",
        "flowact_compute_threads 1.0",
        "flowact_compute_threads_changes_total 1.0",
    ):
        assert line in lines

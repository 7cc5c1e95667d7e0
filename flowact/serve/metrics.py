"""Numbers for Prometheus: how fast sessions start and stop, how close they come to running dry, what is refused."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from flowact.stream.engine import Capacity

_SHORT_S = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0)


class Metrics:
    """The figures of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.sessions = Gauge("flowact_sessions", "Sessions that are open.", registry=registry)
        self.refused = Counter("flowact_refused", "Sessions that were refused.", ["reason"], registry=registry)
        self.closed = Counter("flowact_closed", "Sessions that ended.", ["reason"], registry=registry)
        self.first_frame_s = Histogram(
            "flowact_first_frame_seconds",
            "From the request for a session to its first tick.",
            buckets=_SHORT_S,
            registry=registry,
        )
        self.stop_s = Histogram(
            "flowact_stop_seconds",
            "From an interruption to the first tick without speech.",
            buckets=_SHORT_S,
            registry=registry,
        )
        self.ticks = Counter("flowact_ticks", "Ticks that were shown.", registry=registry)
        self.held = Counter("flowact_held_ticks", "Ticks that repeated a frame: nothing was ready.", registry=registry)
        self.dropped = Counter("flowact_dropped_ticks", "Ticks that a slow connection did not take.", registry=registry)
        self.discarded = Counter(
            "flowact_discarded_chunks", "Chunks that an interruption or reaction made useless.", registry=registry
        )
        self.lead_s = Gauge("flowact_lead_seconds", "Shortest lead of all sessions over the clock.", registry=registry)
        self.chunk_s = Gauge(
            "flowact_chunk_seconds", "Time to make a chunk, worst session.", ["quantile"], registry=registry
        )
        self.rtf = Gauge(
            "flowact_real_time_factor", "Time to make a chunk over its length, worst session.", registry=registry
        )
        self.tier = Gauge(
            "flowact_tier", "What is left out: 0 nothing, 1 every second picture, 2 guidance too.", registry=registry
        )
        self.tier_changes = Counter("flowact_tier_changes", "Steps between tiers, down and up.", registry=registry)
        self.threads = Gauge("flowact_compute_threads", "Threads that compute together.", registry=registry)
        self.thread_changes = Counter(
            "flowact_compute_threads_changes", "Changes of the number of compute threads.", registry=registry
        )
        self._seen = (0, 0)
        self.renders = Counter("flowact_renders", "Films that were asked for.", ["result"], registry=registry)

    def show_engine(self, capacity: Capacity) -> None:
        """Bring the figures of the engine up to date."""
        self.tier.set(capacity.tier)
        self.threads.set(capacity.threads or 0)
        tiers, threads = self._seen
        self.tier_changes.inc(capacity.tier_changes - tiers)
        self.thread_changes.inc(capacity.thread_changes - threads)
        self._seen = (capacity.tier_changes, capacity.thread_changes)

    def text(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)

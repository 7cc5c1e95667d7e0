"""Live sessions in one engine, each paced and watched in real time, without sockets."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from bench.child import now_s
from bench.figures import Arrivals, deadlines, slope_per_hour, spread
from bench.machine import resident_mb
from bench.subject import facts_of, load_avatar, portrait_for, start_engine, voice_of
from bench.viewer import Viewer
from flowact.speed.runtime import Runtime
from flowact.stream.engine import EngineFullError, leave_cores_to_engine

SPEECH_S = 4.0
WARM_UP_S = 5.0
"""Between the first tick and the moment from which everything counts."""
MEMORY_WARM_UP_S = 180.0
_LOOK_S, _MEMORY_S = 0.02, 1.0
_MOST_LOOKS_AT_MEMORY = 600


def measure(
    model: str | None, runtime: str, seconds: float, sessions: int, is_beside_busy_core: bool
) -> dict[str, Any]:
    """What the viewers of `sessions` sessions get, for `seconds` after a warm-up.

    With `is_beside_busy_core` a process that only counts begins when the warm-up ends, and stays.
    """
    began_s = now_s()
    threads = leave_cores_to_engine()
    avatar, choice = load_avatar(model, runtime)
    engine = start_engine(avatar, threads)
    started_s = now_s()
    empty_mb = resident_mb()
    voice = voice_of(SPEECH_S)
    asked = {"sessions": sessions, "is_beside_busy_core": is_beside_busy_core, "seconds": seconds}
    viewers = []
    try:
        for seed in range(sessions):
            viewers.append(Viewer(engine.open(portrait_for(avatar), seed), voice, seed, seconds))
        figures = asyncio.run(_watch(viewers, seconds, is_beside_busy_core))
    except EngineFullError as refusal:
        figures = {"admitted": len(viewers), "refused": str(refusal)}
    finally:
        capacity = engine.capacity()
        engine.stop()
    facts = facts_of(avatar, choice)
    if avatar.runtime is Runtime.TORCH:
        facts["threads"] = threads
    places = {
        "slots": capacity.slots,
        "tier_changes": capacity.tier_changes,
        "thread_changes": capacity.thread_changes,
        "rss_without_sessions_mb": round(empty_mb, 1),
    }
    return {"model": facts, **asked, "engine_start_s": round(started_s - began_s, 3), **places, **figures}


async def _watch(viewers: list[Viewer], seconds: float, is_beside_busy_core: bool) -> dict[str, Any]:
    begin, opened_s = asyncio.Event(), time.monotonic()
    arrivals = [Arrivals() for _ in viewers]
    memory: list[tuple[float, float]] = []
    tiers: Counter[str] = Counter()

    async def look() -> None:
        while True:
            now = time.monotonic()
            for viewer, seen in zip(viewers, arrivals):
                stats = viewer.session.snapshot_stats()
                seen.look(now, stats.frames + stats.lead_ticks, stats.epoch)
                tiers[stats.tier.name.lower()] += 1
            if not memory or now - memory[-1][0] >= max(_MEMORY_S, seconds / _MOST_LOOKS_AT_MEMORY):
                memory.append((now, resident_mb()))
            await asyncio.sleep(_LOOK_S)

    async with asyncio.TaskGroup() as group:
        for viewer in viewers:
            group.create_task(viewer.watch(seconds, begin))
        while None in (first_s := [viewer.released.first_s for viewer in viewers]):
            await asyncio.sleep(_LOOK_S)
        await asyncio.sleep(WARM_UP_S)
        with _busy_core() if is_beside_busy_core else contextlib.nullcontext():
            looking = asyncio.create_task(look())
            from_s, used = time.monotonic(), _computed_s()
            begin.set()
            await asyncio.sleep(seconds)
            until_s, used = time.monotonic(), _computed_s() - used
            stats = [viewer.session.snapshot_stats() for viewer in viewers]
            looking.cancel()
    return {
        "first_tick_s": spread([at_s - opened_s for at_s in first_s if at_s is not None]),
        **_deadline_figures(viewers, from_s, until_s),
        "chunk_gap_s": spread([gap for seen in arrivals for gap in seen.gaps_s]),
        "chunk_cost_p50_ms": round(max(each.chunk_p50_ms for each in stats), 1),
        "chunk_cost_p99_ms": round(max(each.chunk_p99_ms for each in stats), 1),
        "time_in_tier": {name: round(count / tiers.total(), 4) for name, count in tiers.items()},
        "trials": sum(viewer.trials for viewer in viewers),
        **{f"{name}_s": spread([t for viewer in viewers for t in viewer.times[name]]) for name in viewers[0].times},
        "cores_used": round(used / (until_s - from_s), 2),
        **_memory_figures(memory, seconds),
    }


def _deadline_figures(viewers: list[Viewer], from_s: float, until_s: float) -> dict[str, Any]:
    """Of all viewers together, while everything counts; the share that the worst of them saw in time is given too."""
    seen = [deadlines(*viewer.released.between(from_s, until_s)) for viewer in viewers]
    due, missed = sum(each.due for each in seen), sum(each.missed for each in seen)
    return {
        "ticks_due": due,
        "ticks_missed": missed,
        "ticks_held": sum(each.held for each in seen),
        "deadlines_met": round(1 - missed / max(1, due), 6),
        "deadlines_met_by_worst": round(min(each.met for each in seen), 6),
        "freezes": sum(each.freezes for each in seen),
        "longest_freeze_s": max(each.longest_freeze_s for each in seen),
    }


def _memory_figures(memory: list[tuple[float, float]], seconds: float) -> dict[str, Any]:
    """Resident memory while everything counts; the slope leaves out the first three minutes, or 30 % of less."""
    warm_s = min(MEMORY_WARM_UP_S, 0.3 * seconds)
    steady = [(at_s, mb) for at_s, mb in memory if at_s - memory[0][0] >= warm_s]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "rss_mb": round(memory[-1][1], 1),
        "peak_rss_mb": round(peak_mb, 1),
        "rss_slope_mb_per_hour": slope_per_hour([at_s for at_s, _ in steady], [mb for _, mb in steady]),
    }


def _computed_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@contextlib.contextmanager
def _busy_core() -> Iterator[None]:
    """Somebody else's program that never rests."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()

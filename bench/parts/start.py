"""From a process that begins to a first picture; imports nothing heavy before its clock runs."""

from __future__ import annotations

import time
from typing import Any

from bench.child import now_s


def measure(mode: str, model: str | None, runtime: str, spawned_s: float) -> dict[str, Any]:
    """Seconds of each step, and their sum `total`.

    Args:
        mode: "film" (`Avatar.stream`) or "live" (`Engine`, one session, its first tick).
        model: folder; None for the shipped one.
        runtime: as `--runtime`.
        spawned_s: when the parent started this process.
    """
    marks = [("python", now_s())]
    from bench.subject import load_avatar, portrait_for, start_engine, voice_of
    from flowact.stream.engine import leave_cores_to_engine

    marks.append(("import", now_s()))
    threads = leave_cores_to_engine() if mode == "live" else 0
    avatar, _ = load_avatar(model, runtime)
    marks.append(("load", now_s()))
    if mode == "film":
        next(avatar.stream(portrait_for(avatar), voice_of(3.0)))
        marks.append(("first_frame", now_s()))
    else:
        engine = start_engine(avatar, threads)
        marks.append(("engine", now_s()))
        session = engine.open(portrait_for(avatar))
        while not session.is_started:
            if session.closed_reason is not None:
                raise RuntimeError(f"The session ended before its first tick: {session.closed_reason}.")
            time.sleep(0.002)
        marks.append(("first_frame", now_s()))
        engine.stop()
    times, before_s = {}, spawned_s
    for name, at_s in marks:
        times[name] = round(at_s - before_s, 4)
        before_s = at_s
    return {**times, "total": round(marks[-1][1] - spawned_s, 4)}

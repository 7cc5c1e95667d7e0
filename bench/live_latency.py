"""How soon a living person reacts: python -m bench.live_latency [--model DIR] [--seconds 60] [--out FILE.json].

One session in the engine, paced in real time like for a viewer, without sockets. Every few seconds it is given speech,
or is interrupted in the middle of it. All times are from the call to the tick being released by the pacer.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from bench.end_to_end import _cpu
from flowact.core.clock import SAMPLE_RATE_HZ
from flowact.core.types import Tick
from flowact.media.audio import load_audio
from flowact.media.portrait import load_portrait
from flowact.stream.avatar import Avatar
from flowact.stream.engine import Engine, leave_cores_to_engine
from flowact.stream.live import LiveSession
from flowact.stream.pacer import Pacer, Subscription

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
RESULTS = Path(__file__).resolve().parent / "results"
PATIENCE_S = 60.0
SPEECH_S = 4.0
REST_S = (0.8, 1.6)


class Viewer:
    """Somebody who watches one session and notes when what is released."""

    def __init__(self, session: LiveSession, voice: NDArray[np.float32]) -> None:
        self.session, self.voice = session, voice
        self.times: dict[str, list[float]] = {
            name: [] for name in ("say_to_speech", "interrupt_to_silence", "interrupt_to_rest", "session_to_first_tick")
        }
        self.trials = 0

    async def watch(self, seconds: float, opened_s: float) -> None:
        """Trials until the time is over: rest, speak, be interrupted at a random moment."""
        pacer = Pacer(self.session)
        ticks = pacer.subscribe(maxlen=1000)
        task = asyncio.create_task(pacer.run())
        await ticks.get()
        self._note("session_to_first_tick", opened_s)
        chance = np.random.default_rng(0)
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s and self.session.closed_reason is None:
            await self._trial(ticks, float(chance.uniform(*REST_S)), float(chance.uniform(0.5, 2.0)))
            self.trials += 1
        self.session.close("measured")
        await task

    async def _trial(self, ticks: Subscription, rest_s: float, speak_s: float) -> None:
        await self._until(ticks, lambda tick, since_s: since_s >= rest_s)
        segment, begin_s = f"speech-{self.trials}", time.monotonic()
        self.session.say(self.voice, SAMPLE_RATE_HZ, segment)
        self.session.end_segment(segment)
        # Sound and lips are one tick, made of one chunk: the first tick that sounds is the first that moves the lips.
        await self._until(ticks, lambda tick, _: tick.segment == segment)
        self._note("say_to_speech", begin_s)
        await self._until(ticks, lambda tick, since_s: since_s >= speak_s)
        before, begin_s = self.session.snapshot_stats().reactions_s, time.monotonic()
        epoch = self.session.interrupt().epoch
        await self._until(ticks, lambda tick, _: tick.epoch >= epoch and not tick.sound.any())
        self._note("interrupt_to_silence", begin_s)
        await self._until(ticks, lambda *_: self.session.snapshot_stats().reactions_s != before)
        self.times["interrupt_to_rest"].append(self.session.snapshot_stats().reactions_s[-1])

    async def _until(self, ticks: Subscription, wanted: Callable[[Tick, float], bool]) -> Tick:
        begin_s = time.monotonic()
        while time.monotonic() - begin_s < PATIENCE_S:
            tick = await ticks.get()
            if tick is None:
                raise RuntimeError(f"The session ended: {self.session.closed_reason}.")
            if wanted(tick, time.monotonic() - begin_s):
                return tick
        raise TimeoutError(f"What was waited for did not come within {PATIENCE_S:.0f} s.")

    def _note(self, name: str, begin_s: float) -> None:
        self.times[name].append(time.monotonic() - begin_s)


def main(
    model: Annotated[Path | None, typer.Option(help="model folder; the shipped one by default")] = None,
    seconds: Annotated[float, typer.Option(help="length of the measurement")] = 60.0,
    out: Annotated[Path, typer.Option(help="where to write the row")] = RESULTS / "live_latency.json",
) -> None:
    """Talk to one session and interrupt it, again and again."""
    threads = leave_cores_to_engine()
    avatar = Avatar.from_pretrained(model)
    portrait = load_portrait(SAMPLES / "portrait.png", avatar.config.size).pixels
    voice = load_audio(SAMPLES / "voice.wav")[: round(SPEECH_S * SAMPLE_RATE_HZ)]
    engine = Engine(avatar, threads=threads)
    begin_s = time.monotonic()
    engine.start()
    started_s = time.monotonic()
    session = engine.open(portrait)
    viewer = Viewer(session, voice)
    asyncio.run(viewer.watch(seconds, started_s))
    stats, capacity = session.snapshot_stats(), engine.capacity()
    engine.stop()
    row = {
        "model": avatar.config.name,
        "machine": {"cpu": _cpu(), "threads": threads, "torch": torch.__version__},
        "seconds": seconds,
        "trials": viewer.trials,
        "engine_start_s": round(started_s - begin_s, 3),
        **{f"{name}_s": _summary(times) for name, times in viewer.times.items()},
        "ticks": stats.frames,
        "held_ticks": stats.held_ticks,
        "chunk_p50_ms": round(stats.chunk_p50_ms, 1),
        "chunk_p99_ms": round(stats.chunk_p99_ms, 1),
        "slots": capacity.slots,
    }
    text = json.dumps(row, indent=2)
    print(text)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n")


def _summary(times: list[float]) -> dict[str, float]:
    if not times:
        return {"count": 0}
    p50, p95 = np.quantile(times, (0.5, 0.95))
    return {"count": len(times), "p50": round(float(p50), 3), "p95": round(float(p95), 3)}


if __name__ == "__main__":
    typer.run(main)

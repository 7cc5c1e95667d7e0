"""Whether a server stays as it is for hours: python -m bench.soak [--minutes 30] [--sessions 1] [--model DIR].

A real server process with a model, and clients that treat it as people do: they let the person speak, interrupt it,
change its behaviour, drop the connection and come back, and open another session every few minutes. Memory, threads
and what every session reports are noted meanwhile. One JSON row is added to bench/results/soak.jsonl.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import httpx
import numpy as np
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from bench.figures import slope_per_hour
from bench.machine import cpu_line, describe, resident_mb
from bench.rows import add_row

RESULTS = Path(__file__).resolve().parent / "results" / "soak.jsonl"
SAMPLE_EVERY_S = 10.0
WARM_UP_S = 180.0
START_S, END_S = 600.0, 60.0
RECONNECT_S, RENEW_S = (45.0, 120.0), (180.0, 300.0)
SENTENCES = (
    "Hello there. It is good to see you again.",
    "I can talk for quite a while if nobody stops me, and I like to explain things slowly, one after the other.",
    "Yes.",
    "Maybe. First, there is the weather; second, there is the time of day; and finally, there is the question itself!",
)
WISHES: tuple[dict[str, str], ...] = (
    {"type": "behaviour.set", "gesture": "wave"},
    {"type": "behaviour.set", "state": "listen"},
    {"type": "behaviour.set", "prompt": "a person laughs"},
    {"type": "behaviour.clear"},
)


class ServerProcess:
    """`flowact serve` in a process of its own, and what the system knows about it."""

    def __init__(self, model: Path | None, sessions: int, log: TextIO) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        words = ["serve", "--port", self.url.rpartition(":")[2], "--max-sessions", str(sessions)]
        words += [] if model is None else ["--model", str(model)]
        code = "from flowact.cli import main; main()"
        # Of a session of its own, so that Ctrl-C ends the visitors first.
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *words], stdout=log, stderr=log, start_new_session=True
        )

    async def ready(self, client: httpx.AsyncClient) -> None:
        """Wait until it takes sessions.

        Raises:
            RuntimeError: it ended, or takes too long.
        """
        end_s = time.monotonic() + START_S
        while time.monotonic() < end_s and self._process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.5)
        raise RuntimeError(f"The server did not become ready in {START_S:.0f} s (exit code {self._process.poll()}).")

    def status(self) -> tuple[float, int]:
        """Resident memory in MB, and threads."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        return resident_mb(self._process.pid), int(facts["Threads"])

    def open_files(self) -> int:
        """File descriptors, sockets included."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    def stop(self) -> int:
        """End it as Ctrl-C in a service manager does; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


@dataclass
class Notes:
    """What all clients saw.

    Attributes:
        counts: of sessions, connections, speeches, interruptions, pictures, errors by code, and so on.
        chunks: (seconds since the start, median cost of a chunk in ms), about once a second.
        held, frames: of sessions that are over.
        reactions_ms: from interruptions and speeches to the first tick that shows them.
    """

    counts: Counter[str] = field(default_factory=Counter)
    chunks: list[tuple[float, float]] = field(default_factory=list)
    held: int = 0
    frames: int = 0
    reactions_ms: list[float] = field(default_factory=list)


class Visitor:
    """One person after another at the same place in the queue."""

    def __init__(self, client: httpx.AsyncClient, url: str, seed: int, notes: Notes, begin_s: float) -> None:
        self._client, self._url, self._notes, self._begin_s = client, url.replace("http", "ws", 1), notes, begin_s
        self._random = random.Random(seed)
        self._latest: dict[str, Any] = {}

    async def visit(self, end_s: float) -> None:
        """Sessions, one after the other, until the clock says `end_s`."""
        portraits = (await self._client.get("/v1/portraits")).json()
        while time.monotonic() < end_s:
            wish = {"portrait": self._random.choice(portraits)["id"], "seed": self._random.randrange(1000)}
            try:
                answer = await self._client.post("/v1/sessions", json=wish)
                answer.raise_for_status()
                await self._live(answer.json(), min(end_s, time.monotonic() + self._random.uniform(*RENEW_S)))
            except httpx.HTTPError as error:
                status = (
                    error.response.status_code if isinstance(error, httpx.HTTPStatusError) else type(error).__name__
                )
                self._notes.counts[f"refused_{status}"] += 1
                await asyncio.sleep(1.0)

    async def _live(self, granted: dict[str, Any], end_s: float) -> None:
        self._notes.counts["sessions"] += 1
        self._latest = {}
        path = f"/v1/sessions/{granted['id']}"
        while time.monotonic() < end_s:
            until_s = min(end_s, time.monotonic() + self._random.uniform(*RECONNECT_S))
            self._notes.counts["connections"] += 1
            try:
                async with connect(f"{self._url}{path}/events?token={granted['token']}", proxy=None) as events:
                    await self._connected(events, until_s)
                    if self._random.random() < 0.5:
                        events.transport.abort()  # some leave without a word
            except (ConnectionClosed, InvalidHandshake, OSError):
                self._notes.counts["connections_lost"] += 1
                break
        answer = await self._client.delete(path, headers={"Authorization": f"Bearer {granted['token']}"})
        self._notes.counts["deleted"] += answer.status_code == 204
        self._notes.held += self._latest.get("held_ticks", 0)
        self._notes.frames += self._latest.get("frames", 0)

    async def _connected(self, events: ClientConnection, until_s: float) -> None:
        watching = asyncio.create_task(self._watch(events))
        try:
            await events.send('{"type": "output.subscribe", "video": true, "audio": true}')
            while time.monotonic() < until_s and not watching.done():
                await self._act(events)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _act(self, events: ClientConnection) -> None:
        """Let the person speak, and mostly do not let it finish."""
        await events.send(json.dumps({"type": "speech.say", "text": self._random.choice(SENTENCES)}))
        self._notes.counts["speeches"] += 1
        await asyncio.sleep(self._random.uniform(0.5, 4.0))
        if self._random.random() < 0.7:
            await events.send('{"type": "response.cancel"}')
            self._notes.counts["interruptions"] += 1
        if self._random.random() < 0.5:
            await events.send(json.dumps(self._random.choice(WISHES)))
            self._notes.counts["wishes"] += 1
        await asyncio.sleep(self._random.uniform(0.5, 3.0))

    async def _watch(self, events: ClientConnection) -> None:
        async for message in events:
            if isinstance(message, bytes):
                self._notes.counts["pictures" if message[0] == 1 else "sounds"] += 1
                continue
            event = json.loads(message)
            if event["type"] == "stats":
                self._report(event["stats"])
            elif event["type"] == "error":
                self._notes.counts[f"error_{event['code']}"] += 1
            elif event["type"] == "session.closed":
                self._notes.counts["closed_by_server"] += 1

    def _report(self, stats: dict[str, Any]) -> None:
        if stats["last_reaction_ms"] is not None and stats["epoch"] != self._latest.get("epoch"):
            self._notes.reactions_ms.append(stats["last_reaction_ms"])
        self._latest = stats
        self._notes.chunks.append((time.monotonic() - self._begin_s, stats["chunk_ms_p50"]))


@contextlib.asynccontextmanager
async def progress_of(seconds: float, server: ServerProcess, notes: Notes) -> AsyncIterator[list[tuple[float, float]]]:
    """Samples (seconds, MB) of the server's memory while the block runs, shown as they come."""
    samples: list[tuple[float, float]] = []
    columns = (
        TextColumn("soak"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}"),
    )

    async def sample() -> None:
        begin_s = time.monotonic()
        with Progress(*columns) as bar:
            task = bar.add_task("soak", total=seconds, now="")
            while True:
                rss_mb, threads = server.status()
                samples.append((time.monotonic() - begin_s, rss_mb))
                chunk = f"{notes.chunks[-1][1]:.0f} ms" if notes.chunks else "-"
                now = (
                    f"{rss_mb:.0f} MB, {threads} threads, chunk {chunk}, {notes.counts['interruptions']} interruptions"
                )
                bar.update(task, completed=min(seconds, samples[-1][0]), now=now)
                await asyncio.sleep(min(SAMPLE_EVERY_S, seconds / 20))

    sampling = asyncio.create_task(sample())
    try:
        yield samples
    finally:
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)


async def soak(server: ServerProcess, seconds: float, sessions: int) -> dict[str, Any]:
    """Visit for so long; the figures."""
    notes = Notes()
    async with httpx.AsyncClient(base_url=server.url, timeout=60.0) as client:
        await server.ready(client)
        before = (*server.status(), server.open_files())
        begin_s = time.monotonic()
        async with progress_of(seconds, server, notes) as samples, asyncio.TaskGroup() as group:
            for seed in range(sessions):
                group.create_task(Visitor(client, server.url, seed, notes, begin_s).visit(begin_s + seconds))
        await asyncio.sleep(3.0)
        left = (await client.get("/v1/info")).json()["capacity"]
    after = (*server.status(), server.open_files())
    warm_s = min(WARM_UP_S, 0.3 * seconds)
    steady = np.array([sample for sample in samples if sample[0] >= warm_s])
    thirds = [[ms for at_s, ms in notes.chunks if low <= 3 * at_s / seconds < low + 1] for low in (0, 2)]
    return {
        "seconds": round(seconds, 1),
        "sessions_at_once": sessions,
        "rss_at_start_mb": round(before[0], 1),
        "rss_after_warm_up_mb": round(float(steady[0, 1]), 1),
        "rss_at_end_mb": round(after[0], 1),
        "rss_most_mb": round(float(steady[:, 1].max()), 1),
        "warm_up_s": round(warm_s, 1),
        "rss_slope_mb_per_hour": slope_per_hour(steady[:, 0].tolist(), steady[:, 1].tolist()),
        "ticks": notes.frames,
        "held_ticks": notes.held,
        "deadlines_met": round(1 - notes.held / max(1, notes.frames), 6),
        "chunk_ms_first_third": _median(thirds[0]),
        "chunk_ms_last_third": _median(thirds[1]),
        "reaction_ms_p50": _median(notes.reactions_ms),
        "threads_before_and_after": [before[1], after[1]],
        "open_files_before_and_after": [before[2], after[2]],
        "open_sessions_at_end": left["sessions"],
        "counts": dict(sorted(notes.counts.items())),
    }


def main(
    minutes: Annotated[float, typer.Option(help="length of the soak", min=0.5)] = 30.0,
    sessions: Annotated[int, typer.Option(help="visitors at once", min=1)] = 1,
    model: Annotated[Path | None, typer.Option(help="model folder; the shipped one by default")] = None,
    out: Annotated[Path, typer.Option(help="the row is added here")] = RESULTS,
) -> None:
    """Visit a server for a while and report what has changed."""
    path = Path(tempfile.mkdtemp(prefix="flowact-soak-")) / "server.log"
    with path.open("w") as log:
        server = ServerProcess(model, sessions, log)
        try:
            figures = asyncio.run(soak(server, 60 * minutes, sessions))
        finally:
            told_s = time.monotonic()
            code = server.stop()
            stopped_s = time.monotonic() - told_s
    said = path.read_text()
    machine = {"cpu": cpu_line(describe()), "model": str(model or "shipped")}
    trouble = {
        "exit_code": code,
        "stopped_in_s": round(stopped_s, 1),
        "log_errors": said.count(" ERROR "),
        "log_warnings": said.count(" WARNING "),
    }
    row = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, **figures, **trouble}
    print(json.dumps(row, indent=2))
    print(f"log of the server: {path}")
    add_row(row, out)


def _median(values: list[float]) -> float | None:
    return round(float(np.median(values)), 1) if values else None


if __name__ == "__main__":
    typer.run(main)

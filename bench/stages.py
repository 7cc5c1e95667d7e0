"""Where the time of a shift goes, seen from outside: a session is driven step by step, its backbone is watched."""

from __future__ import annotations

import copy
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.figures import spread
from flowact.core.clock import FRAMES_PER_CHUNK, SAMPLES_PER_CHUNK
from flowact.core.types import Frames
from flowact.media.provenance import Provenance, VisibleMark
from flowact.media.video import VideoWriter
from flowact.stream.avatar import Avatar

WARM_UP_CHUNKS = 10
"""Chunks before the figures count: lazily made kernels, caches and memory are in place by then."""
PROMPTS = ("a person talks to the camera", "a person shows open palms")
"""In turn, as many chunks of each as the warm-up takes: hands cost more than faces."""
STAGES = ("hear", "condition", "remember", "passes", "rest", "decode", "encode")

Times = dict[str, float]


class Watch:
    """Adds up the seconds of each stage of one chunk."""

    def __init__(self) -> None:
        self.times: Times = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as part of a stage."""
        begin_s = time.perf_counter()
        try:
            yield
        finally:
            self.times[name] += time.perf_counter() - begin_s

    def read(self) -> Times:
        """The times since the last reading."""
        times, self.times = self.times, defaultdict(float)
        return times


class WatchedBackbone:
    """Answers as the backbone it holds, and times its two doors."""

    def __init__(self, backbone: Any, watch: Watch) -> None:
        self._backbone, self._watch = backbone, watch

    def __call__(self, frames: Frames, remembered: object, guidance: Tensor | None) -> Tensor:
        """One evaluation."""
        with self._watch.stage("passes"):
            out: Tensor = self._backbone(frames, remembered, guidance)
        return out

    def remember(self, memory: Frames) -> object:
        """Keys and values of the memory."""
        with self._watch.stage("remember"):
            return self._backbone.remember(memory)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)


def time_stages(
    avatar: Avatar, portrait: NDArray[np.uint8], voice: NDArray[np.float32], film: Path | None
) -> list[Times]:
    """Make the whole voice into pictures, one chunk after the other; seconds of each stage and in total, per chunk.

    Stages: `hear` (voice features), `condition` (text tokens, and what else steers a chunk), `remember` (keys and
    values of the memory), `passes` (evaluations of the backbone), `rest` (solver, noise, memory), `decode` (pixels as
    uint8), `encode` (mark, colour conversion, H.264, AAC; only with a `film` to write).
    """
    watch = Watch()
    watched = copy.copy(avatar)
    watched.backbone = WatchedBackbone(avatar.backbone, watch)
    session = watched.open(portrait)
    size = avatar.config.size
    chunks: list[Times] = []

    def run(show: Callable[[NDArray[np.uint8], NDArray[np.float32]], None]) -> None:
        for start in range(0, len(voice) - SAMPLES_PER_CHUNK + 1, SAMPLES_PER_CHUNK):
            block = voice[start : start + SAMPLES_PER_CHUNK]
            begin_s = time.perf_counter()
            with watch.stage("hear"):
                session.hear(block)
            if not session.ready:
                continue
            with watch.stage("condition"):
                conditions = session.condition(PROMPTS[len(chunks) // WARM_UP_CHUNKS % len(PROMPTS)])
            with watch.stage("generate"):
                done = session.generate(conditions)
            if done is None:
                continue
            with watch.stage("decode"):
                frames = session.decode(done)
            if film is not None:
                with watch.stage("encode"):
                    show(frames, block)
            times = watch.read()
            generate_s = times.pop("generate")
            times["rest"] = generate_s - times["remember"] - times["passes"]
            times["total"] = time.perf_counter() - begin_s
            chunks.append(times)

    if film is None:
        run(lambda frames, block: None)
    else:
        badge = VisibleMark(size, size)
        with VideoWriter(film, size, size, Provenance.now(avatar.config.name, 0, "bench")) as writer:
            run(lambda frames, block: writer.write(badge.draw(frames), block))
    return chunks


def summarise(chunks: list[Times]) -> dict[str, Any]:
    """Quantiles per stage of the chunks after the warm-up, the warm-up itself, and frames a second."""
    warm, steady = chunks[:WARM_UP_CHUNKS], chunks[WARM_UP_CHUNKS:]
    if not steady:
        raise ValueError(f"{len(chunks)} chunks were made and {WARM_UP_CHUNKS} are warm-up; measure more seconds")
    names = [name for name in (*STAGES, "total") if any(name in chunk for chunk in steady)]
    total_s = float(np.mean([chunk["total"] for chunk in steady]))
    unwritten_s = float(np.mean([chunk["total"] - chunk.get("encode", 0.0) for chunk in steady]))
    return {
        "warm_up_s": [round(chunk["total"], 4) for chunk in warm],
        "stages_s": {name: spread([chunk.get(name, 0.0) for chunk in steady]) for name in names},
        "fps": round(FRAMES_PER_CHUNK / total_s, 2),
        "fps_without_encoding": round(FRAMES_PER_CHUNK / unwritten_s, 2),
    }

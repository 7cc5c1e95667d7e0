"""Records a session from its ticks, before any network or encoder: what was shown is what is in the film."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from flowact.core.clock import FPS, SAMPLES_PER_FRAME
from flowact.core.errors import FlowActError
from flowact.core.types import Tick
from flowact.media.provenance import Provenance, VisibleMark
from flowact.media.video import VideoWriter

MOST_WAITING = 10 * FPS
"""Ticks the disk may fall behind before the recording ends."""


class Recording:
    """One film of one session, in a temporary folder of its own that `discard` removes.

    Args:
        size: side of the pictures in pixels.
        provenance: what the film says about itself.
        longest_s: the recording ends by itself after this.
    """

    def __init__(self, size: int, provenance: Provenance, longest_s: float) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="flowact-recording-")
        self.path = Path(self._folder.name) / "recording.mp4"
        self._size, self._provenance, self._most = size, provenance, round(longest_s * FPS)
        self._waiting: SimpleQueue[Tick | None] = SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="flowact-recording", daemon=True)
        self._pump: asyncio.Task[None] | None = None
        self.trouble: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether ticks are still taken in."""
        return self._pump is not None and not self._pump.done()

    def start(self, ticks: AsyncGenerator[Tick, None]) -> None:
        """Take in ticks from now on."""
        self._writer.start()
        self._pump = asyncio.create_task(self._take_in(ticks))

    async def stop(self) -> None:
        """Finish the film; afterwards `path` is whole, or `trouble` says why not."""
        if self._pump is None:
            return
        self._pump.cancel()
        await asyncio.wait({self._pump})
        await asyncio.to_thread(self._writer.join)

    async def discard(self) -> None:
        """Stop, and remove the film."""
        await self.stop()
        await asyncio.to_thread(self._folder.cleanup)

    async def _take_in(self, ticks: AsyncGenerator[Tick, None]) -> None:
        taken = 0
        try:
            async with contextlib.aclosing(ticks):
                async for tick in ticks:
                    self._waiting.put(tick)
                    taken += 1
                    if taken >= self._most:
                        return
                    if self._waiting.qsize() > MOST_WAITING:
                        self.trouble = "the disk is too slow: the recording ended early"
                        return
        finally:
            self._waiting.put(None)

    def _write(self) -> None:
        """The writer's thread: encode ticks until there are no more, then close and sign the film."""
        mark = VisibleMark(self._size, self._size)
        try:
            ticks = _without_gaps(iter(self._waiting.get, None))
            first = next(ticks, None)
            if first is None:
                self.trouble = "nothing was shown while the recording ran"
                return
            with VideoWriter(self.path, self._size, self._size, self._provenance) as writer:
                writer.write(mark.draw(first.frame[None]), first.sound)
                for tick in ticks:
                    writer.write(mark.draw(tick.frame[None]), tick.sound)
        except FlowActError as error:
            self.trouble = str(error)
        finally:
            # Whatever comes after a failure is not kept.
            with contextlib.suppress(Exception):
                while self._waiting.get_nowait() is not None:
                    pass


def _without_gaps(ticks: Iterator[Tick | None]) -> Iterator[Tick]:
    """The ticks, and silent repeats of the last one for ticks that were missed in between, so that time stays true."""
    last: Tick | None = None
    silence = np.zeros(SAMPLES_PER_FRAME, np.float32)
    for tick in ticks:
        assert tick is not None
        if last is not None:
            for index in range(last.index + 1, tick.index):
                yield replace(last, index=index, sound=silence, segment=None, ends_segment=False, is_held=True)
        last = tick
        yield tick

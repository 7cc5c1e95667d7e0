"""The two WebRTC tracks of a session. Both are fed from one subscription, so picture and sound cannot drift apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from fractions import Fraction

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, AudioResampler, VideoFrame
from numpy.typing import NDArray

from flowact.core.clock import SAMPLE_RATE_HZ, TICK_MS
from flowact.core.types import Tick

AUDIO_RATE_HZ = 48_000
VIDEO_CLOCK_HZ = 90_000
SAMPLES_PER_TICK = AUDIO_RATE_HZ * TICK_MS // 1000
SAMPLES_PER_HALF = SAMPLES_PER_TICK // 2
PTS_PER_TICK = VIDEO_CLOCK_HZ * TICK_MS // 1000
RESAMPLER_LEAD = 48
"""Samples of silence ahead of the sound: the resampler keeps so many back, and the sound is that much late."""
MOST_WAITING = 12
"""Ticks that a slow sender may fall behind before both tracks skip to now."""


class ToOutputRate:
    """Streams 640 samples at 16 kHz into 1920 at 48 kHz, always in full, 1 ms later."""

    def __init__(self) -> None:
        self._resampler = AudioResampler("flt", "mono", AUDIO_RATE_HZ)
        self._rest = np.zeros(RESAMPLER_LEAD, np.float32)

    def tick(self, sound: NDArray[np.float32]) -> NDArray[np.int16]:
        """The next tick of sound, [640] float32 -> [1920] int16."""
        block = AudioFrame.from_ndarray(np.ascontiguousarray(sound[None]), format="flt", layout="mono")
        block.sample_rate = SAMPLE_RATE_HZ
        joined = np.concatenate((self._rest, *(part.to_ndarray()[0] for part in self._resampler.resample(block))))
        now, self._rest = joined[:SAMPLES_PER_TICK], joined[SAMPLES_PER_TICK:]
        return (np.clip(now, -1, 1) * 32767).astype(np.int16)


class VideoTrack(MediaStreamTrack):
    """The pictures of a session at 25 fps; pts is the tick."""

    kind = "video"

    def __init__(self, ready: Callable[[], None]) -> None:
        super().__init__()
        self.queue: asyncio.Queue[Tick] = asyncio.Queue(MOST_WAITING)
        self._ready = ready

    async def recv(self) -> VideoFrame:
        """The next picture, when its tick is released."""
        if self.readyState != "live":
            raise MediaStreamError
        self._ready()
        tick = await self.queue.get()
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(tick.frame), format="rgb24")
        frame.pts, frame.time_base = tick.index * PTS_PER_TICK, Fraction(1, VIDEO_CLOCK_HZ)
        return frame


class AudioTrack(MediaStreamTrack):
    """The voice of a session, two blocks of 20 ms a tick, mono 48 kHz."""

    kind = "audio"

    def __init__(self, ready: Callable[[], None]) -> None:
        super().__init__()
        self.queue: asyncio.Queue[tuple[int, NDArray[np.int16]]] = asyncio.Queue(MOST_WAITING)
        self._ready = ready
        self._second: tuple[int, NDArray[np.int16], float] | None = None

    async def recv(self) -> AudioFrame:
        """The next 20 ms.

        The second half of a tick leaves 20 ms after the first: receivers align the tracks by when packets were sent.
        """
        if self.readyState != "live":
            raise MediaStreamError
        self._ready()
        if self._second is not None:
            (index, samples, due), self._second = self._second, None
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()) if self.queue.empty() else 0.0)
            return _block(samples, index * SAMPLES_PER_TICK + SAMPLES_PER_HALF)
        index, samples = await self.queue.get()
        due = asyncio.get_running_loop().time() + TICK_MS / 2000
        self._second = (index, samples[SAMPLES_PER_HALF:], due)
        return _block(samples[:SAMPLES_PER_HALF], index * SAMPLES_PER_TICK)


def _block(samples: NDArray[np.int16], pts: int) -> AudioFrame:
    block = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    block.sample_rate = AUDIO_RATE_HZ
    block.pts, block.time_base = pts, Fraction(1, AUDIO_RATE_HZ)
    return block


class TrackPair:
    """One video and one audio track fed by the same ticks, both or neither.

    Nothing is queued before the sender has asked both tracks for their first packet, so that they start together.

    Args:
        dropped: told how many ticks were skipped because the sender fell behind.
    """

    def __init__(self, dropped: Callable[[int], None]) -> None:
        self._asked: set[str] = set()
        self._dropped = dropped
        self.video = VideoTrack(lambda: self._asked.add("video"))
        self.audio = AudioTrack(lambda: self._asked.add("audio"))

    async def feed(self, ticks: AsyncGenerator[Tick, None]) -> None:
        """Pass ticks on as they are released, until they end or both tracks are stopped."""
        resampler = ToOutputRate()
        async with aclosing(ticks):
            async for tick in ticks:
                if self.video.readyState != "live" and self.audio.readyState != "live":
                    return
                sound = resampler.tick(tick.sound)
                if len(self._asked) == 2:
                    self._pass(tick, sound)

    def _pass(self, tick: Tick, sound: NDArray[np.int16]) -> None:
        if self.video.queue.full() or self.audio.queue.full():
            skipped = max(self.video.queue.qsize(), self.audio.queue.qsize())
            for queue in (self.video.queue, self.audio.queue):
                while not queue.empty():
                    queue.get_nowait()
            self._dropped(skipped)
        self.video.queue.put_nowait(tick)
        self.audio.queue.put_nowait((tick.index, sound))

    def stop(self) -> None:
        """End both tracks."""
        self.video.stop()
        self.audio.stop()

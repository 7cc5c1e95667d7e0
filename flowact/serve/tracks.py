"""The two WebRTC tracks of a session. Both are fed from one subscription, so picture and sound cannot drift apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from fractions import Fraction

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioCodecContext, AudioFrame, AudioResampler, CodecContext, Packet, VideoFrame
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
_BITS_PER_S = 64_000
_FALL = np.zeros(SAMPLES_PER_HALF, np.float32)
_FALL[: AUDIO_RATE_HZ // 200] = np.linspace(1, 0, AUDIO_RATE_HZ // 200)
"""To silence within 5 ms, without a click."""
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


class ToPackets:
    """Encodes mono sound at 48 kHz with Opus, one packet for each 20 ms.

    It is done in the event loop, since it takes 0.1 ms: to wait for a thread of a busy machine takes far longer, and
    receivers answer late packets with more delay for all of them.
    """

    def __init__(self) -> None:
        codec = CodecContext.create("libopus", "w")
        assert isinstance(codec, AudioCodecContext)
        codec.format, codec.layout, codec.sample_rate = "s16", "mono", AUDIO_RATE_HZ
        codec.bit_rate, codec.options = _BITS_PER_S, {"application": "lowdelay"}
        self._codec = codec

    def encode(self, samples: NDArray[np.int16], pts: int) -> Packet:
        """The packet of [960] int16; `pts` counts samples."""
        block = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        block.sample_rate = AUDIO_RATE_HZ
        (packet,) = self._codec.encode(block)
        packet.pts, packet.time_base = pts, Fraction(1, AUDIO_RATE_HZ)
        return packet


class AudioTrack(MediaStreamTrack):
    """The voice of a session, two packets of 20 ms a tick, mono 48 kHz.

    Args:
        ready: told before each packet that the sender asks for it.
        audible: whether the sound of a tick may still be played.
    """

    kind = "audio"

    def __init__(self, ready: Callable[[], None], audible: Callable[[Tick], bool]) -> None:
        super().__init__()
        self.queue: asyncio.Queue[tuple[Tick, NDArray[np.int16]]] = asyncio.Queue(MOST_WAITING)
        self._ready, self._audible = ready, audible
        self._second: tuple[Tick, NDArray[np.int16], float] | None = None
        self._is_hushed = False
        self._packets = ToPackets()

    async def recv(self) -> Packet:
        """The next 20 ms.

        The second half of a tick leaves 20 ms after the first: receivers align the tracks by when packets were sent.
        """
        if self.readyState != "live":
            raise MediaStreamError
        self._ready()
        if self._second is not None:
            (tick, samples, due), self._second = self._second, None
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()) if self.queue.empty() else 0.0)
            return self._packets.encode(self._still(tick, samples), tick.index * SAMPLES_PER_TICK + SAMPLES_PER_HALF)
        tick, samples = await self.queue.get()
        due = asyncio.get_running_loop().time() + TICK_MS / 2000
        self._second = (tick, samples[SAMPLES_PER_HALF:], due)
        return self._packets.encode(self._still(tick, samples[:SAMPLES_PER_HALF]), tick.index * SAMPLES_PER_TICK)

    def _still(self, tick: Tick, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """What may be played of them now: speech that was broken off since its tick was released falls silent, and
        stays so. The engine lets its next tick fall from full loudness, as if all of this one had been heard.
        """
        if self._audible(tick):
            self._is_hushed = self._is_hushed and tick.segment is None
            return np.zeros_like(samples) if self._is_hushed else samples
        fall = np.float32(0) if self._is_hushed else _FALL
        self._is_hushed = True
        return (samples * fall).astype(np.int16)


class TrackPair:
    """One video and one audio track fed by the same ticks, both or neither.

    Nothing is queued before the sender has asked both tracks for their first packet, so that they start together.

    Args:
        dropped: told how many ticks were skipped because the sender fell behind.
        audible: whether the sound of a tick may still be played.
    """

    def __init__(self, dropped: Callable[[int], None], audible: Callable[[Tick], bool]) -> None:
        self._asked: set[str] = set()
        self._dropped = dropped
        self.video = VideoTrack(lambda: self._asked.add("video"))
        self.audio = AudioTrack(lambda: self._asked.add("audio"), audible)

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
        self.audio.queue.put_nowait((tick, sound))

    def stop(self) -> None:
        """End both tracks."""
        self.video.stop()
        self.audio.stop()

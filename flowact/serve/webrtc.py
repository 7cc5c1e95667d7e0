"""One WebRTC call of a session: pictures and voice out, the microphone in, events on a data channel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass

import numpy as np
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceCandidate,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame
from numpy.typing import NDArray

from flowact.core.types import Tick
from flowact.serve.candidates import take_hidden
from flowact.serve.config import IceServer
from flowact.serve.errors import RequestError
from flowact.serve.tracks import TrackPair

logger = logging.getLogger(__name__)

LONGEST_NEGOTIATION_S = 10.0
MOST_BUFFERED_BYTES = 1 << 20
QUIET_S = 0.5
"""A microphone that sends no packet for so long is muted."""
MOST_CANDIDATES = 64
"""Network addresses of the other end that are tried."""
EVENTS = "events"
OPUS = "audio/opus"
"""The voice is encoded by its track, so this must be what both ends agree on; every WebRTC browser has it."""


@dataclass(frozen=True)
class CallDoors:
    """What a call reports to its session, always from the event loop.

    Attributes:
        heard: sound of the microphone, float32 mono, and its rate.
        muted: the microphone is gone.
        joined: a data channel for events is open; gets the function that sends a text on it.
        received: a text from that channel, with the same function.
        left: the channel is closed; gets the same function.
        failed: the call could not be set up or broke; gets a code and a message.
        dropped: ticks that were skipped because the sender fell behind.
        audible: whether the sound of a tick may still be played.
    """

    heard: Callable[[NDArray[np.float32], int], None]
    muted: Callable[[], None]
    joined: Callable[[Callable[[str], None]], None]
    received: Callable[[str, Callable[[str], None]], None]
    left: Callable[[Callable[[str], None]], None]
    failed: Callable[[str, str], None]
    dropped: Callable[[int], None]
    audible: Callable[[Tick], bool]


class Call:
    """A peer connection that answers one offer.

    Args:
        ice_servers: STUN and TURN.
        doors: where everything that arrives goes.
    """

    def __init__(self, ice_servers: tuple[IceServer, ...], doors: CallDoors) -> None:
        servers = [RTCIceServer(s.url, s.username, s.credential) for s in ice_servers]
        self._peer = RTCPeerConnection(RTCConfiguration(servers))
        self._doors = doors
        self._tasks: set[asyncio.Task[None]] = set()
        self._tracks = TrackPair(doors.dropped, doors.audible)
        self._settled = asyncio.Event()
        self._candidates = 0
        # Pictures of the other side are not taken, so that no queue of them grows.
        self._peer.addTransceiver(self._tracks.video, "sendonly")
        voice = self._peer.addTransceiver(self._tracks.audio, "sendrecv")
        voice.setCodecPreferences(
            [codec for codec in RTCRtpSender.getCapabilities("audio").codecs if codec.mimeType == OPUS]
        )
        self._peer.on("connectionstatechange", self._changed)
        self._peer.on("track", self._took)
        self._peer.on("datachannel", self._opened)

    @property
    def is_connected(self) -> bool:
        """Whether media flows."""
        return bool(self._peer.connectionState == "connected")

    async def answer(self, sdp: str, ticks: AsyncGenerator[Tick, None], ice_timeout_s: float) -> str:
        """Answer an offer and begin to send `ticks` once connected.

        Raises:
            RequestError: the offer cannot be used; the call is closed then.
        """
        try:
            sdp, hidden = take_hidden(sdp)
            async with asyncio.timeout(LONGEST_NEGOTIATION_S):
                await self._peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
                await self._peer.setLocalDescription(await self._peer.createAnswer())
        except TimeoutError as error:
            await self.close()
            message = "no network address was found in time; check the ICE servers of this server"
            raise RequestError(503, "ice_slow", message, {"Retry-After": "5"}) from error
        except Exception as error:  # aiortc's parser raises whatever a broken description makes it trip over
            await self.close()
            logger.info("an offer was refused: %r", error)
            message = f"the offer cannot be used ({error or type(error).__name__})"
            raise RequestError(400, "bad_offer", message) from error
        self._start(self._tracks.feed(ticks))
        self._start(self._await_connection(ice_timeout_s))
        self.add_candidates(hidden)
        return str(self._peer.localDescription.sdp)

    def add_candidates(self, candidates: Iterable[RTCIceCandidate]) -> None:
        """Try these addresses of the other end too; returns at once. More than `MOST_CANDIDATES` are left out."""
        for candidate in candidates:
            self._candidates += 1
            if self._candidates <= MOST_CANDIDATES:
                self._start(self._peer.addIceCandidate(candidate))

    async def close(self) -> None:
        """Hang up; safe to call twice."""
        self._settled.set()
        me = asyncio.current_task()
        for task in tuple(self._tasks):
            if task is not me:
                task.cancel()
        self._tracks.stop()
        await self._peer.close()

    async def _await_connection(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()
        except TimeoutError:
            state = self._peer.iceConnectionState
            self._doors.failed(
                "ice_failed",
                f"no network path was found in {timeout_s:g} s (ICE is {state}); behind a NAT or a firewall this "
                "server needs a TURN server: --ice-server turn:HOST:PORT,USER,PASSWORD",
            )
            await self.close()

    def _changed(self) -> None:
        state = self._peer.connectionState
        if state == "connected":
            self._settled.set()
        elif state == "failed":
            self._settled.set()
            self._doors.failed("ice_failed", "the media connection broke off; connect again")
            self._start(self.close())

    def _took(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self._start(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        is_flowing = False
        try:
            while True:
                try:
                    # A browser whose microphone is switched off sends nothing at all.
                    frame = await asyncio.wait_for(track.recv(), QUIET_S if is_flowing else None)
                except TimeoutError:
                    is_flowing = False
                    self._doors.muted()
                    continue
                if isinstance(frame, AudioFrame):
                    is_flowing = True
                    self._doors.heard(to_mono(frame), frame.sample_rate)
        except MediaStreamError:
            self._doors.muted()

    def _opened(self, channel: RTCDataChannel) -> None:
        if channel.label != EVENTS:
            channel.close()
            return

        def send(text: str) -> None:
            if channel.readyState != "open":
                return
            if channel.bufferedAmount > MOST_BUFFERED_BYTES:
                channel.close()
                return
            channel.send(text)

        def received(message: str | bytes) -> None:
            self._doors.received(message if isinstance(message, str) else message.decode("utf-8", "replace"), send)

        channel.on("message", received)
        channel.on("close", lambda: self._doors.left(send))
        self._doors.joined(send)

    def _start(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task of a call failed", exc_info=error)


def to_mono(frame: AudioFrame) -> NDArray[np.float32]:
    """A packed 16-bit block of any channels as mono float32 in -1..1."""
    samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))
    return samples.mean(axis=1, dtype=np.float32) / np.float32(32768)

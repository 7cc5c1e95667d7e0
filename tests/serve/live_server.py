"""The whole server with a real engine behind real sockets, in the event loop of a test; the model is a fake."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aioice.ice
import httpx
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from websockets.asyncio.client import ClientConnection, connect

from flowact.serve.app import create_app
from flowact.serve.config import ServeConfig
from flowact.serve.events import SOUND
from flowact.serve.seat import Seat
from flowact.serve.server import DrainingServer
from flowact.serve.services import Services
from flowact.serve.talk import Equipment
from flowact.stream.engine import Engine, EngineConfig
from flowact.stream.live import LiveConfig
from tests.fake_avatar import FakeAvatar
from tests.serve.fake_engine import Clock
from tests.stream.fake_live import SIZE, TapeAvatar

PATIENCE_S = 120.0
PATIENT = LiveConfig(most_lead_ticks=100, margin_s=2.0)
"""More ticks ahead than usual, so that a busy machine holds none; what a fault holds back lasts longer."""


@dataclass
class LiveServer:
    """What a test needs of it; `clock` is that of the leases."""

    engine: Engine
    services: Services
    port: int
    client: httpx.AsyncClient
    clock: Clock

    async def open(self, **wish: Any) -> dict[str, Any]:
        """A session, as the server granted it."""
        answer = await self.client.post("/v1/sessions", json={"portrait": "anna", **wish})
        assert answer.status_code == 201, answer.text
        granted: dict[str, Any] = answer.json()
        return granted

    def seat(self, granted: dict[str, Any]) -> Seat:
        """The session behind a grant."""
        return self.services.book._entries[granted["id"]].seat

    def events(self, granted: dict[str, Any], **options: Any) -> connect:
        """Its WebSocket."""
        path = f"/v1/sessions/{granted['id']}/events?token={granted['token']}"
        options = {"proxy": None, "ping_interval": None, **options}
        return connect(f"ws://127.0.0.1:{self.port}{path}", **options)

    async def call(self, granted: dict[str, Any]) -> Caller:
        """A WebRTC call to it."""
        caller = Caller()
        offer = {"sdp": await caller.offer(), "type": "offer"}
        bearer = {"Authorization": f"Bearer {granted['token']}"}
        answer = await self.client.post(f"/v1/sessions/{granted['id']}/offer", json=offer, headers=bearer)
        assert answer.status_code == 200, answer.text
        await caller.accept(answer.json()["sdp"])
        return caller

    async def leave(self, granted: dict[str, Any]) -> None:
        """End a session."""
        bearer = {"Authorization": f"Bearer {granted['token']}"}
        answer = await self.client.delete(f"/v1/sessions/{granted['id']}", headers=bearer)
        assert answer.status_code == 204

    def census(self) -> dict[str, Any]:
        """All that a client may leave behind."""
        tasks = Counter(getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
        threads = [thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]
        sessions = len(self.services.book), self.engine.capacity().sessions
        return {"tasks": tasks, "threads": sorted(threads), "sessions": sessions}

    async def returns_to(self, census: dict[str, Any]) -> None:
        """Wait until nothing more is left than there was."""
        # A keep-alive connection of the HTTP client is no work of the server.
        await until(lambda: self.census() == census, lambda: f"{self.census()} is not {census}")


async def until(truth: Callable[[], object], otherwise: Callable[[], str] = lambda: "it never came true") -> None:
    """Wait for something, with patience."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not truth():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(otherwise()) from None


@contextlib.asynccontextmanager
async def live_server(
    samples: Path,
    avatar: TapeAvatar | None = None,
    equipment: Equipment | None = None,
    config: EngineConfig | None = None,
    **settings: Any,
) -> AsyncIterator[LiveServer]:
    """Serve on a free port; admits anybody unless `config` says otherwise."""
    engine = Engine(avatar or TapeAvatar(), config or EngineConfig(most_load=100.0, live=PATIENT))  # type: ignore[arg-type]
    await asyncio.to_thread(engine.start)
    clock = Clock()
    served = ServeConfig(samples=samples, drain_s=5.0, **settings)
    app = create_app(engine, FakeAvatar(SIZE), served, equipment, now=clock)  # type: ignore[arg-type]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        port = listener.getsockname()[1]
        server = DrainingServer(app, served)
        running = asyncio.create_task(server.serve([listener]))
        try:
            await until(lambda: server.started or running.done())
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
                yield LiveServer(engine, app.state.services, port, client, clock)
        finally:
            server.should_exit = True
            await running
            await asyncio.to_thread(engine.stop)


class Witness:
    """Somebody in another session, whom the troubles of others do not concern: every tick comes to them, none held."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        self.ticks: list[int] = []

    async def __aenter__(self) -> Witness:
        self._seat = self._server.seat(granted := await self._server.open())
        self._socket = await self._server.events(granted)
        await self._socket.send('{"type": "output.subscribe", "audio": true}')
        self._task = asyncio.create_task(self._watch())
        await self.sees_more()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._socket.close()

    async def _watch(self) -> None:
        async for message in self._socket:
            if isinstance(message, bytes) and message[0] == SOUND:
                self.ticks.append(int.from_bytes(message[1:9], "little"))

    async def sees_more(self, ticks: int = 10) -> None:
        """Ticks go on, without a gap, and none was held."""
        end = len(self.ticks) + ticks
        await until(lambda: len(self.ticks) >= end, lambda: f"only {len(self.ticks)} of {end} ticks came")
        assert self.ticks == list(range(self.ticks[0], self.ticks[0] + len(self.ticks)))
        assert self._seat.live.snapshot_stats().held_ticks == 0
        assert self._seat.live.closed_reason is None


class Caller:
    """The other end of a WebRTC call; counts what arrives."""

    def __init__(self) -> None:
        self.peer = RTCPeerConnection()
        self.seen = {"video": 0, "audio": 0}
        self._tasks: list[asyncio.Task[None]] = []

    async def offer(self) -> str:
        """Pictures and sound, please."""
        for kind in self.seen:
            self.peer.addTransceiver(kind, direction="recvonly")
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return str(self.peer.localDescription.sdp)

    async def accept(self, sdp: str) -> None:
        """Take the answer, and all that comes."""
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        self._tasks = [asyncio.create_task(self._take(receiver.track)) for receiver in self.peer.getReceivers()]

    async def sees_more(self, frames: int) -> None:
        """Pictures and sound go on."""
        end = {"video": self.seen["video"] + frames, "audio": self.seen["audio"] + 2 * frames}
        await until(
            lambda: all(self.seen[kind] >= count for kind, count in end.items()), lambda: f"{self.seen} is not {end}"
        )

    async def close(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.peer.close()

    async def _take(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()
                self.seen[track.kind] += 1


class Loss:
    """Loses a share of all UDP packets of this process, in both directions."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.share, self.lost, chance = 0.0, 0, random.Random(0)
        receive = aioice.ice.StunProtocol.datagram_received

        def lossy(protocol: Any, data: bytes, address: Any) -> None:
            if chance.random() < self.share:
                self.lost += 1
            else:
                receive(protocol, data, address)

        patch.setattr(aioice.ice.StunProtocol, "datagram_received", lossy)


async def flood(socket: ClientConnection, text: str) -> None:
    """Send the same event for ever, and read nothing."""
    while True:
        await socket.send(text)
        await asyncio.sleep(0)  # the server shares this loop

"""What goes wrong in one session stays there: the others do not notice, nothing is left behind, the log says why."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aioice.ice
import numpy as np
import pytest
from starlette.websockets import WebSocketState
from websockets.exceptions import ConnectionClosed

from flowact.core.types import State, Tick
from flowact.serve import server as server_module
from flowact.serve.events import MOST_WAITING, EventSocket
from flowact.serve.hub import EventHub
from flowact.serve.talk import Equipment
from flowact.serve.voices.config import VoicesConfig
from flowact.stream.engine import EngineConfig
from tests.serve.live_server import Caller, LiveServer, Loss, Witness, flood, live_server, until
from tests.serve.voices.fake_services import FakeServices, running
from tests.stream.fake_live import Tape, TapeAvatar

Start = Callable[..., AbstractAsyncContextManager[LiveServer]]


@pytest.fixture
def start(samples: Path, quick_samples: None, caplog: pytest.LogCaptureFixture) -> Start:
    """Start a server."""
    caplog.set_level(logging.INFO, logger="flowact")
    return lambda **options: live_server(samples, **options)


@pytest.fixture
async def server(start: Start) -> AsyncIterator[LiveServer]:
    async with start() as server:
        yield server


@contextlib.asynccontextmanager
async def watched(server: LiveServer) -> AsyncIterator[Witness]:
    """Somebody else is there; afterwards they have noticed nothing, and nothing more is left than there was."""
    async with Witness(server) as witness:
        before = server.census()
        yield witness
        await witness.sees_more()
        await server.returns_to(before)


async def test_a_client_whose_connection_is_cut(server: LiveServer, caplog: pytest.LogCaptureFixture) -> None:
    async with watched(server):
        seat = server.seat(granted := await server.open())
        socket = await server.events(granted)
        await socket.send('{"type": "output.subscribe", "video": true, "audio": true}')
        await until(lambda: seat.sockets == 1)
        socket.transport.abort()
        await until(lambda: seat.sockets == 0)
        await server.services.book.reap()
        assert seat.is_open  # it may come back
        server.clock.s += server.services.config.lease_s
        await server.services.book.reap()
        assert not seat.is_open
    assert f"session {granted['id']} ended: the lease expired" in caplog.text


async def test_a_caller_that_vanishes(
    server: LiveServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.3)
    loss = Loss(monkeypatch)
    async with watched(server):
        seat = server.seat(granted := await server.open())
        caller = await server.call(granted)
        await caller.sees_more(3)
        assert seat.is_attached
        loss.share = 1.0
        await until(lambda: not seat.is_attached)
        await caller.close()
        server.clock.s += server.services.config.lease_s
        await server.services.book.reap()
        assert not seat.is_open
    assert "the lease expired" in caplog.text


async def test_a_client_that_does_not_read(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "STUCK_MS", 500)
    async with start() as server, watched(server):
        seat = server.seat(granted := await server.open())
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.connect(("127.0.0.1", server.port))
        small.setblocking(False)
        lazy = await server.events(granted, sock=small, max_queue=1, close_timeout=1)
        sending = asyncio.create_task(flood(lazy, json.dumps({"type": "behaviour.set", "gesture": "x" * 190})))
        await until(lambda: seat.sockets == 1 or sending.done())
        await until(lambda: seat.sockets == 0 and sending.done())
        assert isinstance(sending.exception(), ConnectionClosed)  # the system cuts it, whatever still waits
        assert seat.is_open
        await server.leave(granted)


async def test_pictures_are_left_out_and_the_queue_stays_short_for_a_slow_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Stuck:
        """A WebSocket whose other end takes nothing."""

        application_state = WebSocketState.CONNECTED
        closed = 0

        async def receive(self) -> dict[str, Any]:
            if not hasattr(self, "asked"):
                self.asked = True
                return {"type": "websocket.receive", "text": '{"type":"output.subscribe","video":true,"audio":true}'}
            return await asyncio.get_running_loop().create_future()

        async def send_text(self, text: str) -> None:
            await asyncio.get_running_loop().create_future()

        send_bytes = send_text

        async def close(self, code: int) -> None:
            self.closed = code

    async def ticks() -> AsyncIterator[Tick]:
        for index in range(10 * MOST_WAITING):
            frame = np.full((16, 16, 3), index % 255, np.uint8)
            yield Tick(index, 0, frame, np.zeros(640, np.float32), State.IDLE, None, False, False)
            await asyncio.sleep(0)
            most.append(client._out.qsize())

    most: list[int] = []
    seat = SimpleNamespace(id="slow", hub=EventHub(), sockets=0, greeting=list, ticks=ticks, is_open=True)
    seat.hub.tell = lambda event: None
    client = EventSocket(seat, Stuck())  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        await client.run()
    assert max(most) <= MOST_WAITING
    kinds = [item[0] for item in client._out._queue]  # type: ignore[attr-defined]
    assert kinds.count(1) <= MOST_WAITING // 4
    assert kinds.count(2) > MOST_WAITING // 2
    assert client._socket.closed == 4408  # type: ignore[attr-defined]
    assert "session slow: a client that does not read its events is cut off" in caplog.text
    assert (seat.sockets, seat.hub.listeners) == (0, 0)


async def test_a_flood_of_events_takes_turns_with_everybody_else() -> None:
    class Flood:
        """A WebSocket on which the next event is always there already."""

        application_state = WebSocketState.DISCONNECTED
        left = 1000

        async def receive(self) -> dict[str, Any]:
            self.left -= 1
            if self.left < 0:
                return {"type": "websocket.disconnect"}
            return {"type": "websocket.receive", "text": '{"type": "no.such"}'}

        async def send_text(self, text: str) -> None:
            pass

    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    seat = SimpleNamespace(id="loud", hub=EventHub(), sockets=0, greeting=list, is_open=True)
    bystander = asyncio.create_task(others())
    async with asyncio.timeout(60):
        await EventSocket(seat, Flood()).run()  # type: ignore[arg-type]
    bystander.cancel()
    assert turns >= 1000


async def test_every_tenth_packet_is_lost(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = Loss(monkeypatch)
    async with watched(server):
        seat = server.seat(granted := await server.open())
        caller = await server.call(granted)
        await caller.sees_more(5)
        loss.share = 0.1
        await caller.sees_more(75)
        assert loss.lost > 10
        assert seat.is_attached
        loss.share = 0.0
        await caller.close()
        await server.leave(granted)


async def test_ten_come_at_once(start: Start) -> None:
    # A chunk takes 0.15 s while it is measured, so two are admitted, or one where the machine is busy.
    measured, goes_on = threading.Event(), threading.Event()

    def compute() -> None:
        time.sleep(0.0 if measured.is_set() else 0.15)
        goes_on.wait(60.0 if measured.is_set() else 0.0)

    avatar = TapeAvatar(compute)
    async with start(avatar=avatar, config=EngineConfig(most_load=0.85)) as server:
        measured.set()
        before = server.census()
        slots = server.engine.capacity().slots
        assert 1 <= slots <= 2
        wishes = [server.client.post("/v1/sessions", json={"portrait": "anna", "seed": seed}) for seed in range(10)]
        async with asyncio.timeout(60):
            answers = await asyncio.gather(*wishes)
        admitted = [answer.json() for answer in answers if answer.status_code == 201]
        refused = [answer for answer in answers if answer.status_code == 503]
        assert (len(admitted), len(refused)) == (slots, 10 - slots)
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        assert {answer.json()["error"]["code"] for answer in refused} == {"full"}
        assert server.census()["sessions"] == (slots, slots)
        goes_on.set()
        for granted in admitted:
            async with server.events(granted) as events:
                assert json.loads(await events.recv())["type"] == "session.created"
            await server.leave(granted)
        await server.returns_to(before)


async def test_a_model_that_fails_for_one_person(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Tape):
        def generate(self, *given: Any) -> list[int] | None:
            if len(self.point) > 100:
                raise RuntimeError("out of memory")
            return super().generate(*given)

    class Moody(TapeAvatar):
        def open(self, portrait: Any, seed: int = 0) -> Tape:
            return Broken(self) if seed == 13 else Tape(self)

    async with start(avatar=Moody()) as server, watched(server) as witness:
        granted = await server.open(seed=13)
        async with server.events(granted) as events:
            told = [json.loads(text) async for text in events if isinstance(text, str)]
        assert told[-1] == {"type": "session.closed", "reason": "RuntimeError: out of memory"}
        await witness.sees_more(30)
    assert "A live session failed and is closed" in caplog.text
    assert "RuntimeError: out of memory" in caplog.text


async def test_a_planner_that_hangs(start: Start) -> None:
    async with running(FakeServices()) as services:
        services.mode = "hang"
        voices = VoicesConfig(planner_url=services.url, planner_model="slow", planner_deadline_s=0.3)
        async with start(equipment=Equipment(config=voices)) as server:
            before = server.census()
            async with Witness(server) as witness:
                planner = lambda: witness._seat.stats()["planner"]  # noqa: E731
                await until(lambda: planner()["late"] >= 2)
                await witness.sees_more(20)
                assert planner()["used"] == 0
                assert planner()["ruled"] > 0
                assert witness._seat.live.snapshot_stats().prompt
                await server.services.book.close(witness._seat, "seen enough")
            await server.returns_to(before)


async def test_a_caller_who_says_nonsense(server: LiveServer) -> None:
    async with watched(server):
        granted = await server.open()
        bearer = {"Authorization": f"Bearer {granted['token']}"}
        caller = Caller()
        sane = await caller.offer()
        await caller.close()
        for sdp in ("garbage", sane[: len(sane) // 2], sane.replace("UDP/TLS/RTP/SAVPF", "TCP/CARRIER/PIGEON")):
            answer = await server.client.post(
                f"/v1/sessions/{granted['id']}/offer", json={"sdp": sdp, "type": "offer"}, headers=bearer
            )
            assert answer.status_code in (200, 400, 422), answer.text
            assert sdp != "garbage" or answer.json()["error"]["code"] == "bad_offer"
        await server.leave(granted)

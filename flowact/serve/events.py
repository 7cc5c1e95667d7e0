"""What the events of clients do. The WebSocket and the data channel use the same dispatcher."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

import anyio
import cv2
import numpy as np
from fastapi import WebSocket
from numpy.typing import NDArray
from starlette.websockets import WebSocketDisconnect, WebSocketState

from flowact.core.errors import FlowActError
from flowact.core.types import State, Tick
from flowact.serve.behaviours import to_action
from flowact.serve.messages import (
    AppendAudio,
    BadEventError,
    CancelResponse,
    ClearBehaviour,
    ClientEvent,
    CommitAudio,
    Say,
    SessionUpdate,
    SetBehaviour,
    SubmitText,
    SubscribeOutput,
    Trouble,
    parse_event,
)
from flowact.serve.seat import Seat
from flowact.stream.live import Action

logger = logging.getLogger(__name__)

MOST_WAITING = 256
"""Messages that wait for a slow WebSocket before it is closed."""
APPENDED = "appended"
"""Segment id of sound that a program appends."""
JPEG, SOUND = 1, 2
_JPEG_QUALITY = 85
_SLOW = 4408
_GOODBYE_S = 2.0
"""A client that takes nothing more is not told for longer than this that it is cut off."""


def dispatch(seat: Seat, text: str | bytes, reply: Callable[[str], None]) -> SubscribeOutput | None:
    """Carry out one event of a client; what is wrong with it is answered by one `error` event.

    Returns:
        A wish for binary output, which only the WebSocket can grant.
    """
    kind: str | None = None
    try:
        event = parse_event(text)
        if isinstance(event, SubscribeOutput):
            return event
        kind = event.type
        _carry_out(seat, event)
    except BadEventError as error:
        reply(Trouble(code=error.code, message=error.message, event=kind or error.event).model_dump_json())
    except FlowActError as error:
        reply(Trouble(code="unusable", message=str(error), event=kind).model_dump_json())
    return None


def _carry_out(seat: Seat, event: ClientEvent) -> None:
    match event:
        case SessionUpdate():
            if event.mode is not None:
                seat.change_mode(event.mode)
            if event.prompt is not None:
                seat.live.act(Action(State.GESTURE, " ".join(event.prompt.split())))
        case SubmitText():
            seat.talk.submit(event.text)
        case Say():
            seat.talk.say(event.text)
        case AppendAudio():
            seat.live.say(event.samples(), event.rate, APPENDED)
        case CommitAudio():
            seat.live.end_segment(APPENDED)
        case SetBehaviour():
            seat.live.act(to_action(event))
        case ClearBehaviour():
            seat.live.release()
        case CancelResponse():
            seat.interrupt()


class EventSocket:
    """One WebSocket of a session: events both ways, and pictures and sound for who wants them.

    Args:
        seat: the session.
        socket: accepted.
    """

    def __init__(self, seat: Seat, socket: WebSocket) -> None:
        self._seat, self._socket = seat, socket
        self._out: asyncio.Queue[str | bytes] = asyncio.Queue(MOST_WAITING)
        self._overflow = asyncio.Event()
        self._wish = SubscribeOutput(type="output.subscribe")
        self._is_streaming = False
        self._group = anyio.create_task_group()

    async def run(self) -> None:
        """Serve until either side is gone."""
        leave = self._seat.hub.join(self._put)
        self._seat.sockets += 1
        for event in self._seat.greeting():
            self._put(event.model_dump_json())
        try:
            async with self._group:
                for work in (self._receive, self._transmit, self._overflow.wait):
                    self._group.start_soon(self._until_over, work)
        finally:
            leave()
            self._seat.sockets -= 1
            if self._overflow.is_set():
                logger.warning("session %s: a client that does not read its events is cut off", self._seat.id)
        if self._socket.application_state is WebSocketState.CONNECTED:
            with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):  # the client may have gone meanwhile
                async with asyncio.timeout(_GOODBYE_S):
                    await self._socket.close(_SLOW if self._overflow.is_set() else 1000)

    async def _until_over(self, work: Callable[[], Awaitable[object]]) -> None:
        """The first work that ends, ends all."""
        with suppress(WebSocketDisconnect):
            await work()
        self._group.cancel_scope.cancel()

    async def _receive(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            wish = dispatch(self._seat, message.get("bytes", b"") if text is None else text, self._put)
            if wish is not None:
                self._subscribe(wish)
            await asyncio.sleep(0)  # a flood of events takes turns with everybody else

    async def _transmit(self) -> None:
        is_over = False
        while not is_over:
            item = await self._out.get()
            if isinstance(item, str):
                await self._socket.send_text(item)
            else:
                await self._socket.send_bytes(item)
            is_over = not self._seat.is_open and self._out.empty()

    def _subscribe(self, wish: SubscribeOutput) -> None:
        self._wish = wish
        if not self._is_streaming and (wish.video or wish.audio):
            self._is_streaming = True
            self._group.start_soon(self._stream)

    async def _stream(self) -> None:
        """Binary messages of every tick; pictures that the connection cannot take are left out, sound is not."""
        last: tuple[NDArray[np.uint8], bytes] | None = None
        async with aclosing(self._seat.ticks()) as ticks:
            async for tick in ticks:
                if self._wish.video and self._out.qsize() < MOST_WAITING // 4:
                    if last is None or last[0] is not tick.frame:
                        last = (tick.frame, await asyncio.to_thread(_to_jpeg, tick.frame))
                    self._put(pack(JPEG, tick, last[1]))
                if self._wish.audio:
                    sound = (np.clip(tick.sound, -1, 1) * 32767).astype("<i2").tobytes()
                    self._put(pack(SOUND, tick, sound))

    def _put(self, message: str | bytes) -> None:
        try:
            self._out.put_nowait(message)
        except asyncio.QueueFull:
            self._overflow.set()


def pack(kind: int, tick: Tick, payload: bytes) -> bytes:
    """A binary message: one byte of kind, eight of tick index, little-endian, and the payload."""
    return bytes([kind]) + tick.index.to_bytes(8, "little") + payload


def _to_jpeg(frame: NDArray[np.uint8]) -> bytes:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes()

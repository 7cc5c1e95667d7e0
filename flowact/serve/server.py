"""uvicorn with a graceful end: clients are told before their connections are cut."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from flowact.serve.config import ServeConfig
from flowact.serve.services import Services

logger = logging.getLogger(__name__)

STUCK_MS = 20_000
"""A connection whose other end takes nothing for so long is cut by the system: else a client that does not read would
hold its session's last messages for ever."""


class DrainingServer(uvicorn.Server):
    """Ends in two steps: on the first signal sessions are ended with a reason, then the sockets are closed.

    A second signal ends at once.

    Args:
        app: as `create_app` made it.
        config: of the server.
    """

    def __init__(self, app: FastAPI, config: ServeConfig) -> None:
        settings = uvicorn.Config(
            app,
            config.host,
            config.port,
            access_log=False,  # its lines would hold the tokens of WebSocket addresses
            log_level="warning",
            timeout_graceful_shutdown=max(1, round(config.drain_s)),
            ws="websockets-sansio",
            ws_max_size=4 << 20,
            ws_ping_interval=10.0,
            ws_ping_timeout=10.0,
            server_header=False,
        )
        super().__init__(settings)
        self._services: Services = app.state.services
        self._drain_s = config.drain_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drain: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; signals from now on drain."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # of Linux; accepted connections inherit it
            for listener in (listener for server in self.servers for listener in server.sockets):
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MS)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: drain on the first, end at once on the second."""
        if self._loop is None or self._drain is not None or self._services.book.is_draining:
            self.force_exit = sig == signal.SIGINT or self.force_exit
            super().handle_exit(sig, frame)
            return
        self._services.book.is_draining = True
        self._loop.call_soon_threadsafe(self._begin_drain)

    def _begin_drain(self) -> None:
        self._drain = asyncio.ensure_future(self._end_sessions())

    async def _end_sessions(self) -> None:
        try:
            async with asyncio.timeout(self._drain_s):
                await self._services.book.drain()
        except TimeoutError:
            logger.warning("sessions did not end within %g s; their connections are cut", self._drain_s)
        finally:
            self.should_exit = True

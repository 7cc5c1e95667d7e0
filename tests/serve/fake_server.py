"""A server that keeps the contract of the page without an engine: a moving picture, a tone, scripted events.

Run `python -m tests.serve.fake_server [port]` to work on the page.
"""

from __future__ import annotations

import asyncio
import io
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image

from tests.serve.fake_person import SIZE, Behaviour, Person
from tests.serve.fake_routes import make_app

PORTRAIT = Path(__file__).resolve().parents[2] / "samples" / "portrait.png"


class AppThread:
    """An application that is served by a thread of its own, on a free port or the given one."""

    def __init__(self, app: FastAPI, port: int = 0) -> None:
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        settings = uvicorn.Config(app, log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(settings)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self.server.serve([self.socket]))

    def call(self, act: Callable[[], None]) -> None:
        """Let the application's thread do something."""
        self.loop.call_soon_threadsafe(act)

    def stop(self) -> None:
        """Go down at once; safe to call twice."""
        self.server.should_exit = True
        self.thread.join(15)
        self.socket.close()


@dataclass
class FakeServer:
    """The server in a thread of its own, and what it saw.

    Attributes:
        behaviour: may be changed while it runs.
        events: what clients sent, in order.
        closed: ids of the sessions that a client ended.
        persons: sessions by id.
    """

    behaviour: Behaviour = field(default_factory=Behaviour)
    events: list[dict[str, Any]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    persons: dict[str, Person] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=lambda: {"portrait": PORTRAIT.read_bytes()})
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Listen; returns when requests are answered."""
        self.runner = AppThread(make_app(self), self.port)
        self.port = self.runner.port

    def stop(self) -> None:
        """Go down at once."""
        self.runner.stop()

    def sent(self, kind: str) -> list[dict[str, Any]]:
        """Events of one type that clients sent."""
        return [event for event in self.events if event["type"] == kind]

    def pixels(self, name: str) -> NDArray[np.uint8]:
        """A portrait as the fake shows it."""
        return np.asarray(Image.open(io.BytesIO(self.pictures[name])).convert("RGB").resize((SIZE, SIZE)))


if __name__ == "__main__":
    server = FakeServer(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8765)
    server.start()
    print(server.url)
    server.runner.thread.join()

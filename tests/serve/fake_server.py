"""A server that keeps the contract of the page without an engine: a moving picture, a tone, scripted events.

Run `python -m tests.serve.fake_server [port]` to work on the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import math
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import uvicorn
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from flowact.serve.security import SecurityHeaders

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "flowact" / "serve" / "static"
PORTRAIT = ROOT / "samples" / "portrait.png"
SIZE, FPS, RATE = 256, 25, 48000
STATES = ["idle", "listen", "think", "react", "talk", "gesture"]
GESTURES = ["wave", "nod", "shake", "shrug", "point", "thumbs_up", "hand_to_chin", "open_palms", "clap"]
PROMPTS = {state: f"a person is in the state {state}" for state in STATES}


@dataclass
class Behaviour:
    """What the fake does wrong, and how fast it answers.

    Attributes:
        token: bearer token it asks for; None asks for nothing.
        full_times: how many sessions it refuses before it takes one.
        retry_after_s: when refused clients shall ask again.
        blocks_media: no network path is found.
        forgets: heartbeats are answered with 404.
        think_s: time before it answers a text.
        speak_s: length of its answers.
        lease_s: the lease it grants.
    """

    token: str | None = None
    full_times: int = 0
    retry_after_s: int = 4
    blocks_media: bool = False
    forgets: bool = False
    think_s: float = 0.4
    speak_s: float = 4.0
    lease_s: float = 6.0


class Person:
    """One fake session."""

    def __init__(self, name: str, portrait: NDArray[np.uint8], mode: str, behaviour: Behaviour) -> None:
        self.name, self.portrait, self.mode, self.behaviour = name, portrait, mode, behaviour
        self.state, self.prompt, self.epoch, self.segments = "idle", PROMPTS["idle"], 0, 0
        self.spoken_since: float | None = None
        self.heard_blocks = 0
        self.listeners: list[asyncio.Queue[str | None]] = []
        self.answering: asyncio.Task[None] | None = None
        self.call: RTCPeerConnection | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    def tell(self, kind: str, **fields: Any) -> None:
        for queue in self.listeners:
            queue.put_nowait(json.dumps({"type": kind, **fields}))

    def tell_state(self) -> None:
        self.tell("session.state", state=self.state, prompt=self.prompt, epoch=self.epoch)

    def enter(self, state: str, prompt: str | None = None) -> None:
        self.state, self.prompt = state, prompt or PROMPTS[state]
        self.tell_state()

    def start(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def receive(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind in ("input_text.submit", "speech.say"):
            self.cancel()
            if kind == "input_text.submit":
                self.tell("transcript", who="user", text=event["text"], final=True)
            answer = event["text"] if kind == "speech.say" else f'You wrote "{event["text"]}". That is good to know.'
            self.answering = self.start(self.answer(answer))
        elif kind == "response.cancel":
            self.cancel()
        elif kind == "behaviour.set":
            state = event.get("state") or ("gesture" if event.get("gesture") else "react")
            gesture = event.get("gesture")
            self.enter(state, event.get("prompt") or (f"a person makes the gesture {gesture}" if gesture else None))
        elif kind == "behaviour.clear":
            self.enter("idle")
        elif kind == "session.update":
            self.mode = event.get("mode") or self.mode
        else:
            self.tell("error", code="unknown_type", message=f'no event is called "{kind}"')

    async def answer(self, text: str) -> None:
        self.enter("think")
        await asyncio.sleep(self.behaviour.think_s)
        self.segments += 1
        self.spoken_since = time.monotonic()
        self.enter("talk")
        self.tell("speech.started", segment=f"s{self.segments}")
        words = text.split()
        for count in range(1, len(words) + 1):
            self.tell("transcript", who="avatar", text=" ".join(words[:count]), final=count == len(words))
            await asyncio.sleep(self.behaviour.speak_s / len(words))
        self.finish(interrupted=False)

    def finish(self, interrupted: bool) -> None:
        since, self.spoken_since = self.spoken_since, None
        if since is not None:
            played_s = time.monotonic() - since
            self.tell("speech.done", segment=f"s{self.segments}", played_s=played_s, interrupted=interrupted)
        self.enter("listen")

    def cancel(self) -> None:
        if self.answering is None or self.answering.done():
            return
        self.answering.cancel()
        self.epoch += 1
        self.finish(interrupted=True)

    async def report(self) -> None:
        while True:
            chunk = {"chunk_ms_p50": 214.0, "chunk_ms_p99": 301.5, "rtf": 0.446}
            stats = {**chunk, "lead_ms": 520, "held_ticks": 0, "last_reaction_ms": 310}
            self.tell("stats", stats=stats)
            await asyncio.sleep(1.0)

    async def close(self, reason: str) -> None:
        self.tell("session.closed", reason=reason)
        for queue in self.listeners:
            queue.put_nowait(None)
        for task in tuple(self.tasks):
            task.cancel()
        if self.call is not None:
            await self.call.close()


class Picture(MediaStreamTrack):
    """The portrait, swaying, with a dot that runs along the bottom."""

    kind = "video"

    def __init__(self, person: Person) -> None:
        super().__init__()
        self.person, self.index, self.start = person, 0, 0.0

    async def recv(self) -> av.VideoFrame:
        self.start = self.start or time.monotonic()
        await asyncio.sleep(max(0.0, self.start + self.index / FPS - time.monotonic()))
        if self.readyState != "live":
            raise MediaStreamError
        sway = round(5 * math.sin(self.index / 14))
        pixels = np.roll(self.person.portrait, sway, axis=1)
        at = self.index * 3 % (SIZE - 8)
        pixels[-6:, at : at + 8] = (95, 214, 195)
        frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
        frame.pts, frame.time_base = self.index, Fraction(1, FPS)
        self.index += 1
        return frame


class Voice(MediaStreamTrack):
    """Silence, and a tone while the person speaks."""

    kind = "audio"

    def __init__(self, person: Person) -> None:
        super().__init__()
        self.person, self.index, self.start = person, 0, 0.0

    async def recv(self) -> av.AudioFrame:
        self.start = self.start or time.monotonic()
        await asyncio.sleep(max(0.0, self.start + self.index / 50 - time.monotonic()))
        if self.readyState != "live":
            raise MediaStreamError
        block = RATE // 50
        t = (np.arange(block) + self.index * block) / RATE
        loud = 0.0 if self.person.spoken_since is None else 0.2
        wave = (loud * 32767 * np.sin(2 * np.pi * 220 * t)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.index * block, Fraction(1, RATE)
        self.index += 1
        return frame


class AppThread:
    """An application that is served by a thread of its own, on a free port or the given one."""

    def __init__(self, app: FastAPI, port: int = 0) -> None:
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        settings = uvicorn.Config(app, log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(settings)
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

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


def film() -> bytes:
    """A short mp4."""
    file = io.BytesIO()
    with av.open(file, "w", "mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for index in range(FPS):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 9 * index, np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as the server words it."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


def make_app(fake: FakeServer) -> FastAPI:
    """The routes that the page uses."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        for person in fake.persons.values():
            await person.close("the server goes down")

    app = FastAPI(lifespan=lifespan)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.middleware("http")
    async def guard(request: Request, go_on: Callable[[Request], Any]) -> Response:
        token = fake.behaviour.token
        is_open = not request.url.path.startswith("/v1") or token is None
        if not is_open and request.headers.get("authorization") != f"Bearer {token}":
            return refusal(401, "unauthorized", "this server asks for its token")
        return await go_on(request)

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/v1/info")
    async def info() -> dict[str, Any]:
        able = {"voice": True, "asr": True, "llm": True, "upload_bytes": 12 << 20}
        return {"model": "fake", "size": SIZE, "fps": FPS, "states": STATES, "gestures": GESTURES, **able}

    @app.get("/v1/portraits")
    async def portraits() -> list[dict[str, str]]:
        return [{"id": "portrait", "url": "/v1/portraits/portrait.png"}]

    @app.get("/v1/portraits/{name}.png")
    async def portrait(name: str) -> Response:
        return Response(fake.pictures[name], media_type="image/png")

    @app.post("/v1/portraits")
    async def upload(request: Request) -> Any:
        async with request.form() as form:
            picture = await form["image"].read()  # type: ignore[union-attr]
        try:
            Image.open(io.BytesIO(picture)).convert("RGB").resize((SIZE, SIZE)).save(file := io.BytesIO(), "png")
        except UnidentifiedImageError:
            return refusal(422, "unusable", "the portrait is not a picture that can be read; save it as PNG or JPEG")
        name = f"upload{len(fake.pictures)}"
        fake.pictures[name] = file.getvalue()
        return {"id": name, "preview_url": f"/v1/portraits/{name}.png", "notes": []}

    @app.post("/v1/sessions", status_code=201)
    async def open_session(wish: dict[str, Any]) -> Any:
        if fake.behaviour.full_times > 0:
            fake.behaviour.full_times -= 1
            return refusal(503, "full", "all places are taken", {"Retry-After": str(fake.behaviour.retry_after_s)})
        name = f"session{len(fake.persons)}"
        person = Person(name, fake.pixels(wish["portrait"]), wish["mode"], fake.behaviour)
        fake.persons[name] = person
        person.start(person.report())
        return {"id": name, "token": f"token-of-{name}", "lease_s": fake.behaviour.lease_s, "ice_servers": []}

    @app.delete("/v1/sessions/{name}", status_code=204)
    async def close_session(name: str) -> None:
        fake.closed.append(name)
        await fake.persons[name].close("ended by the client")

    @app.post("/v1/sessions/{name}/heartbeat")
    async def heartbeat(name: str) -> Any:
        return refusal(404, "no_such_session", "the session is over") if fake.behaviour.forgets else {}

    @app.post("/v1/sessions/{name}/offer")
    async def offer(name: str, wish: dict[str, str]) -> dict[str, str]:
        person = fake.persons[name]
        person.call = call = RTCPeerConnection(RTCConfiguration([]))
        call.on("track", lambda track: person.start(listen(person, track)))
        call.addTransceiver(Picture(person), "sendonly")
        call.addTransceiver(Voice(person), "sendrecv")
        await call.setRemoteDescription(RTCSessionDescription(wish["sdp"], wish["type"]))
        await call.setLocalDescription(await call.createAnswer())
        sdp = call.localDescription.sdp
        if fake.behaviour.blocks_media:
            sdp = "\r\n".join(line for line in sdp.splitlines() if not line.startswith("a=candidate")) + "\r\n"
            await call.close()
            person.start(block(person))
        return {"sdp": sdp, "type": "answer"}

    async def block(person: Person) -> None:
        await asyncio.sleep(1.0)
        person.tell("error", code="ice_failed", message="no network path was found in 1 s")

    async def listen(person: Person, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()
                person.heard_blocks += 1

    @app.post("/v1/sessions/{name}/recording")
    async def recording(name: str, wish: dict[str, bool]) -> dict[str, bool]:
        fake.events.append({"type": "recording", **wish})
        return wish

    @app.get("/v1/sessions/{name}/recording.mp4")
    async def recorded(name: str) -> Response:
        return Response(film(), media_type="video/mp4")

    @app.websocket("/v1/sessions/{name}/events")
    async def events(socket: WebSocket, name: str) -> None:
        await socket.accept()
        if socket.query_params.get("token") != f"token-of-{name}":
            await socket.close(4401, "unauthorized")
            return
        person = fake.persons[name]
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        queue.put_nowait(
            json.dumps({"type": "session.created", "id": name, "mode": person.mode, "size": SIZE, "fps": FPS})
        )
        person.listeners.append(queue)
        person.tell_state()

        async def send() -> None:
            while (text := await queue.get()) is not None:
                await socket.send_text(text)
            await socket.close(1000)

        sending = asyncio.ensure_future(send())
        try:
            while True:
                event = json.loads(await socket.receive_text())
                fake.events.append(event)
                person.receive(event)
        except (WebSocketDisconnect, RuntimeError):
            sending.cancel()
            person.listeners.remove(queue)

    app.add_middleware(SecurityHeaders)
    return app


if __name__ == "__main__":
    server = FakeServer(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8765)
    server.start()
    print(server.url)
    server.runner.thread.join()

"""The routes that the page uses, as the server answers them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from PIL import Image, UnidentifiedImageError

from flowact.serve.security import SecurityHeaders
from tests.serve.fake_person import FPS, GESTURES, SIZE, STATES, Person, Picture, Voice

if TYPE_CHECKING:
    from tests.serve.fake_server import FakeServer

STATIC = Path(__file__).resolve().parents[2] / "flowact" / "serve" / "static"


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
        able = {"voice": True, "asr": True, "llm": True, "upload_bytes": 12 << 20, "ice_servers": []}
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
        granted = {"id": name, "token": f"token-of-{name}", "lease_s": fake.behaviour.lease_s, "ice_servers": []}
        return {**granted, "answer": await answer(person, wish["offer"])}

    @app.delete("/v1/sessions/{name}", status_code=204)
    async def close_session(name: str) -> None:
        fake.closed.append(name)
        await fake.persons[name].close("ended by the client")

    @app.post("/v1/sessions/{name}/heartbeat")
    async def heartbeat(name: str) -> Any:
        return refusal(404, "no_such_session", "the session is over") if fake.behaviour.forgets else {}

    async def answer(person: Person, offer: dict[str, str]) -> dict[str, str]:
        person.call = call = RTCPeerConnection(RTCConfiguration([]))
        call.on("track", lambda track: person.start(listen(person, track)))
        call.addTransceiver(Picture(person), "sendonly")
        call.addTransceiver(Voice(person), "sendrecv")
        await call.setRemoteDescription(RTCSessionDescription(offer["sdp"], offer["type"]))
        await call.setLocalDescription(await call.createAnswer())
        sdp = call.localDescription.sdp
        if fake.behaviour.blocks_media:
            sdp = "\r\n".join(line for line in sdp.splitlines() if not line.startswith("a=candidate")) + "\r\n"
            await call.close()
            person.start(block(person))
        return {"sdp": sdp, "type": "answer"}

    @app.post("/v1/sessions/{name}/candidates", status_code=204)
    async def candidates(name: str, found: dict[str, list[dict[str, Any]]]) -> None:
        """The page's own checks tell its address too."""

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
        if fake.behaviour.is_deaf:
            await socket.close()
            return
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

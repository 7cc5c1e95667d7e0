"""OpenAI-compatible services that behave, or misbehave, as a test asks; and a session that only takes notes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any, Literal

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from flowact.core.types import State
from flowact.serve.voices.pcm import to_wav
from flowact.stream.live import Interrupted, SessionStats

ACTION = {"state": "listen", "prompt": "a person listens and nods", "urgent": False}


class FakeServices:
    """`mode` says how the next requests are answered; `requests` keeps what was asked."""

    def __init__(self) -> None:
        self.mode = "good"
        self.reply = "Hello there. How are you today?"
        self.delay_s = 0.0
        self.requests: list[dict[str, Any]] = []
        self.uploads: list[bytes] = []
        self.url = ""
        self.abandoned = 0
        self.app = FastAPI()
        self.app.post("/v1/chat/completions")(self._chat)
        self.app.post("/v1/audio/speech")(self._speech)
        self.app.post("/v1/audio/transcriptions")(self._transcribe)

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        await self._misbehave(request)
        if self.mode == "500":
            return JSONResponse({"error": {"message": "out of memory"}}, 500)
        if self.mode == "no_schema" and "response_format" in body:
            return JSONResponse({"error": {"message": "response_format is not supported"}}, 400)
        if self.mode == "garbage":
            return Response(b"\x00\xff<html>not json", media_type="application/json")
        if self.mode == "no_choices":
            return JSONResponse({"id": "x", "object": "chat.completion", "choices": []})
        if body.get("stream"):
            return StreamingResponse(self._stream(), media_type="text/event-stream")
        return JSONResponse(
            {
                "id": "x",
                "object": "chat.completion",
                "created": 0,
                "model": body["model"],
                "choices": [
                    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": self.reply}}
                ],
            }
        )

    async def _stream(self) -> AsyncIterator[str]:
        for count, start in enumerate(range(0, len(self.reply), 5)):
            piece = {"index": 0, "delta": {"content": self.reply[start : start + 5]}, "finish_reason": None}
            if self.mode == "broken_stream" and count == 6:
                yield 'data: {"id": "x", "choi\n\n'
                return
            if self.mode == "stalled_stream" and count == 6:
                await asyncio.sleep(60)
            yield f"data: {json.dumps({'id': 'x', 'object': 'chat.completion.chunk', 'choices': [piece]})}\n\n"
        yield "data: [DONE]\n\n"

    async def _speech(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        await self._misbehave(request)
        if self.mode == "500":
            return JSONResponse({"error": {"message": "no such voice"}}, 500)
        if self.mode == "empty":
            return Response(b"", media_type="audio/pcm")
        tone = (0.25 * np.sin(np.arange(4800) * 0.1)).astype(np.float32)
        if self.mode == "wav":
            return Response(to_wav(tone, 16_000), media_type="audio/wav")
        return Response((tone * 32767).astype("<i2").tobytes(), media_type="audio/pcm")

    async def _transcribe(self, request: Request) -> Response:
        form = await request.form()
        async with contextlib.AsyncExitStack() as stack:
            upload: Any = form["file"]
            stack.push_async_callback(form.close)
            self.uploads.append(await upload.read())
            self.requests.append({"model": form["model"]})
        if self.mode == "500":
            return JSONResponse({"error": {"message": "cannot decode"}}, 500)
        return JSONResponse({"text": f" {self.reply} "})

    async def _misbehave(self, request: Request) -> None:
        if self.mode == "hang":
            while not await request.is_disconnected():
                await asyncio.sleep(0.01)
            self.abandoned += 1
        await asyncio.sleep(self.delay_s)


@contextlib.asynccontextmanager
async def running(services: FakeServices) -> AsyncIterator[FakeServices]:
    """Serve on a free port of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    services.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    config = uvicorn.Config(
        services.app, log_level="critical", ws="none", lifespan="off", timeout_graceful_shutdown=1, access_log=False
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve([listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield services
    finally:
        server.should_exit = server.force_exit = True
        await task
        listener.close()


class FakePerson:
    """The doors of a LiveSession; `calls` keeps what was asked of it, `sounds` the seconds of every segment."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.sounds: dict[str, float] = {}
        self.played_s = 0.0
        self.queued_s = 0.0
        self.state = State.IDLE
        self.sounding: str | None = None

    def names(self, *names: str) -> list[tuple[Any, ...]]:
        """The calls of these doors, in order."""
        return [call for call in self.calls if call[0] in names]

    def say(self, sound: Any, rate: int, segment: str = "speech") -> None:
        if segment not in self.sounds:
            self.calls.append(("say", segment))
        self.sounding = segment
        self.sounds[segment] = self.sounds.get(segment, 0.0) + len(sound) / rate

    def end_segment(self, segment: str = "speech") -> None:
        self.calls.append(("end_segment", segment))

    def overhear(self, sound: Any, rate: int) -> None:
        self.calls.append(("overhear", len(sound), rate))

    def user_speech(self, speaking: bool) -> None:
        self.calls.append(("user_speech", speaking))

    def note_words(self, who: Literal["user", "avatar"], text: str) -> None:
        self.calls.append(("note_words", who, text))

    def interrupt(self) -> Interrupted:
        self.calls.append(("interrupt",))
        segment, self.sounding = self.sounding, None
        return Interrupted(segment, self.played_s, 1)

    def snapshot_stats(self) -> SessionStats:
        return SessionStats(0, 0, 0, self.queued_s, 0.0, 0.0, 0, 0, (), self.state, "a person waits")

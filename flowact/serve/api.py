"""Routes about the server itself and its portraits."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from starlette.requests import Request

import flowact
from flowact.core.clock import FPS, SHIFT_S
from flowact.core.types import State
from flowact.media.portrait import CROPS
from flowact.serve.body import read_file, read_form, read_text
from flowact.serve.errors import RequestError
from flowact.serve.services import Services
from flowact.stream.planner import GESTURES

PORTRAIT_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {"type": "string", "format": "binary"},
                        "crop": {"type": "string", "enum": list(CROPS)},
                    },
                }
            }
        },
    }
}


def health_routes(services: Services) -> APIRouter:
    """Is it alive, does it take sessions, how is it doing."""
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        """Whether a session could be opened now."""
        capacity = services.engine.capacity()
        is_ready = not services.book.is_draining and not services.book.is_full and capacity.sessions < capacity.slots
        status = "draining" if services.book.is_draining else "ready" if is_ready else "full"
        return JSONResponse({"status": status}, 200 if is_ready else 503)

    @router.get("/metrics", dependencies=[Depends(services.guard.check)])
    async def metrics() -> Response:
        """Figures for Prometheus."""
        services.book.measure()
        return Response(services.metrics.text(), media_type="text/plain; version=0.0.4")

    return router


def fact_routes(services: Services) -> APIRouter:
    """What this server is, and the portraits it offers."""
    router = APIRouter(prefix="/v1", dependencies=[Depends(services.guard.check)])

    @router.get("/info")
    async def info() -> dict[str, Any]:
        """Model, words, limits and abilities."""
        return describe(services)

    @router.get("/portraits")
    async def portraits() -> list[dict[str, str]]:
        """The portraits that ship."""
        return [{"id": name, "url": f"/v1/portraits/{name}.png"} for name in services.portraits.samples]

    @router.post("/portraits", status_code=201, openapi_extra=PORTRAIT_FORM)
    async def upload(request: Request) -> dict[str, Any]:
        """Frame a picture of a person and keep it in memory for a while."""
        async with read_form(request) as form:
            crop = read_text(form, "crop", most=10) or "auto"
            if crop not in CROPS:
                raise RequestError(422, "malformed", f'crop is "{crop}"; expected one of {", ".join(CROPS)}')
            name, portrait = await services.portraits.add(await read_file(form, "image"), crop)
        return {"id": name, "preview_url": f"/v1/portraits/{name}.png", "notes": list(portrait.notes)}

    @router.get("/portraits/{id}.png", response_class=Response)
    async def picture(id: str) -> Response:
        """A portrait as the model sees it."""
        return Response(services.portraits.png(id), media_type="image/png")

    return router


def describe(services: Services) -> dict[str, Any]:
    """What `/v1/info` says."""
    avatar, config, equipment = services.avatar.config, services.config, services.equipment
    return {
        "version": flowact.__version__,
        "model": avatar.name,
        "size": avatar.size,
        "fps": FPS,
        "states": [str(state) for state in State],
        "gestures": list(GESTURES),
        "portraits": services.portraits.samples,
        "capacity": _capacity(services),
        "voice": equipment.speaker is not None,
        "asr": equipment.transcriber is not None,
        "llm": equipment.chat is not None,
        "ice_servers": [server.to_browser() for server in config.ice_servers],
        "upload_bytes": config.upload_bytes,
        "longest_render_s": config.longest_render_s,
        "longest_recording_s": config.longest_recording_s,
    }


def _capacity(services: Services) -> dict[str, Any]:
    measured, most = services.engine.capacity(), services.config.max_sessions
    slots = measured.slots if most is None else min(measured.slots, most)
    chunk_ms, rtf = round(1000 * measured.chunk_s, 1), round(measured.chunk_s / SHIFT_S, 3)
    return {"sessions": measured.sessions, "slots": slots, "chunk_ms": chunk_ms, "rtf": rtf}

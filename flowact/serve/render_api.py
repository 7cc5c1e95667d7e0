"""Routes of films that are made in the background."""

from __future__ import annotations

import asyncio
import tempfile
from typing import Any

import numpy as np
from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse, Response
from numpy.typing import NDArray
from starlette.datastructures import FormData
from starlette.requests import Request

from flowact.core.clock import SAMPLE_RATE_HZ
from flowact.media.audio import probe_audio, stream_audio
from flowact.media.portrait import load_portrait
from flowact.media.script import check_prompt
from flowact.serve.body import read_file, read_form, read_number, read_text
from flowact.serve.errors import RequestError
from flowact.serve.messages import LONGEST_PROMPT
from flowact.serve.renders import RenderWish
from flowact.serve.services import Services
from flowact.serve.session_api import LARGEST_SEED

_SHORTEST_S = 0.2
RENDER_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {"type": "string", "format": "binary"},
                        "audio": {"type": "string", "format": "binary"},
                        "prompt": {"type": "string", "maxLength": LONGEST_PROMPT},
                        "seconds": {"type": "number", "minimum": _SHORTEST_S},
                        "seed": {"type": "integer", "minimum": 0, "maximum": LARGEST_SEED},
                    },
                }
            }
        },
    }
}


def render_routes(services: Services) -> APIRouter:
    """Routes of `/v1/renders`."""
    router = APIRouter(prefix="/v1/renders", dependencies=[Depends(services.guard.check)])
    renders = services.renders

    @router.post("", status_code=202, openapi_extra=RENDER_FORM)
    async def begin(request: Request) -> dict[str, Any]:
        """Make a film of a person in a picture."""
        if services.book.is_draining:
            raise RequestError(503, "draining", "server is going down", {"Retry-After": "10"})
        async with read_form(request) as form:
            wish = await _read_wish(services, form)
        return renders.describe(renders.add(wish))

    @router.get("/{id}.mp4", response_class=FileResponse)
    async def film(id: str) -> FileResponse:
        """The finished film."""
        return FileResponse(renders.film(id), media_type="video/mp4", filename="flowact.mp4")

    @router.get("/{id}")
    async def progress(id: str) -> dict[str, Any]:
        """How far it is."""
        return renders.describe(id)

    @router.delete("/{id}", status_code=204)
    async def remove(id: str) -> Response:
        """Stop it, or forget the film."""
        renders.remove(id)
        return Response(status_code=204)

    return router


async def _read_wish(services: Services, form: FormData) -> RenderWish:
    longest = services.config.longest_render_s
    seconds = read_number(form, "seconds", _SHORTEST_S, longest)
    seed = round(read_number(form, "seed", 0, LARGEST_SEED) or 0)
    prompt = read_text(form, "prompt", LONGEST_PROMPT)
    if prompt is not None:
        prompt = check_prompt(prompt, "prompt")
    picture = await read_file(form, "image")
    sound = await read_file(form, "audio") if form.get("audio") is not None else None
    if sound is None and seconds is None:
        raise RequestError(422, "malformed", "neither audio nor seconds is given; say how long the film is")
    size = services.avatar.config.size
    portrait = await asyncio.to_thread(load_portrait, picture, size)
    audio = None if sound is None else await asyncio.to_thread(_decode, sound, longest)
    length_s = seconds if audio is None or seconds is not None else sum(map(len, audio)) / SAMPLE_RATE_HZ
    assert length_s is not None
    return RenderWish(portrait.pixels, audio, prompt, length_s, seed)


def _decode(sound: bytes, longest_s: float) -> list[NDArray[np.float32]]:
    """Blocks of sound at 16 kHz. The decoder wants a file, so it gets one under a name of the server's choosing."""
    with tempfile.NamedTemporaryFile(prefix="flowact-sound-") as file:
        file.write(sound)
        file.flush()
        seconds = probe_audio(file.name).seconds
        if seconds > longest_s:
            raise RequestError(
                422, "too_long", f"the sound lasts {seconds:.0f} s; at most {longest_s:g} s are made here"
            )
        return list(stream_audio(file.name))

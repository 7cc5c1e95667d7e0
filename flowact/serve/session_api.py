"""Routes of sessions: opening, heartbeat, call, events, recording."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, WebSocket
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection

from flowact.serve.candidates import read_candidate
from flowact.serve.errors import RequestError
from flowact.serve.events import EventSocket, dispatch
from flowact.serve.messages import Mode, SessionClosed, Trouble
from flowact.serve.seat import Seat
from flowact.serve.security import bearer
from flowact.serve.services import Services
from flowact.serve.webrtc import MOST_CANDIDATES

LARGEST_SEED = 2**32 - 1
LONGEST_SDP = 100_000
_NOT_ALLOWED = 4401
_NOT_THERE = 4404


class Offer(BaseModel):
    """A WebRTC offer, as browsers write it."""

    sdp: Annotated[str, Field(min_length=1, max_length=LONGEST_SDP)]
    type: Literal["offer"]


class SessionWish(BaseModel):
    """What a client asks for; with an offer the session begins with a call, in one round trip."""

    model_config = ConfigDict(extra="forbid")
    portrait: Annotated[str, Field(min_length=1, max_length=100)]
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    mode: Mode = "conversation"
    offer: Offer | None = None


class Candidate(BaseModel):
    """A network address of the client, as browsers write it (`RTCIceCandidateInit`)."""

    candidate: Annotated[str, Field(min_length=1, max_length=1000)]
    mid: Annotated[str, Field(max_length=100)] | None = Field(None, alias="sdpMid")
    section: Annotated[int, Field(ge=0, le=100)] | None = Field(None, alias="sdpMLineIndex")


class Candidates(BaseModel):
    """Network addresses that were found after the offer."""

    candidates: Annotated[list[Candidate], Field(min_length=1, max_length=MOST_CANDIDATES)]


class RecordingWish(BaseModel):
    """Begin or end a recording."""

    model_config = ConfigDict(extra="forbid")
    on: bool


def session_routes(services: Services) -> APIRouter:
    """Routes of `/v1/sessions`. Those of one session take its own token or that of the server."""
    router = APIRouter(prefix="/v1/sessions")
    book, guard = services.book, services.guard

    async def find(id: str, connection: HTTPConnection) -> Seat:
        if not book.is_session_token(id, bearer(connection)):
            await guard.check(connection)
        return book.get(id)

    Found = Annotated[Seat, Depends(find)]

    @router.post("", status_code=201, dependencies=[Depends(guard.check)])
    async def open_session(wish: SessionWish) -> dict[str, Any]:
        """Begin a session, or learn with 503 when to try again. `answer` is there where an offer was."""
        seat = book.open(wish.portrait, wish.seed, wish.mode)
        servers = [server.to_browser() for server in services.config.ice_servers]
        grant = {"id": seat.id, "token": seat.token, "lease_s": services.config.lease_s, "ice_servers": servers}
        if wish.offer is None:
            return grant
        try:
            return {**grant, "answer": await _answer(seat, wish.offer)}
        except Exception:
            await book.close(seat, "the offer cannot be used")
            raise

    @router.delete("/{id}", status_code=204)
    async def close_session(seat: Found) -> Response:
        """End a session."""
        await book.close(seat, "closed by the client")
        return Response(status_code=204)

    @router.post("/{id}/heartbeat")
    async def heartbeat(seat: Found) -> dict[str, Any]:
        """Renew the lease."""
        return {"lease_s": services.config.lease_s}

    @router.post("/{id}/offer")
    async def offer(seat: Found, offer: Offer) -> dict[str, str]:
        """Answer a WebRTC offer: video and audio out, microphone in, data channel "events"."""
        return await _answer(seat, offer)

    @router.post("/{id}/candidates", status_code=204)
    async def candidates(seat: Found, found: Candidates) -> Response:
        """Take network addresses that the client found after its offer, so that no offer needs to wait for them."""
        seat.add_candidates([read_candidate(c.candidate, c.mid, c.section) for c in found.candidates])
        return Response(status_code=204)

    @router.post("/{id}/recording")
    async def record(seat: Found, wish: RecordingWish) -> dict[str, Any]:
        """Begin or finish a recording of what is shown."""
        await seat.record(wish.on)
        return {"on": wish.on, "url": f"/v1/sessions/{seat.id}/recording.mp4"}

    @router.get("/{id}/recording.mp4", response_class=FileResponse)
    async def recording(seat: Found) -> FileResponse:
        """The finished recording."""
        return FileResponse(seat.film().path, media_type="video/mp4", filename="flowact-recording.mp4")

    @router.websocket("/{id}/events")
    async def events(socket: WebSocket, id: str) -> None:
        await socket.accept()
        if not book.is_session_token(id, bearer(socket)):
            await _turn_away(services, socket, id)
            return
        await EventSocket(book.get(id), socket).run()

    return router


async def _answer(seat: Seat, offer: Offer) -> dict[str, str]:
    def received(text: str, reply: Callable[[str], None]) -> None:
        _run(seat, text, reply)

    return {"sdp": await seat.offer(offer.sdp, received), "type": "answer"}


def _run(seat: Seat, text: str, reply: Callable[[str], None]) -> None:
    if dispatch(seat, text, reply) is not None:
        message = "binary output is for the WebSocket; a call already carries pictures and sound"
        reply(Trouble(code="not_here", message=message).model_dump_json())


async def _turn_away(services: Services, socket: WebSocket, id: str) -> None:
    """Say why before closing: browsers hide the reason of a handshake that was refused."""
    try:
        services.book.get(id)
        code, reason = _NOT_ALLOWED, "the token is not that of this session"
    except RequestError as error:
        code, reason = _NOT_THERE, error.message
    await socket.send_text(SessionClosed(reason=reason).model_dump_json())
    await socket.close(code)

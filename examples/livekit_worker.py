"""A worker that puts living people into LiveKit rooms. Agents ask for one over HTTP.

pip install 'flowact[livekit]'
FLOWACT_WORKER_TOKEN=secret python examples/livekit_worker.py --port 8089

In the agent, before `session.start(...)`:

    from flowact.integrations.livekit import AvatarSession

    avatar = AvatarSession("http://127.0.0.1:8089/join", worker_token="secret")
    await avatar.start(session, room=ctx.room)      # LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET are read
    await avatar.act("a person waves with the right hand")
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import logging
import os
from pathlib import Path

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

import flowact
from flowact.core.errors import SessionError
from flowact.integrations.livekit import run_avatar
from flowact.media.portrait import load_portrait
from flowact.stream.engine import Engine, leave_cores_to_engine
from flowact.stream.live import LiveSession

PORTRAIT = Path(__file__).resolve().parents[1] / "samples" / "portrait.png"


class Door:
    """`POST /join` with a bearer token: 202, or 401, 400, or 503 when every place is taken."""

    def __init__(self, engine: Engine, portrait: NDArray[np.uint8], token: str) -> None:
        self._engine, self._portrait, self._token = engine, portrait, token
        self._rooms: set[asyncio.Task[None]] = set()

    async def join(self, request: web.Request) -> web.Response:
        """Put a person into a room."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return web.json_response({"error": "wrong or missing bearer token"}, status=401)
        try:
            wish = await request.json()
            url, token, agent = (str(wish[name]) for name in ("url", "token", "agent_identity"))
        except (ValueError, KeyError, TypeError):
            return web.json_response({"error": "expected JSON with url, token and agent_identity"}, status=400)
        try:
            session = self._engine.open(self._portrait)
        except SessionError as error:
            return web.json_response({"error": str(error)}, status=503, headers={"Retry-After": "15"})
        task = asyncio.create_task(self._stay(session, url, token, agent))
        self._rooms.add(task)
        task.add_done_callback(self._rooms.discard)
        return web.json_response({"joining": True}, status=202)

    async def _stay(self, session: LiveSession, url: str, token: str, agent: str) -> None:
        try:
            await run_avatar(session, self._portrait, url, token, agent)
        except Exception:
            logging.exception("a room ended with an error")
        finally:
            self._engine.close(session, "the room ended")


def main() -> None:
    """Load the model, then wait for agents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8089)
    parser.add_argument("--portrait", type=Path, default=PORTRAIT)
    words = parser.parse_args()
    token = os.environ.get("FLOWACT_WORKER_TOKEN")
    if not token:
        parser.error("FLOWACT_WORKER_TOKEN is not set; agents need it to be let in")
    threads = leave_cores_to_engine()
    avatar = flowact.load()
    engine = Engine(avatar, threads=threads)
    engine.start()
    door = Door(engine, load_portrait(words.portrait, avatar.config.size).pixels, token)
    app = web.Application()
    app.router.add_post("/join", door.join)
    try:
        web.run_app(app, host=words.host, port=words.port)
    finally:
        engine.stop()


if __name__ == "__main__":
    main()

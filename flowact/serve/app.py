"""The application: routes, page, errors, headers, and what begins and ends with the server."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

import flowact
from flowact.serve.api import fact_routes, health_routes
from flowact.serve.bitrate import set_limits
from flowact.serve.body import LimitBody
from flowact.serve.config import ServeConfig
from flowact.serve.errors import install_error_handlers
from flowact.serve.metrics import Metrics
from flowact.serve.portraits import PortraitShelf
from flowact.serve.render_api import render_routes
from flowact.serve.renders import RenderQueue
from flowact.serve.security import Guard, LocalOnly, SecurityHeaders
from flowact.serve.services import Services
from flowact.serve.session_api import session_routes
from flowact.serve.sessions import SessionBook
from flowact.serve.talk import Equipment
from flowact.stream.avatar import Avatar
from flowact.stream.engine import Engine

logger = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "static"
_REAP_EVERY_S = 1.0


def create_app(
    engine: Engine,
    avatar: Avatar,
    config: ServeConfig,
    equipment: Equipment | None = None,
    now: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """A server around an engine that runs already. `app.state.services` holds its parts.

    Args:
        engine: serves the sessions of `avatar`.
        avatar: the model, for its sizes and for films.
        config: of the server.
        equipment: voice, ear and language; without it the avatar answers in text.
        now: the clock of leases and uploads, in seconds.
    """
    services = _make_services(engine, avatar, config, equipment or Equipment(), now)
    app = FastAPI(
        title="FlowAct",
        version=flowact.__version__,
        lifespan=_lifespan(services),
        openapi_url="/v1/openapi.json",
        docs_url=None,  # their pages load scripts from other sites
        redoc_url=None,
    )
    app.state.services = services
    install_error_handlers(app)
    for routes in (health_routes, fact_routes, session_routes, render_routes):
        app.include_router(routes(services))
    _add_page(app)
    app.add_middleware(LimitBody, most_bytes=config.upload_bytes)
    if config.token is None:
        app.add_middleware(LocalOnly)
    app.add_middleware(SecurityHeaders)
    return app


def _make_services(
    engine: Engine, avatar: Avatar, config: ServeConfig, equipment: Equipment, now: Callable[[], float]
) -> Services:
    size = avatar.config.size
    metrics = Metrics()
    portraits = PortraitShelf(size, config.samples, now, config.portrait_ttl_s, config.most_portraits)
    book = SessionBook(engine, avatar.config.name, size, config, portraits, metrics, now, equipment)

    def has_room() -> bool:
        capacity = engine.capacity()
        return capacity.sessions == 0 or capacity.sessions < capacity.slots

    renders = RenderQueue(avatar, has_room, config.most_renders, config.render_ttl_s, now)
    return Services(engine, avatar, config, Guard(config.token), book, portraits, renders, metrics, equipment)


def _lifespan(services: Services) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        size = services.avatar.config.size
        set_limits(size, size)
        reaper = asyncio.create_task(_reap(services))
        try:
            yield
        finally:
            reaper.cancel()
            with suppress(asyncio.CancelledError):
                await reaper
            await services.book.drain()
            await asyncio.to_thread(services.renders.close, services.config.drain_s)
            await services.equipment.close()

    return lifespan


async def _reap(services: Services) -> None:
    while True:
        await asyncio.sleep(_REAP_EVERY_S)
        try:
            await services.book.reap()
        except Exception:
            logger.exception("closing a session failed; the others go on")


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.mount("/static", StaticFiles(directory=PAGE), name="static")

"""What a client is told when a request cannot be granted: one JSON body with a code and a message."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from flowact.core.errors import ConfigError, FlowActError, SessionError, ShapeError

logger = logging.getLogger(__name__)


class RequestError(FlowActError):
    """A request that is refused.

    Args:
        status: HTTP status, 4xx or 503.
        code: one word for programs, such as "not_found".
        message: for people: what was wrong and what to do.
        headers: of the answer, such as Retry-After.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


def error_body(code: str, message: str) -> dict[str, dict[str, str]]:
    """The JSON body of every error."""
    return {"error": {"code": code, "message": message}}


def install_error_handlers(app: FastAPI) -> None:
    """Turn every error of a handler into that body."""

    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> JSONResponse:
        return JSONResponse(error_body(error.code, error.message), error.status, error.headers)

    @app.exception_handler(FlowActError)
    async def unusable(request: Request, error: FlowActError) -> JSONResponse:
        if isinstance(error, SessionError):
            return JSONResponse(error_body("conflict", str(error)), HTTPStatus.CONFLICT)
        if isinstance(error, ConfigError | ShapeError):
            return JSONResponse(error_body("unusable", str(error)), HTTPStatus.UNPROCESSABLE_ENTITY)
        logger.error("request %s failed: %s", request.url.path, error)
        return JSONResponse(error_body("internal", str(error)), HTTPStatus.INTERNAL_SERVER_ERROR)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        wrong = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()[:5])
        return JSONResponse(error_body("malformed", wrong), HTTPStatus.UNPROCESSABLE_ENTITY)

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> JSONResponse:
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        return JSONResponse(error_body(code, str(error.detail)), error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        message = "the server failed; its log says why"
        return JSONResponse(error_body("internal", message), HTTPStatus.INTERNAL_SERVER_ERROR)

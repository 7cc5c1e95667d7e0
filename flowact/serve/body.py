"""Request bodies within limits: counted as they arrive, uploads held in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowact.serve.errors import RequestError, error_body


class _TooLargeError(Exception):
    """The body passed the limit while it was read."""


class LimitBody:
    """Answers 413 to a body that is larger than `most_bytes`, announced or not."""

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app, self._most = app, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._most:
            await self._refuse(scope, receive, send)
            return
        seen, is_over, has_answered = 0, False, False

        async def counted() -> Message:
            nonlocal seen, is_over
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most:
                is_over = True
                raise _TooLargeError
            return message

        async def guarded(message: Message) -> None:
            nonlocal has_answered
            if not is_over:
                has_answered = True
                await send(message)

        with suppress(_TooLargeError):
            await self._app(scope, counted, guarded)
        if is_over and not has_answered:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = f"the body is larger than {self._most >> 20} MB; send a smaller file"
        await JSONResponse(error_body("too_large", message), 413, {"Connection": "close"})(scope, receive, send)


class _InMemory(MultiPartParser):
    """Keeps files of any size in memory: the limit of the body bounds them, and the disk is never touched."""

    spool_max_size = 1 << 40


@asynccontextmanager
async def read_form(request: Request) -> AsyncIterator[FormData]:
    """The fields and files of a multipart request, for a `with` block.

    Raises:
        RequestError: it is not multipart, or damaged.
    """
    kind = request.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data"):
        raise RequestError(415, "not_multipart", f'the body is "{kind}"; expected multipart/form-data')
    try:
        form = await _InMemory(request.headers, request.stream(), max_files=2, max_fields=8).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise RequestError(400, "malformed", f"the multipart body cannot be read ({error}); send it again") from error
    try:
        yield form
    finally:
        await form.close()


async def read_file(form: FormData, name: str) -> bytes:
    """The bytes of an uploaded file.

    Raises:
        RequestError: it is missing or empty.
    """
    part = form.get(name)
    if not isinstance(part, UploadFile):
        raise RequestError(422, "malformed", f'the file "{name}" is missing from the form')
    data = await part.read()
    if not data:
        raise RequestError(422, "malformed", f'the file "{name}" is empty')
    return data


def read_text(form: FormData, name: str, most: int) -> str | None:
    """A text field; None where it is missing or empty.

    Raises:
        RequestError: it is a file, or longer than `most` characters.
    """
    part = form.get(name)
    if isinstance(part, UploadFile) or (part is not None and len(part) > most):
        raise RequestError(422, "malformed", f'the field "{name}" is a file or longer than {most} characters')
    return part or None


def read_number(form: FormData, name: str, least: float, most: float) -> float | None:
    """A number within limits; None where it is missing.

    Raises:
        RequestError: it is no number, or beyond the limits.
    """
    text = read_text(form, name, 40)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise RequestError(422, "malformed", f'"{name}" is {text}; expected a number from {least:g} to {most:g}')
    return value

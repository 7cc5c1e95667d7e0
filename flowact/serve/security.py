"""Who may come in: loopback by default, a bearer token elsewhere, a token of its own for every session."""

from __future__ import annotations

import ipaddress
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowact.core.errors import ConfigError
from flowact.serve.errors import RequestError, error_body

SHORTEST_TOKEN = 16

_PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob: mediastream:",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    name = host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def choose_token(host: str, given: str | None) -> str | None:
    """The token that a server on `host` demands: the given one, one made up, or none on loopback.

    Raises:
        ConfigError: the given one is too short to be a secret.
    """
    if given is not None:
        if len(given) < SHORTEST_TOKEN or not given.isascii() or not given.isprintable() or " " in given:
            raise ConfigError(
                f"the token has {len(given)} characters; expected at least {SHORTEST_TOKEN}, ASCII and without spaces. "
                "Leave it out to have one made"
            )
        return given
    return None if is_loopback(host) else secrets.token_urlsafe(24)


def bearer(connection: HTTPConnection) -> str | None:
    """The token of a request: from its header, or from the query where a browser cannot set headers."""
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value:
        return value.strip()
    is_reading = connection.scope["type"] == "websocket" or connection.scope.get("method") == "GET"
    return connection.query_params.get("token") if is_reading else None


def same(given: str | None, expected: str) -> bool:
    """Compare two tokens in constant time."""
    return given is not None and secrets.compare_digest(given.encode(), expected.encode())


class Guard:
    """Asks for the server's token where there is one; `check` is a dependency of routes."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def check(self, connection: HTTPConnection) -> None:
        """Let the request pass.

        Raises:
            RequestError: 401.
        """
        if self._token is not None and not same(bearer(connection), self._token):
            raise unauthorized("this server asks for its token: send `Authorization: Bearer TOKEN`")


def unauthorized(message: str) -> RequestError:
    """401 with the header that it must carry."""
    return RequestError(401, "unauthorized", message, {"WWW-Authenticate": "Bearer"})


class SecurityHeaders:
    """Adds the headers that keep a browser within the page; answers of the API are never cached."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class LocalOnly:
    """For a server without a token: refuses other names of this machine and pages of other sites.

    Without it any site that a browser on this machine visits could reach the server (DNS rebinding, cross-site posts).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it with 403."""
        if scope["type"] in ("http", "websocket") and not self._is_local(HTTPConnection(scope)):
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 4403, "reason": "other site"})
                return
            message = "this server answers only its own page on this machine; start it with --token for others"
            await JSONResponse(error_body("forbidden", message), 403)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    @staticmethod
    def _is_local(connection: HTTPConnection) -> bool:
        host = connection.headers.get("host", "")
        try:
            name = urlsplit(f"//{host}").hostname or ""
            origin = connection.headers.get("origin")
            is_own_page = origin is None or urlsplit(origin).netloc == host
        except ValueError:
            return False
        return is_loopback(name) and is_own_page

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from starlette.websockets import WebSocketDisconnect

from flowact.core.errors import ConfigError
from flowact.serve.config import IceServer
from flowact.serve.security import choose_token, is_loopback
from tests.serve.conftest import connect, error_of, open_session

Serve = Callable[..., SimpleNamespace]
TOKEN = "a-token-of-decent-length"


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("10.0.0.1", False), ("a.b", False)],
)
def test_only_loopback_goes_without_a_token(host: str, local: bool) -> None:
    assert is_loopback(host) is local
    made = choose_token(host, None)
    assert (made is None) is local
    assert made is None or len(made) >= 24
    assert choose_token(host, TOKEN) == TOKEN


@pytest.mark.parametrize("weak", ["", "short", "x" * 15, "with spaces in the middle", "ümläüte-sind-nicht-gut"])
def test_weak_tokens(weak: str) -> None:
    with pytest.raises(ConfigError, match="token"):
        choose_token("0.0.0.0", weak)


def test_everything_but_the_page_asks_for_the_token(serve: Serve) -> None:
    client = serve(host="10.0.0.1", token=TOKEN).client
    for path in ("/v1/info", "/v1/portraits", "/v1/portraits/anna.png", "/metrics", "/v1/renders/x"):
        answer = client.get(path)
        assert error_of(answer, 401) == "unauthorized"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get(path, headers={"Authorization": "Bearer wrong-token-of-length"}).status_code == 401
        assert client.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code in (200, 404)
    assert client.get(f"/v1/info?token={TOKEN}").status_code == 200
    assert error_of(client.post(f"/v1/sessions?token={TOKEN}", json={"portrait": "anna"}), 401) == "unauthorized"
    for path in ("/", "/healthz", "/readyz"):
        assert client.get(path).status_code == 200


def test_a_session_token_opens_its_session_only(serve: Serve) -> None:
    client = serve(host="10.0.0.1", token=TOKEN).client
    wish, auth = {"portrait": "anna"}, {"Authorization": f"Bearer {TOKEN}"}
    first, second = (client.post("/v1/sessions", json=wish, headers=auth).json() for _ in range(2))
    own = {"Authorization": f"Bearer {first['token']}"}
    assert client.post(f"/v1/sessions/{first['id']}/heartbeat", headers=own).status_code == 200
    assert error_of(client.post(f"/v1/sessions/{second['id']}/heartbeat", headers=own), 401) == "unauthorized"
    assert client.get("/v1/info", headers=own).status_code == 401
    assert client.post(f"/v1/sessions/{second['id']}/heartbeat", headers=auth).status_code == 200


@pytest.mark.parametrize("token", ["", "?token=wrong", None])
def test_events_need_the_token_of_the_session_even_on_loopback(serve: Serve, token: str | None) -> None:
    client = serve().client
    first, second = open_session(client), open_session(client)
    query = f"?token={second['token']}" if token is None else token
    with connect(client, first, query) as socket:
        assert socket.receive_json()["type"] == "session.closed"
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == 4401


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Host": "a:b:c["}])
def test_other_sites_cannot_reach_a_server_without_a_token(serve: Serve, headers: dict[str, str]) -> None:
    client = serve().client
    assert error_of(client.get("/v1/info", headers=headers), 403) == "forbidden"
    with pytest.raises(WebSocketDisconnect) as closed, connect(client, {"id": "x"}, "", headers=headers):
        pass
    assert closed.value.code == 4403
    assert client.get("/v1/info", headers={"Origin": "http://127.0.0.1:8000"}).status_code == 200


def test_ice_servers_are_read() -> None:
    assert IceServer.parse("stun:a:3478").to_browser() == {"urls": "stun:a:3478"}
    turn = IceServer.parse("turn:a:3478,me,secret").to_browser()
    assert turn == {"urls": "turn:a:3478", "username": "me", "credential": "secret"}
    for wrong in ("http://a", "turn:a", "stun:", "turn:a,me"):
        with pytest.raises(ConfigError, match="--ice-server"):
            IceServer.parse(wrong)

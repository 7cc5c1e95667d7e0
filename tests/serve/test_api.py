from __future__ import annotations

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from tests.serve.conftest import connect, error_of, open_session

Serve = Callable[..., SimpleNamespace]
TOKEN = "a-token-of-decent-length"


def test_info_tells_what_the_page_needs(serve: Serve) -> None:
    client = serve().client
    facts = client.get("/v1/info").json()
    assert (facts["model"], facts["size"], facts["fps"]) == ("fake", 64, 25)
    assert "listen" in facts["states"]
    assert "wave" in facts["gestures"]
    assert facts["portraits"] == ["anna"]
    assert facts["capacity"] == {"sessions": 0, "slots": 2, "chunk_ms": 200.0, "rtf": 0.417}
    assert (facts["voice"], facts["asr"], facts["llm"]) == (False, False, False)


def test_full_engine_answers_503_with_retry_after(serve: Serve) -> None:
    server = serve(slots=1)
    open_session(server.client)
    answer = server.client.post("/v1/sessions", json={"portrait": "anna"})
    assert error_of(answer, 503) == "full"
    assert answer.headers["retry-after"] == "15"
    assert server.client.get("/readyz").status_code == 503


def test_limit_of_the_settings(serve: Serve) -> None:
    server = serve(slots=5, max_sessions=1)
    granted = open_session(server.client)
    assert error_of(server.client.post("/v1/sessions", json={"portrait": "anna"}), 503) == "full"
    assert server.client.delete(f"/v1/sessions/{granted['id']}").status_code == 204
    assert server.engine.living == []
    open_session(server.client)


def test_lease_expires_without_a_heartbeat(serve: Serve) -> None:
    server = serve(lease_s=20)
    quiet, beating = open_session(server.client), open_session(server.client)
    reap = server.services.book.reap
    server.clock.s = 15
    assert server.client.post(f"/v1/sessions/{beating['id']}/heartbeat").json() == {"lease_s": 20}
    server.clock.s = 25
    server.client.portal.call(reap)
    assert error_of(server.client.post(f"/v1/sessions/{quiet['id']}/heartbeat"), 404) == "no_such_session"
    assert server.client.post(f"/v1/sessions/{beating['id']}/heartbeat").status_code == 200
    assert len(server.engine.living) == 1


def test_a_connected_client_needs_no_heartbeat(serve: Serve) -> None:
    server = serve(lease_s=20)
    granted = open_session(server.client)
    with connect(server.client, granted):
        server.clock.s = 100
        server.client.portal.call(server.services.book.reap)
        assert len(server.services.book) == 1
    server.client.post(f"/v1/sessions/{granted['id']}/heartbeat")
    server.clock.s = 200
    server.client.portal.call(server.services.book.reap)
    assert len(server.services.book) == 0


def test_longest_session(serve: Serve) -> None:
    server = serve(lease_s=1000, longest_session_s=60)
    open_session(server.client)
    server.clock.s = 61
    server.client.portal.call(server.services.book.reap)
    assert len(server.services.book) == 0


def test_a_failed_session_ends_alone(serve: Serve) -> None:
    server = serve()
    healthy = open_session(server.client)
    sick = open_session(server.client)
    with connect(server.client, sick) as socket:
        living = server.engine.living[1]
        living.fails_at = living.frames + 3
        while (event := socket.receive_json())["type"] != "session.closed":
            pass
    assert "the engine broke" in event["reason"]
    assert server.client.post(f"/v1/sessions/{healthy['id']}/heartbeat").status_code == 200


def test_sessions_have_their_own_state(serve: Serve) -> None:
    server = serve()
    first, second = open_session(server.client, seed=1), open_session(server.client, seed=2)
    assert first["id"] != second["id"]
    assert first["token"] != second["token"]
    with connect(server.client, first) as socket:
        socket.send_json({"type": "behaviour.set", "prompt": "a person waves"})
        while socket.receive_json().get("prompt") != "a person waves":
            pass
    assert [action.prompt for action in server.engine.living[0].actions] == ["a person waves"]
    assert server.engine.living[1].actions == []


def test_portraits(serve: Serve, face: bytes) -> None:
    client = serve(portrait_ttl_s=100).client
    assert client.get("/v1/portraits").json() == [{"id": "anna", "url": "/v1/portraits/anna.png"}]
    made = client.post("/v1/portraits", files={"image": ("me.png", face)})
    assert made.status_code == 201
    preview = client.get(made.json()["preview_url"])
    assert Image.open(io.BytesIO(preview.content)).size == (64, 64)
    open_session(client, portrait=made.json()["id"])


def test_uploads_are_forgotten(serve: Serve, face: bytes) -> None:
    server = serve(portrait_ttl_s=100)
    url = server.client.post("/v1/portraits", files={"image": ("me.png", face)}).json()["preview_url"]
    server.clock.s = 101
    assert error_of(server.client.get(url), 404) == "no_such_portrait"
    assert server.client.get("/v1/portraits/anna.png").status_code == 200


def test_upload_that_is_large_stays_off_the_disk(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_disk(*args: Any, **options: Any) -> None:
        raise AssertionError("a temporary file was made")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", no_disk)
    answer = serve().client.post("/v1/portraits", files={"image": ("noise.png", b"x" * (3 << 20))})
    assert error_of(answer, 422) == "unusable"


@pytest.mark.parametrize(
    ("files", "data", "status", "code"),
    [
        ({"image": ("a.png", b"no picture")}, {}, 422, "unusable"),
        ({"image": ("a.png", b"")}, {}, 422, "malformed"),
        ({"other": ("a.png", b"x")}, {}, 422, "malformed"),
        ({"image": ("a.png", b"x")}, {"crop": "sideways"}, 422, "malformed"),
    ],
)
def test_bad_uploads(serve: Serve, files: Any, data: Any, status: int, code: str) -> None:
    assert error_of(serve().client.post("/v1/portraits", files=files, data=data), status) == code


def test_upload_limit_announced_and_not(serve: Serve) -> None:
    client = serve(upload_bytes=1000).client
    assert error_of(client.post("/v1/portraits", files={"image": ("a.png", b"x" * 2000)}), 413) == "too_large"
    kind = {"content-type": "multipart/form-data; boundary=b"}
    pieces = iter([b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'] + [b"x" * 500] * 4)
    assert error_of(client.post("/v1/portraits", content=pieces, headers=kind), 413) == "too_large"


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("POST", "/v1/sessions", {"content": b"{"}, 422),
        ("POST", "/v1/sessions", {"json": []}, 422),
        ("POST", "/v1/sessions", {"json": {"portrait": "anna", "seed": -1}}, 422),
        ("POST", "/v1/sessions", {"json": {"portrait": "anna", "mode": "clown"}}, 422),
        ("POST", "/v1/sessions", {"json": {"portrait": "../../etc/passwd"}}, 404),
        ("POST", "/v1/sessions", {"json": {"portrait": "anna", "extra": 1}}, 422),
        ("POST", "/v1/sessions/none/heartbeat", {}, 404),
        ("DELETE", "/v1/sessions/none", {}, 404),
        ("GET", "/v1/sessions/none/recording.mp4", {}, 404),
        ("GET", "/v1/portraits/%2e%2e%2fsecret.png", {}, 404),
        ("POST", "/v1/portraits", {"content": b"x"}, 415),
        ("POST", "/v1/portraits", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400),
        ("POST", "/v1/renders", {"data": {"seconds": "1"}}, 415),
        ("GET", "/v1/renders/none", {}, 404),
        ("GET", "/v1/nothing", {}, 404),
        ("PUT", "/v1/info", {}, 405),
    ],
)
def test_malformed_requests(serve: Serve, method: str, path: str, options: dict[str, Any], status: int) -> None:
    error_of(serve().client.request(method, path, **options), status)


@pytest.mark.parametrize(
    "offer",
    [
        {"sdp": "garbage", "type": "offer"},
        {"sdp": "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n", "type": "offer"},
        {"sdp": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio x y\r\n", "type": "offer"},
        {"sdp": "v=0", "type": "answer"},
        {"type": "offer"},
    ],
)
def test_garbage_offers(serve: Serve, offer: dict[str, str]) -> None:
    server = serve()
    granted = open_session(server.client)
    answer = server.client.post(f"/v1/sessions/{granted['id']}/offer", json=offer)
    assert answer.status_code in (400, 422)
    assert error_of(answer, answer.status_code) in ("bad_offer", "malformed")
    assert server.client.post(f"/v1/sessions/{granted['id']}/heartbeat").status_code == 200


def test_a_session_with_a_garbage_offer_is_not_kept(serve: Serve) -> None:
    server = serve(slots=1)
    wish = {"portrait": "anna", "offer": {"sdp": "garbage", "type": "offer"}}
    assert error_of(server.client.post("/v1/sessions", json=wish), 400) == "bad_offer"
    assert server.engine.living == []
    assert "answer" not in open_session(server.client)


def test_addresses_without_a_call(serve: Serve) -> None:
    client = serve().client
    path = f"/v1/sessions/{open_session(client)['id']}/candidates"
    found = {"candidate": "candidate:1 1 udp 2122 192.0.2.7 5000 typ host", "sdpMid": "0", "usernameFragment": "x"}
    assert error_of(client.post(path, json={"candidates": [found]}), 409) == "no_call"
    assert error_of(client.post(path, json={"candidates": [{"candidate": "somewhere"}]}), 400) == "bad_candidate"
    assert error_of(client.post(path, json={"candidates": []}), 422) == "malformed"


def test_a_bug_answers_500_without_its_details(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve()
    monkeypatch.setattr(server.engine, "capacity", lambda: 1 / 0)
    answer = server.client.get("/v1/info")
    assert error_of(answer, 500) == "internal"
    assert "division" not in answer.text


def test_metrics(serve: Serve) -> None:
    server = serve(slots=1)
    open_session(server.client)
    server.client.post("/v1/sessions", json={"portrait": "anna"})
    text = server.client.get("/metrics").text
    assert "flowact_sessions 1.0" in text
    assert 'flowact_refused_total{reason="full"} 1.0' in text
    assert 'flowact_chunk_seconds{quantile="0.5"} 0.2' in text


def test_drain_tells_clients_and_refuses(serve: Serve) -> None:
    server = serve()
    granted = open_session(server.client)
    with connect(server.client, granted) as socket:
        server.client.portal.call(server.services.book.drain)
        while (event := socket.receive_json())["type"] != "session.closed":
            pass
        assert event["reason"] == "server is going down"
    assert error_of(server.client.post("/v1/sessions", json={"portrait": "anna"}), 503) == "draining"
    assert server.client.get("/readyz").json() == {"status": "draining"}
    assert server.client.get("/healthz").status_code == 200


def test_page_and_headers(serve: Serve) -> None:
    client = serve().client
    page = client.get("/")
    assert page.status_code == 200
    assert "<script>" not in page.text
    assert "'unsafe-inline'" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in page.headers
    assert client.get("/static/../app.py").status_code == 404

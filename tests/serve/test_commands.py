from __future__ import annotations

import json
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from flowact.cli import main
from flowact.serve.app import create_app
from flowact.serve.config import ServeConfig
from flowact.serve.server import DrainingServer
from tests.fake_avatar import FakeAvatar
from tests.serve.fake_engine import SIZE, FakeEngine


def run(*words: str) -> int:
    """Exit code of `flowact WORDS`."""
    before, sys.argv = sys.argv, ["flowact", *words]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


def test_serve_tells_of_a_taken_port_before_it_loads(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run("serve", "--port", str(taken.getsockname()[1])) == 2
    assert "choose another --port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [(("--ice-server", "http://a"), "--ice-server"), (("--token", "short"), "16"), (("--model", "/nowhere"), "model")],
)
def test_serve_refuses_settings(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    assert run("serve", "--port", str(port), *words) == 2
    assert message in capsys.readouterr().err


def test_doctor_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWACT_TTS", "none")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run("doctor", "--model", str(tmp_path), "--port", str(port)) == 1
    said = capsys.readouterr().out
    assert "start the server with another --port" in said
    assert "holds no FlowAct model" in said
    assert "FLOWACT_LLM_URL" in said
    assert "cores" in said


def test_a_signal_ends_sessions_before_sockets(samples: Path, quick_samples: None) -> None:
    config = ServeConfig(port=0, samples=samples, drain_s=5)
    app = create_app(FakeEngine(), FakeAvatar(SIZE), config)  # type: ignore[arg-type]
    server = DrainingServer(app, config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = "127.0.0.1:" + str(server.servers[0].sockets[0].getsockname()[1])
    granted = httpx.post(f"http://{url}/v1/sessions", json={"portrait": "anna"}, timeout=30).json()
    with connect(f"ws://{url}/v1/sessions/{granted['id']}/events?token={granted['token']}") as events:
        assert json.loads(events.recv(30))["type"] == "session.created"
        server.handle_exit(signal.SIGTERM, None)
        while (event := json.loads(events.recv(30)))["type"] != "session.closed":
            pass
    assert event["reason"] == "server is going down"
    thread.join(30)
    assert not thread.is_alive()

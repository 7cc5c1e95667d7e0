from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from flowact.media.portrait import Portrait, load_portrait
from flowact.serve import portraits
from flowact.serve.app import create_app
from flowact.serve.config import ServeConfig
from flowact.serve.talk import Equipment
from tests.fake_avatar import FakeAvatar
from tests.media.samples import draw_face
from tests.serve.fake_engine import SIZE, Clock, FakeEngine


@pytest.fixture
def face() -> bytes:
    """A PNG with a face."""
    file = io.BytesIO()
    Image.fromarray(draw_face(300, 300, 150, 120, 110)).save(file, "png")
    return file.getvalue()


@pytest.fixture
def samples(tmp_path: Path, face: bytes) -> Path:
    """A folder with the portraits that ship: one, "anna"."""
    folder = tmp_path / "samples"
    folder.mkdir()
    (folder / "anna.png").write_bytes(face)
    return folder


@pytest.fixture
def quick_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples are not searched for a face; uploads are."""

    def load(source: Path | bytes, size: int, crop: str = "auto") -> Portrait:
        return load_portrait(source, size, "none" if isinstance(source, Path) else crop)

    monkeypatch.setattr(portraits, "load_portrait", load)


@pytest.fixture
def serve(samples: Path, quick_samples: None) -> Iterator[Callable[..., SimpleNamespace]]:
    """Start a server with settings; gives its client, engine and clock. With `raises`, its bugs end the test."""
    running: list[TestClient] = []

    def start(
        slots: int = 2,
        avatar: Any = None,
        host: str = "127.0.0.1",
        raises: bool = False,
        equipment: Equipment | None = None,
        **settings: Any,
    ) -> SimpleNamespace:
        engine, clock, avatar = FakeEngine(slots), Clock(), avatar or FakeAvatar(SIZE)
        config = ServeConfig(host=host, samples=samples, **settings)
        app = create_app(engine, avatar, config, equipment, now=clock)  # type: ignore[arg-type]
        client = TestClient(app, base_url=f"http://{host}:8000", raise_server_exceptions=raises)
        client.__enter__()
        running.append(client)
        return SimpleNamespace(client=client, engine=engine, clock=clock, avatar=avatar, services=app.state.services)

    yield start
    for client in running:
        client.__exit__(None, None, None)


def open_session(client: TestClient, **wish: Any) -> dict[str, Any]:
    """Open a session and give what the server granted."""
    answer = client.post("/v1/sessions", json={"portrait": "anna", **wish})
    assert answer.status_code == 201, answer.text
    granted: dict[str, Any] = answer.json()
    return granted


def error_of(answer: Any, status: int) -> str:
    """The code of an error, after checking that it has the one shape all errors have."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"}
    assert body["error"]["message"]
    code: str = body["error"]["code"]
    return code


def listen(socket: Any, kind: str) -> dict[str, Any]:
    """The next event of a kind; other events are passed over."""
    for _ in range(500):
        event: dict[str, Any] = socket.receive_json()
        if event["type"] == kind:
            return event
    raise AssertionError(f"no {kind} in 500 events")


def connect(client: TestClient, granted: dict[str, Any], query: str | None = None, **options: Any) -> Any:
    """The events of a session, with its token or another query."""
    host = client.base_url.host
    query = f"?token={granted['token']}" if query is None else query
    return client.websocket_connect(f"ws://{host}:8000/v1/sessions/{granted['id']}/events{query}", **options)

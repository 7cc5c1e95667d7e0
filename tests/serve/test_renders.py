from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from tests.fake_avatar import FakeAvatar
from tests.media.samples import tone, write_wav
from tests.serve.conftest import error_of, open_session

Serve = Callable[..., SimpleNamespace]


def finished(client: Any, id: str) -> dict[str, Any]:
    """What the server says about a film once nothing more will happen to it."""
    for _ in range(600):
        facts: dict[str, Any] = client.get(f"/v1/renders/{id}").json()
        if facts["stage"] in ("done", "failed"):
            return facts
        time.sleep(0.05)
    raise AssertionError("the film was not finished")


def test_a_film_of_a_voice(serve: Serve, face: bytes, tmp_path: Path) -> None:
    server = serve()
    write_wav(tmp_path / "voice.wav", tone(1.3, 16_000))
    files = {"image": ("me.png", face), "audio": ("voice.wav", (tmp_path / "voice.wav").read_bytes())}
    made = server.client.post("/v1/renders", files=files, data={"prompt": "a person  waves", "seed": "7"})
    assert made.status_code == 202, made.text
    facts = finished(server.client, made.json()["id"])
    assert (facts["stage"], facts["progress"], facts["frames"], facts["error"]) == ("done", 1.0, 33, None)
    film = server.client.get(f"/v1/renders/{facts['id']}.mp4")
    assert film.headers["content-type"] == "video/mp4"
    with av.open(io.BytesIO(film.content)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 33
    assert (server.avatar.asked.prompt, server.avatar.asked.seed) == ("a person waves", 7)
    assert server.client.delete(f"/v1/renders/{facts['id']}").status_code == 204
    assert error_of(server.client.get(f"/v1/renders/{facts['id']}.mp4"), 404) == "no_such_render"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({}, "malformed"),
        ({"seconds": "soon"}, "malformed"),
        ({"seconds": "nan"}, "malformed"),
        ({"seconds": "1e9"}, "malformed"),
        ({"seconds": "2", "seed": "-4"}, "malformed"),
        ({"seconds": "2", "prompt": "x" * 500}, "malformed"),
        ({"seconds": "2", "prompt": "   "}, "unusable"),
    ],
)
def test_wishes_that_cannot_be_granted(serve: Serve, face: bytes, data: dict[str, str], code: str) -> None:
    answer = serve().client.post("/v1/renders", files={"image": ("me.png", face)}, data=data)
    assert error_of(answer, 422) == code


def test_sound_that_is_no_sound_or_too_long(serve: Serve, face: bytes, tmp_path: Path) -> None:
    client = serve(longest_render_s=1).client
    files = {"image": ("me.png", face), "audio": ("voice.wav", b"no sound at all")}
    assert error_of(client.post("/v1/renders", files=files), 422) == "unusable"
    write_wav(tmp_path / "voice.wav", tone(1.3, 16_000))
    files["audio"] = ("voice.wav", (tmp_path / "voice.wav").read_bytes())
    assert error_of(client.post("/v1/renders", files=files), 422) == "too_long"


def test_the_queue_is_bounded_and_a_film_can_be_stopped(serve: Serve, face: bytes) -> None:
    gate = threading.Event()

    class Slow(FakeAvatar):
        def stream(self, *args: Any, **options: Any) -> Any:
            for clip in super().stream(*args, **options):
                gate.wait(30)
                yield clip

    client = serve(avatar=Slow(), most_renders=1).client
    wish = {"files": {"image": ("me.png", face)}, "data": {"seconds": "2"}}
    first = client.post("/v1/renders", **wish).json()["id"]
    refused = client.post("/v1/renders", **wish)
    assert error_of(refused, 503) == "full"
    assert int(refused.headers["retry-after"]) > 0
    assert error_of(client.get(f"/v1/renders/{first}.mp4"), 409) == "not_ready"
    assert client.delete(f"/v1/renders/{first}").status_code == 204
    gate.set()
    second = client.post("/v1/renders", **wish).json()["id"]
    assert finished(client, second)["stage"] == "done"


def test_a_film_waits_for_live_sessions(serve: Serve, face: bytes) -> None:
    client = serve(slots=1).client
    session = open_session(client)
    made = client.post("/v1/renders", files={"image": ("me.png", face)}, data={"seconds": "1"}).json()["id"]
    while client.get(f"/v1/renders/{made}").json()["stage"] != "paused":
        time.sleep(0.01)
    client.delete(f"/v1/sessions/{session['id']}")
    assert finished(client, made)["stage"] == "done"


def test_a_failure_is_told(serve: Serve, face: bytes) -> None:
    client = serve(avatar=FakeAvatar(fail_at=1)).client
    made = client.post("/v1/renders", files={"image": ("me.png", face)}, data={"seconds": "2"}).json()["id"]
    facts = finished(client, made)
    assert facts["stage"] == "failed"
    assert "the engine broke" in facts["error"]["message"]
    assert error_of(client.get(f"/v1/renders/{made}.mp4"), 409) == "not_ready"


def test_recording_of_a_session(serve: Serve) -> None:
    client = serve().client
    url = f"/v1/sessions/{open_session(client)['id']}/recording"
    assert error_of(client.get(f"{url}.mp4"), 404) == "no_recording"
    assert client.post(url, json={"on": True}).json()["on"] is True
    assert error_of(client.get(f"{url}.mp4"), 409) == "recording"
    time.sleep(0.3)
    client.post(url, json={"on": False})
    film = client.get(f"{url}.mp4")
    assert film.status_code == 200, film.text
    with av.open(io.BytesIO(film.content)) as file:
        assert sum(1 for _ in file.decode(video=0)) >= 1

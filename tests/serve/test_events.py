from __future__ import annotations

import base64
import io
from collections.abc import AsyncGenerator, Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flowact.core.types import State, Tick
from flowact.serve.messages import BadEventError, parse_event
from flowact.serve.narrator import Narrator
from flowact.serve.talk import Equipment
from flowact.serve.voices.tts import SpeechPiece
from tests.serve.conftest import connect, listen, open_session
from tests.serve.fake_engine import FakeLive

Serve = Callable[..., SimpleNamespace]


def sound(seconds: float) -> str:
    samples = (np.full(round(16000 * seconds), 0.25) * 32767).astype("<i2")
    return base64.b64encode(samples.tobytes()).decode()


def test_greeting_then_state(serve: Serve) -> None:
    client = serve().client
    granted = open_session(client, mode="puppet")
    with connect(client, granted) as socket:
        first = socket.receive_json()
        assert first == {"type": "session.created", "id": granted["id"], "mode": "puppet", "size": 64, "fps": 25}
        state = listen(socket, "session.state")
    assert (state["state"], state["prompt"], state["epoch"]) == ("idle", "a person waits", 0)


def test_appended_sound_is_spoken_and_told(serve: Serve) -> None:
    client = serve().client
    with connect(client, open_session(client)) as socket:
        socket.send_json({"type": "input_audio.append", "audio": sound(0.2), "rate": 16000})
        socket.send_json({"type": "input_audio.commit"})
        assert listen(socket, "speech.started")["segment"] == "appended"
        done = listen(socket, "speech.done")
    assert (done["played_s"], done["interrupted"]) == (pytest.approx(0.2), False)


def test_cancel_stops_speech(serve: Serve) -> None:
    server = serve()
    with connect(server.client, open_session(server.client)) as socket:
        socket.send_json({"type": "input_audio.append", "audio": sound(20), "rate": 16000})
        listen(socket, "speech.started")
        socket.send_json({"type": "response.cancel"})
        done = listen(socket, "speech.done")
    assert done["interrupted"] is True
    assert done["played_s"] < 20
    assert "flowact_stop_seconds_count 1.0" in server.client.get("/metrics").text


def test_behaviour_words_become_actions(serve: Serve) -> None:
    server = serve()
    with connect(server.client, open_session(server.client)) as socket:
        socket.send_json({"type": "behaviour.set", "gesture": "wave"})
        socket.send_json({"type": "behaviour.set", "state": "listen", "gesture": "nod"})
        socket.send_json({"type": "behaviour.set", "prompt": "  a person   smiles "})
        socket.send_json({"type": "session.update", "prompt": "a person stands", "mode": "puppet"})
        socket.send_json({"type": "nonsense"})
        listen(socket, "error")
        actions = [(a.state, a.prompt, a.urgent) for a in server.engine.living[0].actions]
        socket.send_json({"type": "behaviour.clear"})
        socket.send_json({"type": "nonsense"})
        listen(socket, "error")
        assert server.engine.living[0].actions == []
    assert actions == [
        (State.GESTURE, "a person waves hello", True),
        (State.LISTEN, "a person listens attentively and nods in agreement", True),
        (State.GESTURE, "a person smiles", True),
        (State.GESTURE, "a person stands", False),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "not_json"),
        ("[]", "malformed"),
        ("{}", "unknown_type"),
        ('{"type": "no.such"}', "unknown_type"),
        ('{"type": "speech.say"}', "malformed"),
        ('{"type": "speech.say", "text": "   "}', "malformed"),
        ('{"type": "speech.say", "text": "a", "extra": 1}', "malformed"),
        ('{"type": "behaviour.set"}', "malformed"),
        ('{"type": "behaviour.set", "gesture": "moonwalk"}', "unknown_gesture"),
        ('{"type": "behaviour.set", "state": "asleep"}', "malformed"),
        ('{"type": "input_audio.append", "audio": "%%%"}', "bad_audio"),
        ('{"type": "input_audio.append", "audio": "QQ=="}', "bad_audio"),
        ('{"type": "input_audio.append", "audio": "QUE=", "rate": 7}', "malformed"),
        ("x" * 100_000, "not_json"),
    ],
)
def test_a_bad_event_gets_one_error_and_the_session_goes_on(serve: Serve, text: str, code: str) -> None:
    client = serve().client
    with connect(client, open_session(client)) as socket:
        socket.send_text(text)
        error = listen(socket, "error")
        assert (error["code"], bool(error["message"])) == (code, True)
        socket.send_json({"type": "input_audio.append", "audio": sound(0.1)})
        assert listen(socket, "speech.started")


def test_text_without_a_voice_is_answered_in_text(serve: Serve) -> None:
    client = serve().client
    with connect(client, open_session(client)) as socket:
        socket.send_json({"type": "speech.say", "text": "Good morning."})
        assert listen(socket, "error")["code"] == "no_voice"
        said = listen(socket, "transcript")
    assert (said["who"], said["text"]) == ("avatar", "Good morning.")


class Voice:
    """A fifth of a second for every word."""

    async def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        for word in text.split():
            yield SpeechPiece(np.full(3200, 0.1, np.float32), 16_000, word)

    async def close(self) -> None:
        pass


def test_words_come_with_their_sound(serve: Serve) -> None:
    client = serve(equipment=Equipment(speaker=Voice())).client
    told: list[tuple[Any, ...]] = []
    with connect(client, open_session(client)) as socket:
        socket.send_json({"type": "speech.say", "text": "One two"})
        while not told or told[-1][-1] is not True:
            event = socket.receive_json()
            if event["type"] in ("speech.started", "speech.done", "transcript"):
                told.append((event["type"], event.get("text"), event.get("final")))
    assert told == [
        ("speech.started", None, None),
        ("transcript", "One", False),
        ("transcript", "two", False),
        ("speech.done", None, None),
        ("transcript", "One two", True),
    ]


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ('{"type": "behaviour.set", "gesture": "moonwalk"}', "behaviour.set"),
        ('{"type": "behaviour.set", "state": "asleep"}', "behaviour.set"),
        ('{"type": "speech.say"}', "speech.say"),
        ('{"type": "no.such"}', None),
        ("{", None),
    ],
)
def test_an_error_names_what_it_is_about(serve: Serve, text: str, about: str | None) -> None:
    client = serve().client
    with connect(client, open_session(client)) as socket:
        socket.send_text(text)
        assert listen(socket, "error")["event"] == about


def test_binary_output(serve: Serve) -> None:
    client = serve().client
    with connect(client, open_session(client)) as socket:
        socket.send_json({"type": "output.subscribe", "video": True, "audio": True})
        pictures: dict[int, bytes] = {}
        sounds: dict[int, bytes] = {}
        while len(pictures) < 3 or len(sounds) < 3:
            message = socket.receive()
            data = message.get("bytes")
            if data:
                {1: pictures, 2: sounds}[data[0]][int.from_bytes(data[1:9], "little")] = data[9:]
    assert sorted(sounds) == list(range(min(sounds), min(sounds) + len(sounds)))
    assert set(pictures) & set(sounds)
    assert all(len(data) == 1280 for data in sounds.values())
    assert Image.open(io.BytesIO(next(iter(pictures.values())))).size == (64, 64)


def test_stats_come_once_a_second(serve: Serve) -> None:
    client = serve().client
    with connect(client, open_session(client)) as socket:
        stats = listen(socket, "stats")["stats"]
    assert (stats["chunk_ms_p50"], stats["lead_ms"], stats["held_ticks"], stats["rtf"]) == (200.0, 480, 0, 0.417)


def ticks(*parts: tuple[int, str | None, bool]) -> list[Tick]:
    frame, silence = np.zeros((2, 2, 3), np.uint8), np.zeros(640, np.float32)
    return [Tick(i, e, frame, silence, State.TALK, s, end, False) for i, (e, s, end) in enumerate(parts)]


def told(parts: list[Tick], live: FakeLive, jumps: dict[int, int]) -> list[tuple[Any, ...]]:
    """Speech events, while the epoch of the person rises at some ticks."""
    narrator, events = Narrator(lambda: "", live.audible), []
    for tick in parts:
        live.epoch = jumps.get(tick.index, live.epoch)
        events += narrator.watch(live.audible(tick))
    speech = [event.model_dump() for event in events if event.type != "session.state"]
    return [(e["type"], e["segment"], e.get("played_s"), e.get("interrupted")) for e in speech]


def test_narrator_tells_gaps_from_interruptions() -> None:
    live = FakeLive(np.zeros((2, 2, 3), np.uint8), 0)
    gap = ticks((0, "a", False), (0, None, False), (0, "a", True), (0, "b", False), (0, "c", True))
    assert told(gap, live, {}) == [
        ("speech.started", "a", None, None),
        ("speech.done", "a", 0.08, False),
        ("speech.started", "b", None, None),
        ("speech.done", "b", 0.04, False),
        ("speech.started", "c", None, None),
        ("speech.done", "c", 0.04, False),
    ]
    cut = ticks((0, "a", False), (0, "a", False), (1, None, False), (1, "b", True))
    assert told(cut, live, {2: 1}) == [
        ("speech.started", "a", None, None),
        ("speech.done", "a", 0.08, True),
        ("speech.started", "b", None, None),
        ("speech.done", "b", 0.04, False),
    ]


def test_audio_of_an_event_is_little_endian() -> None:
    event = parse_event('{"type": "input_audio.append", "audio": "AEAAwA=="}')
    assert event.samples().tolist() == [0.5, -0.5]  # type: ignore[union-attr]
    with pytest.raises(BadEventError):
        parse_event(b"\xff\xfe")

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

# Its packages warn while they are imported; that is not ours to fail on.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("livekit.agents", reason="livekit-agents is not installed: pip install 'flowact[livekit]'")
    from aiohttp import web
    from livekit import api, rtc
    from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarRunner, QueueAudioOutput
    from livekit.agents.voice.io import PlaybackFinishedEvent

    from flowact.integrations.livekit import AvatarSession, FlowActVideoGenerator, _obey, obey

from flowact.core.errors import ConfigError, SessionError
from flowact.core.types import State
from tests.integrations.fake_person import PORTRAIT, SIDE, FakePerson, speech

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
RATE = 24_000


def audio(seconds: float) -> rtc.AudioFrame:
    return rtc.AudioFrame(speech(seconds, RATE), RATE, 1, round(seconds * RATE))


def generator(person: FakePerson) -> FlowActVideoGenerator:
    return FlowActVideoGenerator(cast(Any, person), PORTRAIT)


class Room:
    """What `AvatarRunner` asks of a room, without a server."""

    def __init__(self) -> None:
        self.published: list[object] = []
        self.name, self.local_participant = "room", self
        self.identity = "agent-7"
        self.sent: list[tuple[str, str, list[str]]] = []

    def on(self, *_: object) -> None: ...

    def off(self, *_: object) -> None: ...

    def isconnected(self) -> bool:
        return True

    async def publish_track(self, track: object, options: object) -> SimpleNamespace:
        self.published.append(track)

        async def wait_for_subscription() -> None: ...

        return SimpleNamespace(wait_for_subscription=wait_for_subscription)

    async def publish_data(self, text: str, *, topic: str, destination_identities: list[str]) -> None:
        self.sent.append((text, topic, destination_identities))


async def until(reached: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not reached():
            await asyncio.sleep(0.005)


async def test_pictures_always_sound_only_while_speaking() -> None:
    person = FakePerson()
    made = generator(person)
    await made.push_audio(audio(0.25))
    await made.push_audio(audio(0.15))
    await made.push_audio(AudioSegmentEnd())
    seen: list[Any] = []
    async for item in made:
        seen.append(item)
        if len(person.taken) == 20:
            person.close()
    pictures = [item for item in seen if isinstance(item, rtc.VideoFrame)]
    sounds = [item for item in seen if isinstance(item, rtc.AudioFrame)]
    assert len(pictures) == 1 + len(person.taken)
    assert {(p.width, p.height) for p in pictures} == {(SIDE, SIDE)}
    assert sum(frame.duration for frame in sounds) == pytest.approx(0.4)
    assert {frame.sample_rate for frame in sounds} == {made.options.audio_sample_rate}
    ends = [i for i, item in enumerate(seen) if isinstance(item, AudioSegmentEnd)]
    assert len(ends) == 1
    assert seen[ends[0] - 1] is sounds[-1]
    for i, item in enumerate(seen):
        if isinstance(item, rtc.AudioFrame):
            assert isinstance(seen[i - 1], rtc.VideoFrame)


async def test_after_clear_buffer_no_sound_is_left() -> None:
    person = FakePerson()
    made = generator(person)
    await made.clear_buffer()  # while nothing is said
    await made.push_audio(audio(4.0))
    after: list[Any] = []
    sounds = 0
    clearing: asyncio.Task[None] | None = None
    async for item in made:
        if clearing is not None:
            after.append(item)
        if isinstance(item, rtc.AudioFrame):
            sounds += 1
        if sounds == 3 and clearing is None:
            clearing = asyncio.create_task(made.clear_buffer())
            await asyncio.sleep(0.02)
            assert not clearing.done()  # the sound that was handed over is not counted yet
        if len(after) == 10:
            await made.clear_buffer()  # twice
        if len(after) == 20:
            await made.push_audio(AudioSegmentEnd())  # of the speech that was cleared
            person.close()
    assert clearing is not None
    assert clearing.done()
    assert all(isinstance(item, rtc.VideoFrame) for item in after)


async def test_speech_that_waited_for_room_is_dropped_when_cleared() -> None:
    person = FakePerson()
    made = generator(person)
    person.queued_s = 100.0
    pushing = asyncio.create_task(made.push_audio(audio(0.2)))
    await asyncio.sleep(0.05)
    assert not pushing.done()
    await made.clear_buffer()
    person.queued_s = 0.0
    await pushing
    assert person.take().segment is None
    await made.push_audio(audio(0.2))
    assert person.take().segment is not None


class Agent:
    """An agent's audio output, tied to a real `AvatarRunner` in the same process."""

    def __init__(self) -> None:
        self.person, self.room = FakePerson(), Room()
        self.output = QueueAudioOutput(sample_rate=RATE, wait_playback_start=True)
        made = generator(self.person)
        self.runner = AvatarRunner(cast(Any, self.room), audio_recv=self.output, video_gen=made, options=made.options)
        self.started = 0
        self.finished: list[PlaybackFinishedEvent] = []
        self.output.on("playback_started", self._count)
        self.output.on("playback_finished", self.finished.append)

    def _count(self, _: object) -> None:
        self.started += 1

    async def __aenter__(self) -> Agent:
        await self.runner.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.person.close()
        await self.runner.aclose()

    async def say(self, seconds: float) -> None:
        await self.output.capture_frame(audio(seconds))
        self.output.flush()


async def test_the_runner_tells_begin_end_and_position() -> None:
    async with Agent() as agent:
        await agent.say(0.5)
        await until(lambda: agent.finished)
        assert agent.started == 1
        assert not agent.finished[0].interrupted
        assert agent.finished[0].playback_position == pytest.approx(0.52, abs=1e-6)  # whole ticks
        await agent.say(0.2)
        await until(lambda: len(agent.finished) == 2)
        assert agent.started == 2
        assert agent.finished[1].playback_position == pytest.approx(0.2, abs=1e-6)
        assert len(agent.room.published) == 2


async def test_the_runner_tells_where_it_was_interrupted() -> None:
    async with Agent() as agent:
        await agent.say(8.0)
        await until(lambda: agent.started and len(agent.person.taken) > 20)
        agent.output.clear_buffer()
        await until(lambda: agent.finished)
        spoken = sum(tick.segment is not None for tick in agent.person.taken)
        [broken] = agent.finished
        assert broken.interrupted
        assert 0 < broken.playback_position <= spoken * 0.04 + 1e-6
        quiet_since = len(agent.person.taken)
        await until(lambda: len(agent.person.taken) > quiet_since + 15)
        assert agent.started == 1  # no leftover sound began another speech
        assert len(agent.finished) == 1
        await agent.say(0.2)
        await until(lambda: len(agent.finished) == 2)
        assert agent.started == 2
        assert agent.finished[1].playback_position == pytest.approx(0.2, abs=1e-6)


def test_control_messages() -> None:
    person = FakePerson()
    session = cast(Any, person)
    obey(session, {"behaviour": "a person waves", "state": "gesture"})
    obey(session, {"behaviour": ""})
    obey(session, {"user_speaking": True})
    waves, nothing = person.actions
    assert waves is not None
    assert (waves.state, waves.prompt) == (State.GESTURE, "a person waves")
    assert nothing is None
    assert person.user == [True]
    for message in ({}, [], "wave", 3):
        with pytest.raises(ConfigError, match="expected an object"):
            obey(session, message)


@pytest.mark.parametrize(
    ("topic", "sender", "data"),
    [
        ("other", "agent-7", b'{"user_speaking": true}'),
        ("flowact.control", "somebody", b'{"user_speaking": true}'),
        ("flowact.control", "agent-7", b"{"),
        ("flowact.control", "agent-7", b'{"behaviour": "a person waves", "state": "dance"}'),
    ],
)
def test_strangers_and_nonsense_are_ignored(topic: str, sender: str, data: bytes) -> None:
    person = FakePerson()
    packet = SimpleNamespace(topic=topic, data=data, participant=SimpleNamespace(identity=sender))
    _obey(cast(Any, person), cast(Any, packet), "agent-7")
    assert person.user == []
    assert person.actions == []


class Worker:
    """A worker's HTTP door that remembers who knocked."""

    def __init__(self, status: int = 200) -> None:
        self.asked: list[tuple[str | None, dict[str, str]]] = []
        self._status = status

    async def __aenter__(self) -> Worker:
        app = web.Application()
        app.router.add_post("/join", self._join)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/join"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _join(self, request: web.Request) -> web.Response:
        self.asked.append((request.headers.get("Authorization"), await request.json()))
        return web.Response(status=self._status, text="no place")


class AgentSide:
    """What `AvatarSession` asks of an agent session."""

    def __init__(self) -> None:
        self.output = self
        self.tail: Any = None
        self.handlers: dict[str, Callable[[Any], None]] = {}

    def on(self, event: str, handler: Callable[[Any], None]) -> None:
        self.handlers[event] = handler

    def off(self, event: str, handler: Callable[[Any], None]) -> None:
        self.handlers.pop(event, None)

    def replace_audio_tail(self, sink: object) -> None:
        self.tail = sink


class QuietRoom(Room):
    def isconnected(self) -> bool:
        return False


SERVER = {"livekit_url": "ws://livekit", "livekit_api_key": "key", "livekit_api_secret": "secret" * 8}


async def test_the_agent_lets_the_worker_join_on_its_behalf() -> None:
    agent, room = AgentSide(), QuietRoom()
    async with Worker() as worker:
        avatar = AvatarSession(worker.url, "door-token")
        await avatar.start(cast(Any, agent), cast(Any, room), **SERVER)
        [(authorization, wish)] = worker.asked
    assert authorization == "Bearer door-token"
    assert (wish["url"], wish["agent_identity"]) == ("ws://livekit", "agent-7")
    claims = api.TokenVerifier("key", SERVER["livekit_api_secret"]).verify(wish["token"])
    assert claims.identity == avatar.avatar_identity == "flowact-avatar"
    assert claims.kind == "agent"
    assert claims.attributes == {"lk.publish_on_behalf": "agent-7"}
    assert claims.video is not None
    assert (claims.video.room, claims.video.room_join) == ("room", True)
    assert agent.tail.sample_rate == 16_000
    agent.handlers["user_state_changed"](SimpleNamespace(new_state="speaking"))
    await avatar.act("a person waves")
    await until(lambda: len(room.sent) == 2)
    assert {text for text, _, _ in room.sent} == {
        '{"user_speaking": true}',
        '{"behaviour": "a person waves", "state": "gesture"}',
    }
    assert {(topic, tuple(to)) for _, topic, to in room.sent} == {("flowact.control", ("flowact-avatar",))}
    await avatar.aclose()


async def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIVEKIT_API_SECRET", raising=False)
    given = {name: value for name, value in SERVER.items() if name != "livekit_api_secret"}
    with pytest.raises(ConfigError, match="LIVEKIT_API_SECRET is not set"):
        await AvatarSession("http://none", "t").start(cast(Any, AgentSide()), cast(Any, QuietRoom()), **given)


async def test_a_worker_without_a_place_is_told() -> None:
    async with Worker(status=503) as worker:
        with pytest.raises(SessionError, match="503: no place"):
            await AvatarSession(worker.url, "t").start(cast(Any, AgentSide()), cast(Any, QuietRoom()), **SERVER)
    with pytest.raises(SessionError, match="cannot be reached"):
        await AvatarSession(worker.url, "t").start(cast(Any, AgentSide()), cast(Any, QuietRoom()), **SERVER)


def test_the_portrait_gives_the_sizes() -> None:
    wide = np.zeros((48, 64, 3), np.uint8)

    async def options() -> object:
        return FlowActVideoGenerator(cast(Any, FakePerson()), wide).options

    found = cast(Any, asyncio.run(options()))
    assert (found.video_width, found.video_height, found.video_fps) == (64, 48, 25)

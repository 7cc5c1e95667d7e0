"""A living person in a LiveKit room: the worker that generates, and the agent's side that sends it speech.

The worker (`run_avatar`) joins the room on behalf of the agent. The agent streams speech to it, faster than real time;
the worker publishes sound and pictures and tells when playback began, ended and how far it came.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeAlias

import aiohttp
import numpy as np
from livekit import api, rtc
from livekit.agents import AgentSession, get_job_context
from livekit.agents.voice.avatar import (
    AudioSegmentEnd,
    AvatarOptions,
    AvatarRunner,
    DataStreamAudioOutput,
    DataStreamAudioReceiver,
    VideoGenerator,
)
from livekit.agents.voice.avatar import AvatarSession as BaseAvatarSession
from numpy.typing import NDArray

from flowact.core.clock import FPS, SAMPLE_RATE_HZ
from flowact.core.errors import ConfigError, FlowActError, SessionError
from flowact.core.types import State, Tick
from flowact.integrations.speeches import Speeches, from_int16, to_int16, wait_for_room
from flowact.media.script import check_prompt
from flowact.stream.live import Action
from flowact.stream.pacer import Clock, Pacer

if TYPE_CHECKING:
    from flowact.stream.live import LiveSession

CONTROL_TOPIC = "flowact.control"
"""Data messages from the agent to the worker: JSON with `behaviour` (text) and `state`, or `user_speaking` (bool)."""

_LOG = logging.getLogger(__name__)
_MOST_WAITING = 25
_HANDED_S = 1.0
_JOIN_S = 10.0

Output: TypeAlias = rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd


class FlowActVideoGenerator(VideoGenerator):
    """What LiveKit's `AvatarRunner` plays: pictures always, sound while the person speaks.

    Args:
        session: of `Engine.open`.
        portrait: uint8 RGB [H, W, 3], shown until the first chunk is made.
        clock: that the pictures follow.
    """

    def __init__(self, session: LiveSession, portrait: NDArray[np.uint8], clock: Clock | None = None) -> None:
        self._live, self._portrait, self._clock = session, portrait, clock
        self._speeches: Speeches[AudioSegmentEnd] = Speeches()
        self._epoch = 0
        self._taken = asyncio.Event()
        self._taken.set()

    @property
    def options(self) -> AvatarOptions:
        """Sizes and rates for the `AvatarRunner`."""
        height, width = self._portrait.shape[:2]
        return AvatarOptions(width, height, FPS, SAMPLE_RATE_HZ, 1)

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Speech of the agent, in any size and rate, or its end."""
        if isinstance(frame, AudioSegmentEnd):
            ended = self._speeches.end(frame)
            if ended is not None:
                self._live.end_segment(ended)
            return
        epoch = self._epoch
        await wait_for_room(self._live)
        if epoch != self._epoch:
            return  # it was cleared while it waited
        try:
            sound = from_int16(frame.data.tobytes(), frame.num_channels)
            self._live.say(sound, frame.sample_rate, self._speeches.current())
        except SessionError as error:
            _LOG.error("speech of the agent is dropped: %s", error)

    async def clear_buffer(self) -> None:
        """Fall silent; returns once the sound that was handed over last is counted.

        The runner resets its position when this returns. A frame of sound that it still holds at that moment would
        count as the begin of another speech.
        """
        self._epoch += 1
        self._speeches.forget()
        self._live.interrupt()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._taken.wait(), _HANDED_S)

    async def __aiter__(self) -> AsyncIterator[Output]:
        """Pictures, sound and ends of speech, as they are due; ends with the session."""
        # The runner publishes its tracks on the first picture and waits for a listener: the clock starts only then.
        yield _picture(self._portrait)
        pacer = Pacer(self._live, self._clock)
        ticks = pacer.subscribe(_MOST_WAITING)
        pacing = asyncio.create_task(pacer.run())
        try:
            async for tick in ticks:
                yield _picture(tick.frame)
                tick = self._live.audible(tick)
                if tick.segment is not None:
                    self._taken.clear()
                    yield _sound(tick)
                    self._taken.set()
                for end in self._speeches.passed(self._live.audible(tick), ticks.lost):
                    yield end
        finally:
            self._taken.set()
            pacing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pacing


def _picture(frame: NDArray[np.uint8]) -> rtc.VideoFrame:
    height, width = frame.shape[:2]
    return rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, frame.tobytes())


def _sound(tick: Tick) -> rtc.AudioFrame:
    return rtc.AudioFrame(to_int16(tick.sound), SAMPLE_RATE_HZ, 1, len(tick.sound))


async def run_avatar(
    session: LiveSession, portrait: NDArray[np.uint8], url: str, token: str, agent_identity: str
) -> None:
    """Join a room and show the person there until the room or the session ends; the caller closes the session.

    Args:
        session: of `Engine.open`.
        portrait: uint8 RGB [H, W, 3] of the model's size.
        url: of the LiveKit server.
        token: that the agent minted for this participant.
        agent_identity: who sends speech; nobody else is listened to.
    """
    room = rtc.Room()
    gone = asyncio.Event()
    room.on("disconnected", lambda *_: gone.set())
    room.on("data_received", lambda packet: _obey(session, packet, agent_identity))
    await room.connect(url, token)
    generator = FlowActVideoGenerator(session, portrait)
    receiver = DataStreamAudioReceiver(room, sender_identity=agent_identity)
    runner = AvatarRunner(room, audio_recv=receiver, video_gen=generator, options=generator.options)
    try:
        await runner.start()
        ends = [asyncio.create_task(gone.wait()), asyncio.create_task(runner.wait_for_complete())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()
    finally:
        await runner.aclose()
        await room.disconnect()


def _obey(session: LiveSession, packet: rtc.DataPacket, agent_identity: str) -> None:
    """Carry out a control message of the agent."""
    sender = packet.participant.identity if packet.participant is not None else None
    if packet.topic != CONTROL_TOPIC or sender != agent_identity:
        return
    try:
        obey(session, json.loads(packet.data))
    except (ValueError, TypeError, FlowActError) as error:
        _LOG.warning("a control message is ignored: %s", error)


def obey(session: LiveSession, message: Any) -> None:
    """Carry out a control message.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(message, dict) or not message.keys() & {"behaviour", "user_speaking"}:
        raise ConfigError(f"the message is {message!r:.80}; expected an object with behaviour or user_speaking")
    if "user_speaking" in message:
        session.user_speech(bool(message["user_speaking"]))
    if message.get("behaviour"):
        prompt = check_prompt(str(message["behaviour"]), "behaviour")
        session.act(Action(State(message.get("state", State.GESTURE)), prompt, urgent=True))
    elif "behaviour" in message:
        session.release()


def _environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ConfigError(f"{name} is not set; set it, or give {name.lower()} to AvatarSession.start")
    return value


class AvatarSession(BaseAvatarSession[Any]):
    """The agent's side: lets a FlowAct worker join the room and sends it what the agent says.

    Args:
        worker_url: of the worker's HTTP door; `POST` JSON with url, token and agent_identity.
        worker_token: sent as a bearer token.
        avatar_identity: of the participant that publishes the person.
        avatar_name: as others see it.
    """

    def __init__(
        self,
        worker_url: str,
        worker_token: str,
        avatar_identity: str = "flowact-avatar",
        avatar_name: str = "FlowAct",
    ) -> None:
        super().__init__()
        self._worker_url, self._worker_token = worker_url, worker_token
        self._identity, self._name = avatar_identity, avatar_name
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def avatar_identity(self) -> str:
        """Identity of the participant that publishes the person."""
        return self._identity

    @property
    def provider(self) -> str:
        """For metrics."""
        return "flowact"

    async def start(
        self,
        agent_session: AgentSession[Any],
        room: rtc.Room,
        *,
        livekit_url: str | None = None,
        livekit_api_key: str | None = None,
        livekit_api_secret: str | None = None,
    ) -> None:
        """Let the worker join, and send it the agent's speech from now on.

        Args:
            agent_session: of the agent, before it is started.
            room: that the agent is in.
            livekit_url: of the server; LIVEKIT_URL if left out.
            livekit_api_key: signs the avatar's token; LIVEKIT_API_KEY if left out.
            livekit_api_secret: its secret; LIVEKIT_API_SECRET if left out.

        Raises:
            ConfigError: one of the three is given nowhere.
            SessionError: the worker cannot be reached or has no place.
        """
        url = livekit_url or _environment("LIVEKIT_URL")
        key = livekit_api_key or _environment("LIVEKIT_API_KEY")
        secret = livekit_api_secret or _environment("LIVEKIT_API_SECRET")
        await super().start(agent_session, room)
        context = get_job_context(required=False)
        agent = room.local_participant.identity if context is None else context.local_participant_identity
        token = (
            api.AccessToken(key, secret)
            .with_kind("agent")
            .with_identity(self._identity)
            .with_name(self._name)
            .with_grants(api.VideoGrants(room_join=True, room=room.name, can_publish=True, can_subscribe=True))
            .with_attributes({"lk.publish_on_behalf": agent})
            .to_jwt()
        )
        await self._ask_worker({"url": url, "token": token, "agent_identity": agent})
        agent_session.on("user_state_changed", self._tell_user_state)
        agent_session.output.replace_audio_tail(
            DataStreamAudioOutput(
                room=room,
                destination_identity=self._identity,
                sample_rate=SAMPLE_RATE_HZ,
                wait_remote_track=rtc.TrackKind.KIND_VIDEO,
                wait_playback_start=True,
            )
        )

    async def act(self, behaviour: str, state: State = State.GESTURE) -> None:
        """Let the person do something, in plain English; an empty text gives the choice back to the planner."""
        await self._control({"behaviour": behaviour, "state": state.value})

    async def _ask_worker(self, wish: dict[str, str]) -> None:
        headers = {"Authorization": f"Bearer {self._worker_token}"}
        try:
            timeout = aiohttp.ClientTimeout(total=_JOIN_S)
            async with (
                aiohttp.ClientSession(timeout=timeout) as client,
                client.post(self._worker_url, json=wish, headers=headers) as answer,
            ):
                if answer.status >= 300:
                    said = (await answer.text())[:200]
                    raise SessionError(f"the FlowAct worker at {self._worker_url} answers {answer.status}: {said}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SessionError(
                f"the FlowAct worker at {self._worker_url} cannot be reached ({error!r}); is it running?"
            ) from error

    def _tell_user_state(self, event: Any) -> None:
        task = asyncio.create_task(self._control({"user_speaking": event.new_state == "speaking"}))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _control(self, message: dict[str, Any]) -> None:
        if self._room is not None:
            await self._room.local_participant.publish_data(
                json.dumps(message), topic=CONTROL_TOPIC, destination_identities=[self._identity]
            )

"""One client's session: the living person, its clock, and everything that hangs on it. Nothing is shared."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

import numpy as np
from aiortc import RTCIceCandidate
from numpy.typing import NDArray

import flowact
from flowact.core.clock import FPS, SAMPLE_RATE_HZ, SHIFT_S
from flowact.core.errors import FlowActError
from flowact.core.types import Tick
from flowact.media.provenance import Provenance
from flowact.serve.config import ServeConfig
from flowact.serve.errors import RequestError
from flowact.serve.hub import EventHub
from flowact.serve.messages import Mode, ServerEvent, SessionClosed, SessionCreated, SpeechDone, Stats, Trouble
from flowact.serve.metrics import Metrics
from flowact.serve.narrator import Narrator
from flowact.serve.recording import Recording
from flowact.serve.talk import Equipment
from flowact.serve.voices.planner_llm import LanguagePlanner
from flowact.serve.webrtc import Call, CallDoors
from flowact.stream.live import LiveSession
from flowact.stream.pacer import Pacer

logger = logging.getLogger(__name__)

TICKS_OF_A_LISTENER = 2 * FPS
"""Ticks that wait for one slow consumer before it loses some."""
_STATS_EVERY_S = 1.0


class Seat:
    """A session that was given to a client. Use it from the event loop only.

    Args:
        live: the person.
        planner: chooses its behaviour with a language model; None where rules do.
        portrait: id of the portrait it began with.
        mode: "conversation": the microphone is the user; "puppet": it is the avatar's voice.
        size: side of the pictures in pixels.
        model: name of the model.
        seed: of the noise.
        config: of the server.
        metrics: of the server.
        equipment: what its conversation is held with.
        broke: called once when the engine has ended the session, with the reason.
    """

    def __init__(
        self,
        live: LiveSession,
        planner: LanguagePlanner | None,
        portrait: str,
        mode: Mode,
        size: int,
        model: str,
        seed: int,
        config: ServeConfig,
        metrics: Metrics,
        equipment: Equipment,
        broke: Callable[[Seat, str], None],
    ) -> None:
        self.id, self.token = secrets.token_urlsafe(12), secrets.token_urlsafe(24)
        self.live, self.portrait, self.mode, self.size = live, portrait, mode, size
        self._planner = planner
        self.hub = EventHub()
        self.sockets = 0
        self.recording: Recording | None = None
        self._model, self._seed, self._config, self._metrics, self._broke = model, seed, config, metrics, broke
        self._pacer = Pacer(live)
        self._narrator = Narrator(lambda: live.snapshot_stats().prompt, live.audible)
        self._call: Call | None = None
        self._opened_s = time.monotonic()
        self._stop_asked_s: float | None = None
        self.is_open = True
        self.talk = equipment.converse(live, self.hub.tell, mode)
        self._tasks: set[asyncio.Task[None]] = set()
        if planner is not None:
            planner.start()
        self.start(self._pacer.run())
        self.start(self._narrate())
        self.start(self._report())

    # -- who is there ----------------------------------------------------------------------------------------------

    @property
    def is_attached(self) -> bool:
        """Whether somebody is connected: then no heartbeat is needed."""
        return self.sockets > 0 or (self._call is not None and self._call.is_connected)

    def greeting(self) -> list[ServerEvent]:
        """The first events of every connection."""
        created = SessionCreated(id=self.id, mode=self.mode, size=self.size, fps=FPS)
        state = self._narrator.state
        return [created] if state is None else [created, state]

    async def ticks(self) -> AsyncGenerator[Tick, None]:
        """The ticks from now on; a consumer that falls two seconds behind loses the oldest."""
        subscription = self._pacer.subscribe(TICKS_OF_A_LISTENER)
        try:
            async for tick in subscription:
                yield tick
        finally:
            self._pacer.unsubscribe(subscription)
            self._metrics.dropped.inc(subscription.lost)

    # -- what comes in ---------------------------------------------------------------------------------------------

    def muted(self) -> None:
        """The microphone is gone: silence ends what was being said."""
        self.talk.hear(np.zeros(SAMPLE_RATE_HZ, np.float32), SAMPLE_RATE_HZ)

    def change_mode(self, mode: Mode) -> None:
        """Let the microphone speak for the avatar, or for the user again."""
        self.mode = mode
        self.talk.set_mode(mode)

    def interrupt(self) -> None:
        """Stop speaking, now."""
        self._stop_asked_s = time.monotonic()
        self.talk.cancel()

    # -- the call --------------------------------------------------------------------------------------------------

    async def offer(self, sdp: str, received: Callable[[str, Callable[[str], None]], None]) -> str:
        """Answer a WebRTC offer; a call that was there is hung up.

        Args:
            sdp: the offer.
            received: gets each text from the data channel and the function that answers there.

        Raises:
            RequestError: the offer cannot be used.
        """
        await self._hang_up()
        leaves: dict[int, Callable[[], None]] = {}

        def joined(send: Callable[[str], None]) -> None:
            leaves[id(send)] = self.hub.join(send)
            for event in self.greeting():
                send(event.model_dump_json())

        def left(send: Callable[[str], None]) -> None:
            leaves.pop(id(send), lambda: None)()

        doors = CallDoors(
            heard=self._try_to_hear,
            muted=self.muted,
            joined=joined,
            received=received,
            left=left,
            failed=lambda code, message: self.hub.tell(Trouble(code=code, message=message)),
            dropped=self._metrics.dropped.inc,
            audible=lambda tick: self.live.audible(tick) is tick,
        )
        call = self._call = Call(self._config.ice_servers, doors)
        return await call.answer(sdp, self.ticks(), self._config.ice_timeout_s)

    def add_candidates(self, candidates: Iterable[RTCIceCandidate]) -> None:
        """Network addresses of the client, found after its offer.

        Raises:
            RequestError: there was no offer.
        """
        if self._call is None:
            raise RequestError(409, "no_call", "this session has no call; send an offer first")
        self._call.add_candidates(candidates)

    def _try_to_hear(self, sound: NDArray[np.float32], rate: int) -> None:
        try:
            self.talk.hear(sound, rate)
            if self._planner is not None:
                self._planner.overhear(sound, rate)
        except FlowActError as error:
            logger.info("session %s: microphone ignored: %s", self.id, error)

    async def _hang_up(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            await call.close()

    # -- the recording ---------------------------------------------------------------------------------------------

    async def record(self, is_on: bool) -> None:
        """Begin a recording, which replaces the last one, or finish it."""
        running = self.recording is not None and self.recording.is_running
        if is_on and not running:
            if self.recording is not None:
                await self.recording.discard()
            made = Provenance.now(self._model, self._seed, flowact.__version__)
            self.recording = Recording(self.size, made, self._config.longest_recording_s)
            self.recording.start(self.ticks())
        elif not is_on and self.recording is not None:
            await self.recording.stop()

    def film(self) -> Recording:
        """The finished recording.

        Raises:
            RequestError: there is none, it still runs, or it failed.
        """
        if self.recording is None:
            raise RequestError(404, "no_recording", "this session has no recording; begin one first")
        if self.recording.is_running:
            raise RequestError(409, "recording", "the recording still runs; end it first")
        if self.recording.trouble is not None or not self.recording.path.exists():
            raise RequestError(409, "no_recording", self.recording.trouble or "the recording is being finished")
        return self.recording

    # -- the end ---------------------------------------------------------------------------------------------------

    async def close(self, reason: str) -> None:
        """End everything and tell the client why; safe to call twice."""
        if not self.is_open:
            return
        self.is_open = False
        self.hub.tell(SessionClosed(reason=reason))
        self.live.close(reason)
        # A data channel needs a moment to hand its last message to the network.
        await asyncio.sleep(0)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.talk.close()
        if self._planner is not None:
            await self._planner.close()
        await self._hang_up()
        if self.recording is not None:
            await self.recording.discard()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something for as long as the session lives; its failure ends the session."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or not self.is_open or (error := task.exception()) is None:
            return
        logger.error("session %s failed", self.id, exc_info=error)
        self._broke(self, "the server failed; its log says why")

    # -- what goes out ---------------------------------------------------------------------------------------------

    async def _narrate(self) -> None:
        async with aclosing(self.ticks()) as ticks:
            async for tick in ticks:
                self._count(tick)
                for event in self._narrator.watch(tick):
                    self.hub.tell(event)
                    if isinstance(event, SpeechDone):
                        self.talk.note_done(event.segment, event.played_s, event.interrupted)
                if tick.segment is not None:
                    self.talk.note_played(tick.segment, self._narrator.played_s)
        if self.is_open:
            self._broke(self, self.live.closed_reason or "the engine ended the session")

    def _count(self, tick: Tick) -> None:
        now = time.monotonic()
        if tick.index == 0:
            self._metrics.first_frame_s.observe(now - self._opened_s)
        self._metrics.ticks.inc()
        self._metrics.held.inc(tick.is_held)
        if self._stop_asked_s is not None and tick.segment is None:
            self._metrics.stop_s.observe(now - self._stop_asked_s)
            self._stop_asked_s = None

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_STATS_EVERY_S)
            if self.hub.listeners:
                self.hub.tell(Stats(stats=self.stats()))

    def stats(self) -> dict[str, Any]:
        """How the session fares, for people and programs."""
        facts = asdict(self.live.snapshot_stats())
        reactions = facts.pop("reactions_s")
        facts["last_reaction_ms"] = round(1000 * reactions[-1]) if reactions else None
        facts["chunk_ms_p50"], facts["chunk_ms_p99"] = facts.pop("chunk_p50_ms"), facts.pop("chunk_p99_ms")
        facts["lead_ms"] = round(1000 * facts["lead_ticks"] / FPS)
        facts["rtf"] = round(facts["chunk_ms_p50"] / 1000 / SHIFT_S, 3)
        if self._planner is not None:
            facts["planner"] = asdict(self._planner.stats)
        return {key: round(value, 3) if isinstance(value, float) else value for key, value in facts.items()}

"""A video service for Pipecat: put it between the speech service and the output of the transport.

The speech is swallowed and comes back with the pictures, 40 ms of both at a time, never ahead of the clock. Set the
transport to `video_out_is_live=True`, `video_out_framerate=25` and the size of the model.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    CancelFrame,
    DataFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputImageRawFrame,
    OutputTransportReadyFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.ai_service import AIService
from pipecat.services.settings import ServiceSettings

from flowact.core.clock import SAMPLE_RATE_HZ
from flowact.core.errors import FlowActError
from flowact.core.types import State
from flowact.integrations.speeches import Speeches, from_int16, to_int16, wait_for_room
from flowact.media.script import check_prompt
from flowact.stream.live import Action
from flowact.stream.pacer import Clock, Pacer, Subscription

if TYPE_CHECKING:
    from flowact.core.types import Tick
    from flowact.stream.live import LiveSession

_MOST_WAITING = 25
"""Ticks that may wait for a stalled event loop before the oldest are lost."""
_LAST_WORDS_S = 3.0


@dataclass
class AvatarBehaviorFrame(DataFrame):
    """What the person shall do from now on.

    Parameters:
        text: in plain English ("a person waves with the right hand"); empty gives the choice back to the planner.
        state: the kind of behaviour it is.
        urgent: at once instead of with the next chunk.
    """

    text: str = ""
    state: State = State.GESTURE
    urgent: bool = True


class FlowActVideoService(AIService):
    """Shows a living person who speaks what the speech service says.

    Swallows `TTSAudioRawFrame`, emits `OutputImageRawFrame` and audio in pairs once the transport is ready, and passes
    `TTSStoppedFrame` on after the last sound of the speech was shown. An interruption silences the person at once.

    Args:
        session: of `Engine.open`; this service closes it.
        clock: that the pictures follow.
        kwargs: for `AIService`.
    """

    def __init__(self, *, session: LiveSession, clock: Clock | None = None, **kwargs: Any) -> None:
        super().__init__(settings=ServiceSettings(model="flowact"), **kwargs)
        self._live = session
        self._pacer = Pacer(session, clock)
        self._ticks: Subscription | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._speeches: Speeches[TTSStoppedFrame] = Speeches()
        self._contexts: dict[str, str | None] = {}
        self._context: str | None = None
        self._broken_off: str | None = None

    def can_generate_metrics(self) -> bool:
        """Time to the first spoken sound is measured."""
        return True

    async def start(self, frame: StartFrame) -> None:
        """Let the clock run; nothing is shown before the transport is ready."""
        await super().start(frame)
        self._tasks.append(self.create_task(self._pacer.run(), "pacer"))

    async def stop(self, frame: EndFrame) -> None:
        """Let the person finish what was said, then leave."""
        await super().stop(frame)
        if self._ticks is not None:
            longest_s = self._live.snapshot_stats().queued_s + _LAST_WORDS_S
            try:
                await asyncio.wait_for(self._last_words(), longest_s)
            except TimeoutError:
                await self.push_error(f"the person did not finish speaking within {longest_s:.0f} s")
        await self._leave()

    async def cancel(self, frame: CancelFrame) -> None:
        """Leave at once."""
        await super().cancel(frame)
        await self._leave()

    async def cleanup(self) -> None:
        """Leave, where that has not happened."""
        await super().cleanup()
        await self._leave()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take in speech, wishes and what the user does; pass everything else on."""
        await super().process_frame(frame, direction)
        match frame:
            case TTSAudioRawFrame():
                await self._speak(frame)
                return
            case TTSStoppedFrame():
                await self._end_speech(frame)
                return
            case AvatarBehaviorFrame():
                await self._behave(frame)
                return
            case TTSStartedFrame():
                self._context, self._broken_off = frame.context_id, None
                await self.start_ttfb_metrics()
            case InterruptionFrame():
                self._interrupt()
            case OutputTransportReadyFrame():
                self._show()
            case UserStartedSpeakingFrame() | UserStoppedSpeakingFrame():
                self._live.user_speech(isinstance(frame, UserStartedSpeakingFrame))
            case InputAudioRawFrame():
                self._live.overhear(from_int16(frame.audio, frame.num_channels), frame.sample_rate)
            case BotStartedSpeakingFrame():
                await self.stop_ttfb_metrics()
        await self.push_frame(frame, direction)

    # -- what comes in ---------------------------------------------------------------------------------------------

    async def _speak(self, frame: TTSAudioRawFrame) -> None:
        if frame.context_id is not None and frame.context_id == self._broken_off:
            return
        await wait_for_room(self._live)
        segment = self._speeches.current()
        self._contexts[segment] = frame.context_id
        try:
            self._live.say(from_int16(frame.audio, frame.num_channels), frame.sample_rate, segment)
        except FlowActError as error:
            await self.push_error(f"the person cannot speak: {error}", error)

    async def _end_speech(self, frame: TTSStoppedFrame) -> None:
        segment = self._speeches.end(frame)
        if segment is None:
            await self.push_frame(frame)
        else:
            self._live.end_segment(segment)

    async def _behave(self, frame: AvatarBehaviorFrame) -> None:
        if not frame.text.strip():
            self._live.release()
            return
        try:
            prompt = check_prompt(frame.text, "AvatarBehaviorFrame.text")
        except FlowActError as error:
            await self.push_error(str(error), error)
            return
        self._live.act(Action(frame.state, prompt, frame.urgent))

    def _interrupt(self) -> None:
        self._broken_off = self._context
        self._speeches.forget()
        self._contexts.clear()
        self._live.interrupt()

    # -- what goes out ---------------------------------------------------------------------------------------------

    def _show(self) -> None:
        if self._ticks is None:
            self._ticks = self._pacer.subscribe(_MOST_WAITING)
            self._tasks.append(self.create_task(self._emit(self._ticks), "pictures"))

    async def _emit(self, ticks: Subscription) -> None:
        async for tick in ticks:
            height, width = tick.frame.shape[:2]
            await self.push_frame(OutputImageRawFrame(image=tick.frame.tobytes(), size=(width, height), format="RGB"))
            tick = self._live.audible(tick)  # an interruption may have come while the picture was passed on
            await self.push_frame(self._sound(tick))
            for stopped in self._speeches.passed(self._live.audible(tick), ticks.lost):
                await self.push_frame(stopped)
        if self._tasks:
            await self.push_error(f"the person is gone: {self._live.closed_reason}", force_treat_as_permanent=True)

    def _sound(self, tick: Tick) -> OutputAudioRawFrame:
        """Speech as what the transport counts as speaking, silence as what leaves that alone."""
        audio = to_int16(tick.sound)
        if tick.segment is None:
            return OutputAudioRawFrame(audio, SAMPLE_RATE_HZ, 1)
        context = self._contexts.get(tick.segment)
        if tick.ends_segment:
            self._contexts.pop(tick.segment, None)
        return TTSAudioRawFrame(audio, SAMPLE_RATE_HZ, 1, context_id=context)

    async def _last_words(self) -> None:
        while self._speeches.pending and self._live.closed_reason is None:
            await asyncio.sleep(0.02)

    async def _leave(self) -> None:
        tasks, self._tasks = self._tasks, []
        self._live.close("the pipeline ended")
        for task in tasks:
            await self.cancel_task(task)

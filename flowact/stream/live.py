"""One living person without sockets: sound, words and wishes in, ticks of 40 ms out.

Three parties meet here. Doors (`say`, `act`, `interrupt`, ...) are called from an event loop, `advance` from the
engine's thread, `take` from the pacer. One lock guards what they share: voice, timeline, requests. It is never held
while the networks compute; what they made is looked at once more before it is shown.

A stream of three chunks would show a new sound or prompt only after three shifts of video. So speech, interruptions and
urgent actions *cut*: the ticks behind the next latent frame that is far enough away are dropped, memory and decoder go
back to that latent frame, and the stream is filled again faster than it is shown.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from flowact.core.clock import FPS, FRAMES_PER_CHUNK
from flowact.core.errors import SessionError
from flowact.core.types import Conditions, Tick
from flowact.stream.costs import Costs
from flowact.stream.cuts import Cause, Cuts
from flowact.stream.facts import Interrupted, SessionStats
from flowact.stream.line import VoiceLine
from flowact.stream.live_config import LiveConfig
from flowact.stream.planner import Action, Planner, RulePlanner
from flowact.stream.senses import Senses
from flowact.stream.session import ResumePoint, Session
from flowact.stream.tiers import Tier, guidance_at
from flowact.stream.timeline import Slot, Timeline, ticks_for
from flowact.stream.voice import check_sound

if TYPE_CHECKING:
    from flowact.stream.avatar import Avatar

__all__ = ["Action", "Interrupted", "LiveConfig", "LiveSession", "SessionStats"]


class LiveSession:
    """One living person. Doors and `take` may be called from any thread; `deadline` and `advance` from one only."""

    def __init__(
        self,
        avatar: Avatar,
        portrait: NDArray[np.uint8],
        seed: int = 0,
        planner: Planner | None = None,
        config: LiveConfig | None = None,
        clock: Callable[[], float] = time.monotonic,
        costs: Costs | None = None,
    ) -> None:
        """Nothing is computed yet: the portrait is looked at in the first `advance`.

        Raises:
            ConfigError: the portrait does not fit the model.
        """
        avatar.check_portrait(portrait)
        self._avatar, self._portrait, self._seed = avatar, portrait, seed
        self._config, self._clock = config or LiveConfig(), clock
        self._planner: Planner = RulePlanner(seed) if planner is None else planner
        self._costs = costs or Costs()
        self._lock = threading.Lock()
        self.on_change: Callable[[], None] = lambda: None
        # Guarded by the lock.
        self._line = VoiceLine(self._config.queue_s, self._config.onset_ticks)
        self._timeline, self._senses = Timeline(portrait), Senses(clock())
        self._cuts, self._discarded = Cuts(self._config.reaction_pause_s), 0
        self._tier, self._tier_changes = Tier.FULL, 0
        self._closed: str | None = None
        self._wish: Action | None = None
        self._reactions: deque[float] = deque(maxlen=32)
        # Owned by the engine's thread.
        self._session: Session | None = None
        self._start: ResumePoint | None = None
        self._planned = self._senses.shown
        self._refill_since_s: float | None = None

    # -- doors -----------------------------------------------------------------------------------------------------

    def say(self, sound: NDArray[np.float32], rate: int, segment: str = "speech") -> None:
        """Give the avatar sound to speak, mono [S] in -1..1; any rate and piece size, faster than real time.

        Raises:
            ShapeError: not mono floats at a possible rate.
            SessionError: too much speech waits, or the session is closed.
        """
        with self._lock:
            self._check_open()
            self._line.push(sound, rate, segment)
            self._consider_speech()
        self.on_change()

    def end_segment(self, segment: str = "speech") -> None:
        """No more sound for this speech."""
        with self._lock:
            self._line.end(segment)
            self._consider_speech()
        self.on_change()

    def overhear(self, sound: NDArray[np.float32], rate: int) -> None:
        """Let the person hear the user, mono [S] in -1..1: it is never played and moves no lips.

        Raises:
            ShapeError: not mono floats at a possible rate.
        """
        check_sound(sound, rate)
        with self._lock:
            self._senses.hear(sound, self._clock())

    def user_speech(self, speaking: bool) -> None:
        """Voice activity of the user."""
        with self._lock:
            self._senses.user_speech(speaking, self._clock())

    def note_words(self, who: Literal["user", "avatar"], text: str) -> None:
        """Words that somebody says: the planner picks gestures and reactions by them."""
        with self._lock:
            self._senses.note_words(who, text)

    def act(self, action: Action) -> None:
        """A wish that holds until `release` or the next one."""
        with self._lock:
            self._wish = action
            if action.urgent:
                self._ask_urgently()
        self.on_change()

    def release(self) -> None:
        """Give the choice back to the planner."""
        with self._lock:
            self._wish = None

    def interrupt(self) -> Interrupted:
        """Fall silent at once and forget all speech that waits. Speech that is given later is spoken."""
        with self._lock:
            timeline = self._timeline
            segment = timeline.segment or timeline.next_segment or self._line.first_segment
            self._cuts.ask_for_silence(self._clock(), breaks_speech=segment is not None)
            told = Interrupted(segment, timeline.played_s, self._cuts.epoch)
            timeline.silence(told.epoch)
            self._line.hush()
        self.on_change()
        return told

    def close(self, reason: str = "closed") -> None:
        """End the session; the first reason stays."""
        with self._lock:
            self._closed = self._closed or reason
        self.on_change()

    # -- the pacer -------------------------------------------------------------------------------------------------

    @property
    def closed_reason(self) -> str | None:
        """Why the session ended; None while it lives."""
        return self._closed

    @property
    def is_started(self) -> bool:
        """Whether there was ever a tick to take."""
        with self._lock:
            return len(self._timeline) > 0 or self._timeline.released > 0

    def take(self) -> Tick:
        """The next tick; when nothing is ready, the last frame with silence."""
        with self._lock:
            now = self._clock()
            tick, asked_s = self._timeline.take(now)
            if asked_s is not None:
                self._reactions.append(now - asked_s)
        self.on_change()
        return tick

    def audible(self, tick: Tick) -> Tick:
        """The tick as it may still be played: one from before an interruption has lost its sound."""
        if tick.epoch >= self._cuts.silent_epoch:
            return tick
        return replace(tick, sound=np.zeros_like(tick.sound), segment=None, ends_segment=False)

    # -- facts -----------------------------------------------------------------------------------------------------

    def snapshot_stats(self) -> SessionStats:
        """How the session is doing now."""
        with self._lock:
            timeline = self._timeline
            return SessionStats(
                frames=timeline.released,
                held_ticks=timeline.held,
                lead_ticks=len(timeline),
                queued_s=self._line.queued_ticks / FPS,
                chunk_p50_ms=1000 * self._costs.chunk_s(0.5),
                chunk_p99_ms=1000 * self._costs.chunk_s(0.99),
                discarded_chunks=self._discarded,
                epoch=self._cuts.epoch,
                reactions_s=tuple(self._reactions),
                state=self._senses.shown.state,
                prompt=self._senses.shown.prompt,
                tier=self._tier,
                tier_changes=self._tier_changes,
            )

    # -- the engine's thread ---------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """Clock time at which the next chunk is needed; None while the lead is full, or more speech is awaited."""
        with self._lock:
            now = self._clock()
            if self._closed is not None:
                return None
            if self._session is None or self._cuts.is_due:
                return now
            empty_s = self._timeline.ends_at(now)
            if self._cuts.is_refilling:
                return empty_s
            if len(self._timeline) + FRAMES_PER_CHUNK > self._target_ticks():
                return None
            last_moment_s = empty_s - self._costs.chunk_s(0.99) - self._config.margin_s
            awaits = self._line.awaits(self._session.frames_wanted)
            return None if awaits and now < last_moment_s else empty_s

    def advance(self, tier: Tier = Tier.FULL, watch: Callable[[], None] = lambda: None) -> bool:
        """One shift and the decoding of its chunk; appends ticks. Carries out a cut first, if one was asked for.

        Args:
            tier: how well the chunk is made.
            watch: called between the parts of the work.

        Returns:
            Whether a whole chunk came of it.
        """
        session = self._open()
        self._cut(session)
        begin_s = self._clock()
        conditions = self._enter(session)
        if conditions is None:
            return False
        with self._lock:
            self._tier_changes += tier is not self._tier
            self._tier, meant = tier, self._avatar.guidance
            guidance = guidance_at(tier, meant, self._line.is_voiced)

        def is_unwanted() -> bool:
            watch()
            return self._is_unwanted()

        done = session.generate(conditions, is_unwanted, guidance)
        with self._lock:
            if self._is_overtaken() or done is None:
                return False
        for frames, point in session.decode_stepwise(done, tier.every):
            watch()
            if not self._append(frames, point):
                return False
        with self._lock:
            self._cuts.end_refill(self._clock())
        self._costs.add_chunk(self._clock() - begin_s, is_full=guidance is meant)
        return True

    def _open(self) -> Session:
        if self._session is None:
            session = self._avatar.open(self._portrait, self._seed)
            self._start, self._refill_since_s = session.point, self._clock()
            with self._lock:
                self._session = session
                self._cuts.open(self._clock())
        return self._session

    def _cut(self, session: Session) -> None:
        """Drop what can be made anew in time, and go back to the latent frame before it."""
        with self._lock:
            now = self._clock()
            request = self._cuts.begin(now)
            if request is None:
                return
            need_s = self._costs.refill_s(self._avatar.plan.chunks) + self._config.margin_s
            shown_before = self._timeline.ticks_before(now + need_s, now)
            dropped = self._timeline.cut(shown_before, after_speech=request.cause is Cause.SPEECH)
            self._line.rewind(slot.voice for slot in dropped)
            point, sound = self._timeline.end_point() or self._start, self._timeline.sound_before_end()
        assert point is not None
        self._refill_since_s = now
        session.resume(point, sound)

    def _enter(self, session: Session) -> Conditions | None:
        """Conditions of the next chunk; None if the planner wants to react at once instead."""
        with self._lock:
            fresh = self._line.commit(session.frames_wanted)
            moment = self._senses.moment(self._line.upcoming(), self._line.queued_ticks, self._clock())
        planned = self._planner.propose(moment)
        if fresh:
            session.hear(np.concatenate([tick.sound for tick in fresh]))
        with self._lock:
            self._planned = planned or self._planned
            if planned is not None and planned.urgent and self._wish is None and self._ask_urgently():
                return None
            action = self._wish or self._planned
            self._senses.show(action, moment.clock_s)
            self._line.enter(action.state)
        return session.condition(action.prompt)

    def _is_unwanted(self) -> bool:
        """Whether what is being computed must not be shown, because a cut was asked for meanwhile."""
        with self._lock:
            return self._closed is not None or self._cuts.is_due

    def _append(self, frames: NDArray[np.uint8], point: ResumePoint) -> bool:
        """Put the ticks of a latent frame on the ring; False if they were overtaken."""
        with self._lock:
            if self._is_overtaken():
                return False
            voice, state = self._line.leave(len(frames))
            slots = [Slot(frame, tick, state, self._cuts.stream_epoch) for frame, tick in zip(frames, voice)]
            slots[0] = replace(slots[0], asked_s=self._cuts.show())
            slots[-1] = replace(slots[-1], point=point)
            self._timeline.append(slots)
        if self._refill_since_s is not None:
            self._costs.add_refill(self._clock() - self._refill_since_s)
            self._refill_since_s = None
        return True

    # -- with the lock held ----------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed is not None:
            raise SessionError(f"The session is closed ({self._closed}). Open another one.")

    def _is_overtaken(self) -> bool:
        """As `_is_unwanted`, once at the end of the work: counts what is thrown away."""
        overtaken = self._closed is not None or self._cuts.is_due
        self._discarded += overtaken
        return overtaken

    def _consider_speech(self) -> None:
        """Speech that begins, or goes on after a pause, cuts; speech that follows speech is simply appended."""
        if self._line.may_begin:
            self._cuts.ask_for_speech(self._clock())

    def _ask_urgently(self) -> bool:
        """Ask for a cut because of an action; False if it is too soon, or if it would tear a speech."""
        return not self._line.may_be_torn and self._cuts.ask_for_action(self._clock())

    def _target_ticks(self) -> int:
        """The lead to fill up to: a chunk, and what is played while a chunk is made and a cut is refilled."""
        busy_s = self._costs.chunk_s(0.99) + self._costs.refill_s(self._avatar.plan.chunks) + self._config.margin_s
        return min(self._config.most_lead_ticks, FRAMES_PER_CHUNK + ticks_for(busy_s) + 1)

"""Turns the ticks that are shown into events: what the person does, when speech begins and ends."""

from __future__ import annotations

from collections.abc import Callable

from flowact.core.clock import FPS
from flowact.core.types import State, Tick
from flowact.serve.messages import ServerEvent, SessionStateChanged, SpeechDone, SpeechStarted

_PROMPT_EVERY_TICKS = 5


class Narrator:
    """Watches the ticks of one session in order.

    Args:
        prompt: tells the behaviour that steers the person now.
        audible: a tick as it may still be played; an interruption takes its segment away.
    """

    def __init__(self, prompt: Callable[[], str], audible: Callable[[Tick], Tick]) -> None:
        self._prompt, self._audible = prompt, audible
        self._told: tuple[State, str, int] | None = None
        self._last: Tick | None = None
        self._played = 0
        self._words = ""

    def watch(self, tick: Tick) -> list[ServerEvent]:
        """Events that the next tick brings about, in order."""
        events: list[ServerEvent] = []
        if self._last is not None and self._audible(self._last).segment is None:
            events.append(self._done(interrupted=True))
        if self._last is not None and tick.segment not in (None, self._last.segment):
            events.append(self._done(interrupted=False))
        if tick.segment is not None:
            if self._last is None:
                self._played = 0
                events.append(SpeechStarted(segment=tick.segment))
            self._last = tick
            self._played += 1
            if tick.ends_segment:
                events.append(self._done(interrupted=False))
        if tick.index % _PROMPT_EVERY_TICKS == 0 or self._told is None:
            self._words = self._prompt()
        now = (tick.state, self._words, tick.epoch)
        if now != self._told:
            self._told = now
            events.append(SessionStateChanged(state=now[0], prompt=now[1], epoch=now[2]))
        return events

    @property
    def played_s(self) -> float:
        """Seconds of the speech that sounds, or sounded last, which were shown."""
        return self._played / FPS

    @property
    def state(self) -> SessionStateChanged | None:
        """What was told last about the person; None before the first tick."""
        if self._told is None:
            return None
        return SessionStateChanged(state=self._told[0], prompt=self._told[1], epoch=self._told[2])

    def _done(self, interrupted: bool) -> SpeechDone:
        assert self._last is not None
        assert self._last.segment is not None
        done = SpeechDone(segment=self._last.segment, played_s=self._played / FPS, interrupted=interrupted)
        self._last = None
        return done

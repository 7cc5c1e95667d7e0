"""Cuts: why a stream goes back to a latent frame, and which ticks still count afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Cause(Enum):
    """What a cut is for."""

    SPEECH = "speech"
    ACTION = "action"
    INTERRUPTION = "interruption"


@dataclass(frozen=True)
class Cut:
    """A cut that was asked for at a clock time."""

    cause: Cause
    asked_s: float


class Cuts:
    """The cut that waits to be carried out, and the epochs that cuts begin. Not locked: its owner does that.

    Attributes:
        epoch: number of the newest cut or interruption that was asked for.
        silent_epoch: of the newest interruption; speech of an older epoch must not sound any more.
        stream_epoch: of the ticks that are made now.
        is_refilling: whether the stream is being filled, at the beginning or after a cut.
    """

    def __init__(self, pause_s: float) -> None:
        """Actions that follow a cut closer than `pause_s` do not cut."""
        self._pause_s = pause_s
        self.epoch = self.silent_epoch = self.stream_epoch = 0
        self.is_refilling = False
        self._request: Cut | None = None
        self._asked_s: float | None = None
        self._begun_s = float("-inf")

    @property
    def waits(self) -> bool:
        """Whether a cut was asked for that was not begun."""
        return self._request is not None

    @property
    def is_due(self) -> bool:
        """Whether to cut now: a stream that is being filled is first filled, unless it was told to be silent."""
        request = self._request
        return request is not None and (request.cause is Cause.INTERRUPTION or not self.is_refilling)

    def ask_for_speech(self, now_s: float) -> None:
        """Speech shall begin, unless something else is about to cut."""
        if self._request is None:
            self._ask(Cause.SPEECH, now_s)

    def ask_for_action(self, now_s: float) -> bool:
        """An urgent action shall begin; False if a cut waits already, or the last one was too short ago."""
        if self._request is not None or now_s - self._begun_s < self._pause_s:
            return False
        self._ask(Cause.ACTION, now_s)
        return True

    def ask_for_silence(self, now_s: float, breaks_speech: bool) -> None:
        """From now on all speech that was given before is silent; cuts if there was any, or if a cut waits."""
        is_needed = breaks_speech or self._request is not None
        self.epoch += 1
        self.silent_epoch = self.stream_epoch = self.epoch
        if is_needed:
            self._request = Cut(Cause.INTERRUPTION, now_s)

    def begin(self, now_s: float) -> Cut | None:
        """The cut to carry out now, if one is due; the stream is being refilled from then on."""
        if not self.is_due:
            return None
        request, self._request = self._request, None
        assert request is not None
        self.stream_epoch, self._asked_s, self._begun_s = self.epoch, request.asked_s, now_s
        self.is_refilling = True
        return request

    def take_asked_s(self) -> float | None:
        """When the last cut was asked for, for the first tick after it; None for all other ticks."""
        asked_s, self._asked_s = self._asked_s, None
        return asked_s

    def _ask(self, cause: Cause, now_s: float) -> None:
        self.epoch += 1
        self._request = Cut(cause, now_s)

"""Cuts: why a stream goes back to a latent frame, and which ticks still count afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Cause(Enum):
    """What a stream is filled for: all but the first are cuts."""

    OPENING = "opening"
    SPEECH = "speech"
    ACTION = "action"
    INTERRUPTION = "interruption"


@dataclass(frozen=True)
class Cut:
    """A cut that was asked for at a clock time."""

    cause: Cause
    asked_s: float


@dataclass
class _Refill:
    """The filling of a stream that runs: what it is for, since when, and whether any of it was put on the ring."""

    cause: Cause
    begun_s: float
    has_shown: bool = False


class Cuts:
    """The cut that waits to be carried out, and the epochs that cuts begin. Not locked: its owner does that.

    A refill lasts until a whole chunk is on the ring. Speech and actions cut a stream only when no refill runs. An
    interruption cuts a refill for speech or an action at once; the opening and a refill for another interruption it
    cuts once their first latent frame is on the ring. So of two refills in a row at least one is shown, however often
    somebody interrupts and however slow the machine is.

    Attributes:
        epoch: number of the newest cut or interruption that was asked for.
        silent_epoch: of the newest interruption; speech of an older epoch must not sound any more.
        stream_epoch: of the ticks that are made now.
    """

    def __init__(self, pause_s: float) -> None:
        """Actions do not cut within `pause_s` of a cut, during its refill, and for as long again as that took."""
        self._pause_s = pause_s
        self.epoch = self.silent_epoch = self.stream_epoch = 0
        self._request: Cut | None = None
        self._refill: _Refill | None = None
        self._asked_s: float | None = None
        self._calm_until_s = float("-inf")

    @property
    def is_refilling(self) -> bool:
        """Whether the stream is being filled, at the beginning or after a cut."""
        return self._refill is not None

    @property
    def is_due(self) -> bool:
        """Whether to cut now; see the class."""
        request, refill = self._request, self._refill
        if request is None or refill is None:
            return request is not None
        may_overrule = refill.has_shown or refill.cause in (Cause.SPEECH, Cause.ACTION)
        return request.cause is Cause.INTERRUPTION and may_overrule

    def ask_for_speech(self, now_s: float) -> None:
        """Speech shall begin, unless something else is about to cut."""
        if self._request is None:
            self._ask(Cause.SPEECH, now_s)

    def ask_for_action(self, now_s: float) -> bool:
        """An urgent action shall begin; False if a cut waits already, or the last one was too short ago."""
        is_filling = self._refill is not None and self._refill.cause is not Cause.OPENING
        if self._request is not None or is_filling or now_s < self._calm_until_s:
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

    def open(self, now_s: float) -> None:
        """The stream begins, and is filled for the first time."""
        self._refill = _Refill(Cause.OPENING, now_s)

    def begin(self, now_s: float) -> Cut | None:
        """The cut to carry out now, if one is due; the stream is being refilled from then on."""
        if not self.is_due:
            return None
        request, self._request = self._request, None
        assert request is not None
        self.stream_epoch, self._asked_s = self.epoch, request.asked_s
        self._refill = _Refill(request.cause, now_s)
        self._calm_until_s = now_s + self._pause_s
        return request

    def show(self) -> float | None:
        """A latent frame is put on the ring; for the first one after a cut, when that was asked for."""
        if self._refill is not None:
            self._refill.has_shown = True
        asked_s, self._asked_s = self._asked_s, None
        return asked_s

    def end_refill(self, now_s: float) -> None:
        """A whole chunk is on the ring."""
        refill, self._refill = self._refill, None
        if refill is not None and refill.cause is not Cause.OPENING:
            self._calm_until_s = max(self._calm_until_s, now_s + (now_s - refill.begun_s))

    def _ask(self, cause: Cause, now_s: float) -> None:
        self.epoch += 1
        self._request = Cut(cause, now_s)

"""One thing that the avatar says, and how far it was shown."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from flowact.serve.voices.history import SpokenText


@dataclass
class Answer:
    """Something the avatar says, from the first thought to the last sound.

    Attributes:
        segment: of the session.
        spoken: its sentences.
        shown: how many of them the client was told of.
        foreseen: how many of them the planner was told of.
        played_s: how much of it was shown.
        task: synthesises it.
        has_sound: whether any sound was given to the session.
        is_complete: whether all was.
    """

    segment: str
    spoken: SpokenText = field(default_factory=SpokenText)
    shown: int = 0
    foreseen: int = 0
    played_s: float = 0.0
    task: asyncio.Task[None] | None = None
    has_sound: bool = False
    is_complete: bool = False

    def begin(self, played_s: float) -> list[str]:
        """Sentences that begin to sound now that `played_s` seconds were shown; each comes once."""
        self.played_s = played_s
        before, self.shown = self.shown, max(self.shown, self.spoken.begun(played_s))
        return [sentence for sentence in self.spoken.sentences[before : self.shown] if sentence]

    def foresee(self, ahead_s: float) -> list[str]:
        """Sentences that will sound in less than `ahead_s`; each comes once."""
        before, self.foreseen = self.foreseen, max(self.foreseen, self.spoken.begun(self.played_s + ahead_s))
        return [sentence for sentence in self.spoken.sentences[before : self.foreseen] if sentence]

    def foresees_next(self, ahead_s: float) -> bool:
        """Whether the sentence that is added next will sound in less than `ahead_s`; `foresee` leaves it out then."""
        is_soon = sum(self.spoken.seconds) < self.played_s + ahead_s
        if is_soon:
            self.foreseen = len(self.spoken.sentences) + 1
        return is_soon

    def cancel(self) -> None:
        """Synthesise no more of it."""
        if self.task is not None:
            self.task.cancel()

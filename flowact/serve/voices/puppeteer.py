"""A person who lends the avatar its voice: the microphone becomes speech, utterance by utterance."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Puppet(Protocol):
    """The doors of a `LiveSession` that a puppeteer uses."""

    def say(self, sound: NDArray[np.float32], rate: int, segment: str = ...) -> None:
        """Speak."""
        ...

    def end_segment(self, segment: str = ...) -> None:
        """No more of this speech."""
        ...


class Puppeteer:
    """Passes utterances on as they come; the pauses between them let a stream that ran late catch up."""

    def __init__(self, puppet: Puppet, before_s: float, numbers: Iterator[int]) -> None:
        """`before_s` of sound before the onset of the voice is spoken too; `numbers` name the speeches."""
        self._puppet, self._before_s, self._numbers = puppet, before_s, numbers
        self._before: deque[tuple[NDArray[np.float32], int]] = deque()
        self._segment: str | None = None

    @property
    def is_speaking(self) -> bool:
        """Whether an utterance is being passed on."""
        return self._segment is not None

    def hear(self, sound: NDArray[np.float32], rate: int, is_voice: bool) -> None:
        """The next sound [S] of the microphone, and whether the puppeteer speaks in it.

        Raises:
            SessionError: the session is closed or too much speech waits.
        """
        self._before.append((sound, rate))
        if is_voice:
            self._segment = self._segment or f"puppet-{next(self._numbers)}"
            while self._before:
                self._puppet.say(*self._before.popleft(), self._segment)
            return
        self._end()
        while sum(len(piece) / piece_rate for piece, piece_rate in self._before) > self._before_s:
            self._before.popleft()

    def let_go(self) -> None:
        """End the utterance, and forget the sound before the next one."""
        self._end()
        self._before.clear()

    def forget(self) -> None:
        """The utterance was broken off: what follows is another speech."""
        self._segment = None

    def _end(self) -> None:
        if self._segment is not None:
            self._puppet.end_segment(self._segment)
            self._segment = None

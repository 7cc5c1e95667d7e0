"""What the person notices of the user and of its own words: material for the planner."""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from flowact.core.clock import FPS
from flowact.core.types import State
from flowact.stream.planner import Action, Moment
from flowact.stream.voice import Loudness, VoiceTick


class Senses:
    """The latest of everything a `Moment` tells. Not locked: its owner does that."""

    def __init__(self, now_s: float) -> None:
        self._is_user_speaking, self._user_since_s = False, now_s
        self._loudness = Loudness()
        self._words = {"user": "", "avatar": ""}
        self._actions: deque[Action] = deque(maxlen=8)
        self._state_since_s = now_s
        self.shown = Action(State.IDLE, "a person waits")

    def hear(self, sound: NDArray[np.float32], now_s: float) -> None:
        """The user's voice."""
        self._loudness.hear(sound, now_s)

    def user_speech(self, speaking: bool, now_s: float) -> None:
        """Voice activity of the user."""
        if speaking != self._is_user_speaking:
            self._is_user_speaking, self._user_since_s = speaking, now_s

    def note_words(self, who: Literal["user", "avatar"], text: str) -> None:
        """Words that somebody says."""
        self._words[who] = text

    def show(self, action: Action, now_s: float) -> None:
        """What the person does from now on."""
        if action.state is not self.shown.state:
            self._state_since_s = now_s
        if action != self.shown:
            self._actions.append(action)
        self.shown = action

    def moment(self, voice: list[VoiceTick], queued_ticks: int, now_s: float) -> Moment:
        """What a planner may know when the next chunk has the sound `voice`."""
        own = Loudness()
        own.hear(np.concatenate([tick.sound for tick in voice]), now_s)
        return Moment(
            clock_s=now_s,
            state=self.shown.state,
            state_for_s=now_s - self._state_since_s,
            is_user_speaking=self._is_user_speaking,
            user_for_s=now_s - self._user_since_s,
            is_avatar_speaking=any(tick.segment is not None for tick in voice),
            queued_s=queued_ticks / FPS,
            user_text=self._words["user"],
            avatar_text=self._words["avatar"],
            user_loudness_db=self._loudness.at(now_s),
            avatar_loudness_db=own.at(now_s),
            last_actions=tuple(self._actions),
        )

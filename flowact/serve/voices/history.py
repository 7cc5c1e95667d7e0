"""What was said so far, as a language model may know it: only what was really heard."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from flowact.serve.voices.llm import Message

_MOST_TURNS = 24
_BROKEN_OFF = " ..."


@dataclass
class SpokenText:
    """Sentences with the seconds of sound that each one became."""

    sentences: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, sentence: str, seconds: float) -> None:
        """Another sentence, or more sound of the last one where `sentence` is ""."""
        if sentence or not self.sentences:
            self.sentences.append(sentence)
            self.seconds.append(0.0)
        self.seconds[-1] += seconds

    def begun(self, played_s: float) -> int:
        """How many sentences have begun when `played_s` seconds were played."""
        starts_s = itertools.accumulate(self.seconds, initial=0.0)
        return sum(start_s < played_s - 1e-6 for start_s, _ in zip(starts_s, self.seconds))

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(sentence for sentence in self.sentences if sentence)

    def until(self, played_s: float) -> str:
        """What was heard when `played_s` seconds were played: whole sentences, and whole words of the broken one."""
        heard: list[str] = []
        for sentence, seconds in zip(self.sentences, self.seconds):
            # Playback counts ticks of 40 ms, so the last sentence may seem to lack a part of one.
            if played_s >= seconds - 0.04:
                heard.append(sentence)
                played_s -= seconds
                continue
            words = sentence.split()
            whole = words[: int(len(words) * max(0.0, played_s) / seconds)]
            if whole:
                heard.append(" ".join(whole) + _BROKEN_OFF)
            break
        return " ".join(part for part in heard if part)


class History:
    """The turns of a conversation, the oldest forgotten first. Turns of one side in a row are joined."""

    def __init__(self, most_turns: int = _MOST_TURNS) -> None:
        self._most, self._turns = most_turns, list[Message]()

    def add_user(self, text: str) -> None:
        """The user said or wrote this."""
        self._add({"role": "user", "content": text})

    def add_avatar(self, text: str) -> None:
        """The avatar was heard to say this; nothing is added for ""."""
        if text:
            self._add({"role": "assistant", "content": text})

    def messages(self) -> list[Message]:
        """A copy of the turns; the first one is the user's, as chat templates demand."""
        turns = [message.copy() for message in self._turns]
        while turns and turns[0]["role"] != "user":
            del turns[0]
        return turns

    def _add(self, message: Message) -> None:
        if self._turns and self._turns[-1]["role"] == message["role"]:
            self._turns[-1]["content"] += "\n" + message["content"]
        else:
            self._turns.append(message)
        del self._turns[: -self._most]

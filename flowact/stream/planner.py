"""What the person does next. The planner stands beside the session: it is asked at chunk boundaries, never awaited."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Protocol

from flowact.core.types import State


@dataclass(frozen=True)
class Action:
    """What the person shall do now.

    Attributes:
        state: in FlowAct-R1's words.
        prompt: plain-English behaviour, as the studio's captions are ("a person listens and nods").
        urgent: True reacts at once, by rolling back to what was shown; False acts from the next chunk on.
    """

    state: State
    prompt: str
    urgent: bool = False


@dataclass(frozen=True)
class Moment:
    """What a planner may know when it chooses the next chunk.

    Attributes:
        clock_s: a clock that only goes on.
        state: what the person does.
        state_for_s: for how long.
        is_user_speaking: voice activity of the user.
        user_for_s: for how long the user has been speaking, or silent; since the opening if never.
        is_avatar_speaking: whether the avatar's own voice sounds in the chunk that is planned.
        queued_s: own voice that waits behind it.
        user_text: the last words of the user, "" if unknown.
        avatar_text: the last words given to the avatar, "" if unknown.
        user_loudness_db: of the user's voice, dB of full scale.
        avatar_loudness_db: of the own voice in the chunk that is planned.
        last_actions: up to eight, the newest last.
    """

    clock_s: float
    state: State
    state_for_s: float
    is_user_speaking: bool
    user_for_s: float
    is_avatar_speaking: bool
    queued_s: float
    user_text: str
    avatar_text: str
    user_loudness_db: float
    avatar_loudness_db: float
    last_actions: tuple[Action, ...]


class Planner(Protocol):
    """Chooses actions. Called in the engine's thread: it must answer at once."""

    def propose(self, moment: Moment) -> Action | None:
        """The action from the next chunk on; None keeps the last one."""
        ...


@dataclass(frozen=True)
class RuleConfig:
    """Times of the rules, in seconds, and what counts as sudden.

    Attributes:
        hold_s: a state is held at least so long before another one that is not speech or a reaction.
        think_s: longest wait for the own voice after the user stopped.
        react_s: length of a reaction.
        react_pause_s: at least so long between two reactions.
        gesture_s: length of a gesture while speaking or listening.
        gesture_every_s: shortest and longest time between gestures while speaking.
        nod_every_s: the same while listening.
        idle_every_s: the same between changes of the idle prompt.
        sudden_db: a voice that rises so far above its background is sudden.
        loud_db: and it must be at least so loud.
    """

    hold_s: float = 0.6
    think_s: float = 4.0
    react_s: float = 1.6
    react_pause_s: float = 8.0
    gesture_s: float = 1.5
    gesture_every_s: tuple[float, float] = (2.5, 5.0)
    nod_every_s: tuple[float, float] = (3.0, 6.0)
    idle_every_s: tuple[float, float] = (6.0, 12.0)
    sudden_db: float = 25.0
    loud_db: float = -14.0


_STATES: dict[State, tuple[str, ...]] = {
    State.IDLE: ("a person waits", "a person stays still", "a person waits calmly", "a person rests"),
    State.LISTEN: ("a person listens", "a person listens attentively", "a person pays attention"),
    State.THINK: ("a person thinks", "a person ponders", "a person considers an answer"),
    State.TALK: ("a person talks", "a person speaks", "a person talks to the camera", "a person explains something"),
}
GESTURES: dict[str, str] = {
    "wave": "waves hello",
    "nod": "nods in agreement",
    "shake": "shakes the head",
    "shrug": "shrugs their shoulders",
    "open_palms": "opens both palms",
    "beat": "gestures with the hands",
    "point": "points with a finger",
    "thumbs_up": "gives a thumbs-up",
    "hand_to_chin": "puts a hand to the chin",
    "clap": "claps both hands",
}
"""What a person is told to do for each gesture, as the studio's captions say it."""
_SURPRISE = Action(State.REACT, "a person looks surprised", urgent=True)
_SPOKEN_CUES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"\b(hello|hi|hey|welcome|good (morning|evening|afternoon)|goodbye|bye|see you)\b", ("wave",)),
    (r"\b(great|well done|perfect|excellent|congratulations)\b", ("thumbs_up", "nod")),
    (r"\b(no|not|never|don't|can't|won't|cannot|unfortunately)\b", ("shake",)),
    (r"\b(yes|yeah|sure|of course|exactly|right|absolutely|agreed?|certainly)\b", ("nod",)),
    (r"\b(maybe|perhaps|not sure|don't know|no idea|who knows|probably)\b|\?", ("shrug", "open_palms")),
    (r"\b(first|second|third|finally|important|really|very|must)\b|[,;:].*[,;:]|!", ("beat", "point")),
)
_HEARD_CUES: tuple[tuple[str, Action], ...] = (
    (r"\b(ha ?ha\w*|joke|funny|hilarious|lol)\b", Action(State.REACT, "a person laughs", urgent=True)),
    (r"\b(thank you|thanks|congratulations|beautiful)\b", Action(State.REACT, "a person smiles warmly", urgent=True)),
    (r"\b(wow|oh my god|unbelievable|guess what)\b", _SURPRISE),
    (r"\b(hello|hi|hey|goodbye|bye|see you)\b", Action(State.GESTURE, "a person waves hello", urgent=True)),
)
_FREE_GESTURES = ("beat", "open_palms", "nod", "beat", "point")


class RulePlanner:
    """The default planner: plain rules, deterministic given the seed and the moments."""

    def __init__(self, seed: int = 0, config: RuleConfig | None = None) -> None:
        self.config = config or RuleConfig()
        self._random = random.Random(seed)
        self._now = Action(State.IDLE, _STATES[State.IDLE][0])
        self._prompt = self._now.prompt
        self._since_s: float | None = None
        self._gesture_until_s, self._next_s, self._reacted_s = 0.0, 0.0, -1e9
        self._last_gesture = ""
        self._cues: list[str] = []
        self._answered = True
        self._background_db: float | None = None
        self._avatar_text = self._user_text = ""

    def propose(self, moment: Moment) -> Action | None:
        """The action from the next chunk on; None keeps the last one."""
        first = self._since_s is None
        if first:
            self._enter(State.IDLE, moment)
        self._read(moment)
        reaction = self._reaction(moment)
        if reaction is not None:
            self._since_s, self._reacted_s = moment.clock_s, moment.clock_s
            return self._choose(reaction)
        wanted = self._wanted(moment)
        if wanted is not self._now.state:
            self._enter(wanted, moment)
        return self._elaborate(moment, first)

    def _wanted(self, moment: Moment) -> State:
        """The state that the rules ask for."""
        if moment.is_avatar_speaking:
            self._answered = True
            return State.TALK
        if moment.is_user_speaking:
            self._answered = False
        held = moment.clock_s - (self._since_s or 0.0)
        own = {State.REACT: self.config.react_s, State.GESTURE: self.config.react_s, State.TALK: 0.0}
        shortest = own.get(self._now.state, self.config.hold_s)
        if held < shortest - 1e-9:
            return self._now.state
        if moment.is_user_speaking:
            return State.LISTEN
        if not self._answered and moment.user_for_s < self.config.think_s:
            return State.THINK
        self._answered = True
        return State.IDLE

    def _enter(self, state: State, moment: Moment) -> None:
        self._since_s = moment.clock_s
        self._prompt = self._pick(_STATES[state], self._prompt)
        self._gesture_until_s = moment.clock_s
        self._next_s = moment.clock_s + self._wait(state)
        self._now = Action(state, "")

    def _elaborate(self, moment: Moment, first: bool) -> Action | None:
        """Gestures for a short while, then the plain state again; another wording for who waits long."""
        now, state = moment.clock_s, self._now.state
        if state in (State.REACT, State.GESTURE) or (now < self._gesture_until_s - 1e-9 and self._now.prompt):
            return None
        prompt = self._prompt
        if state is State.TALK and (self._cues or now >= self._next_s):
            prompt = self._gesture(self._cues.pop(0) if self._cues else self._pick(_FREE_GESTURES, self._last_gesture))
        elif state is State.LISTEN and now >= self._next_s:
            prompt = f"{self._prompt} and nods"
        elif state is State.IDLE and now >= self._next_s:
            prompt = self._prompt = self._pick(_STATES[state], self._prompt)
            self._next_s = now + self._wait(state)
        if prompt != self._prompt:
            self._gesture_until_s = now + self.config.gesture_s
            self._next_s = self._gesture_until_s + self._wait(state)
        if prompt == self._now.prompt and not first:
            return None
        return self._choose(Action(state, prompt))

    def _gesture(self, name: str) -> str:
        self._last_gesture = name
        return f"{self._prompt} and {GESTURES[name]}"

    def _read(self, moment: Moment) -> None:
        """Gestures that new words of the avatar ask for, in the order of the words, never one twice in a row."""
        if moment.avatar_text == self._avatar_text:
            return
        self._avatar_text = moment.avatar_text
        found = []
        for pattern, gestures in _SPOKEN_CUES:
            match = re.search(pattern, self._avatar_text.lower())
            if match:
                found.append((match.start(), gestures))
        self._cues, last = [], self._last_gesture
        for _, gestures in sorted(found)[:3]:
            fresh = [name for name in gestures if name != last]
            if fresh:
                last = fresh[0] if len(fresh) == 1 else self._random.choice(fresh)
                self._cues.append(last)

    def _reaction(self, moment: Moment) -> Action | None:
        """A reaction to a sudden voice or to the user's words, unless the avatar speaks or has just reacted."""
        level, before = moment.user_loudness_db, self._background_db
        self._background_db = level if before is None else before + 0.25 * (level - before)
        said = moment.user_text if moment.user_text != self._user_text else ""
        self._user_text = moment.user_text
        if moment.is_avatar_speaking or moment.clock_s - self._reacted_s < self.config.react_pause_s:
            return None
        for pattern, action in _HEARD_CUES:
            if re.search(pattern, said.lower()):
                return action
        is_sudden = before is not None and level - before >= self.config.sudden_db and level >= self.config.loud_db
        return _SURPRISE if is_sudden else None

    def _choose(self, action: Action) -> Action:
        self._now = action
        return action

    def _wait(self, state: State) -> float:
        spans = {State.TALK: self.config.gesture_every_s, State.LISTEN: self.config.nod_every_s}
        return self._random.uniform(*spans.get(state, self.config.idle_every_s))

    def _pick(self, options: tuple[str, ...], last: str) -> str:
        return self._random.choice([option for option in options if option != last])

"""Rules of behaviour: who speaks, who listens, who thinks; in words that the text encoder was trained on."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from flowact.core.types import State
from flowact.stream.planner import _HEARD_CUES, _STATES, _SURPRISE, GESTURES, Action, Moment, RulePlanner
from flowact.studio import captions

SHIFT_S = 0.48
QUIET = Moment(0.0, State.IDLE, 0.0, False, 0.0, False, 0.0, "", "", -90.0, -90.0, ())


class Day:
    """A planner asked every chunk; `now` is the action in force."""

    def __init__(self, seed: int = 0) -> None:
        self.planner, self.clock_s = RulePlanner(seed), 10.0
        self.story: list[Action] = []
        self.since_s = {True: 10.0, False: 10.0}
        self.user = False

    @property
    def now(self) -> Action:
        return self.story[-1]

    def live(self, seconds: float, user: bool = False, avatar: bool = False, **facts: object) -> list[Action]:
        fresh = []
        if user != self.user:
            self.user, self.since_s[user] = user, self.clock_s
        for _ in range(max(1, round(seconds / SHIFT_S))):
            moment = replace(
                QUIET, clock_s=self.clock_s, state=self.now.state if self.story else State.IDLE, is_user_speaking=user,
                user_for_s=self.clock_s - self.since_s[user], is_avatar_speaking=avatar, **facts,
            )  # fmt: skip
            fresh.append(self.planner.propose(moment) or self.now)
            self.story.append(fresh[-1])
            self.clock_s += SHIFT_S
        return fresh


def states(actions: list[Action]) -> set[State]:
    return {action.state for action in actions}


def test_a_conversation_goes_from_idle_to_listening_to_thinking_to_talking_and_back() -> None:
    day = Day()
    assert states(day.live(3)) == {State.IDLE}
    assert day.live(3, user=True)[-1].state is State.LISTEN
    assert day.live(2)[-1].state is State.THINK
    assert states(day.live(5, avatar=True)) == {State.TALK}
    assert states(day.live(3)) == {State.IDLE}


def test_thinking_is_bounded_when_no_answer_comes() -> None:
    day = Day()
    day.live(2, user=True)
    assert day.live(8)[-1].state is State.IDLE


def test_a_short_word_does_not_make_the_state_flicker() -> None:
    day = Day()
    day.live(3)
    story = [day.live(0.48, user=bool(i % 2))[0].state for i in range(12)]
    runs = [1]
    for a, b in pairwise(story):
        runs = [*runs[:-1], runs[-1] + 1] if a is b else [*runs, 1]
    assert all(length * SHIFT_S >= 0.6 for length in runs[1:-1])


def test_who_is_spoken_over_stops_at_once_and_listens() -> None:
    day = Day()
    day.live(3, avatar=True)
    assert day.live(0.48, user=True)[0].state is State.LISTEN


@pytest.mark.parametrize(
    ("text", "gesture"),
    [
        ("Hello, I am glad to see you.", ("wave",)),
        ("Yes, exactly.", ("nod",)),
        ("No, that will never work.", ("shake",)),
        ("Maybe, who knows", ("shrug", "open_palms")),
        ("This is really important!", ("beat", "point")),
    ],
)
def test_the_words_choose_the_first_gesture(text: str, gesture: tuple[str, ...]) -> None:
    day = Day()
    day.live(1)
    prompt = day.live(0.48, avatar=True, avatar_text=text)[0].prompt
    assert any(GESTURES[name] in prompt for name in gesture)


def test_gestures_are_short_and_never_the_same_twice_in_a_row() -> None:
    for seed in range(5):
        prompts = [action.prompt for action in Day(seed).live(120, avatar=True)]
        made = [next((g for g in GESTURES.values() if prompt.endswith(g)), "") for prompt in prompts]
        gestures = [b for a, b in pairwise(["", *made]) if b and a != b]
        assert len(gestures) > 8
        assert all(a != b for a, b in pairwise(gestures))
        longest = max(len(run) for run in "".join("x" if g else " " for g in made).split())
        assert longest * SHIFT_S < 2.5


def test_a_sudden_loud_voice_startles_but_not_while_speaking_and_not_twice() -> None:
    day = Day()
    day.live(3)
    assert day.live(0.48, user_loudness_db=-8.0)[0] == _SURPRISE
    assert _SURPRISE.urgent
    assert day.live(4)[-1].state is State.IDLE
    assert day.live(0.48, user_loudness_db=-8.0)[0].state is State.IDLE
    speaking = Day()
    speaking.live(3, avatar=True)
    assert states(speaking.live(1, avatar=True, user_loudness_db=-8.0)) == {State.TALK}


def test_the_users_words_are_answered_with_the_face_or_a_hand_once() -> None:
    day = Day()
    day.live(1, user=True)
    assert day.live(0.48, user_text="that is so funny")[0].prompt == "a person laughs"
    day.live(10, user_text="that is so funny")
    assert day.live(0.48, user_text="hello there")[0].state is State.GESTURE
    assert State.GESTURE not in states(day.live(12, user_text="hello there")[4:])


def test_the_same_seed_and_moments_give_the_same_actions() -> None:
    def story(seed: int) -> list[Action]:
        day = Day(seed)
        return day.live(5) + day.live(5, user=True) + day.live(30, avatar=True) + day.live(30)

    assert story(1) == story(1)
    assert story(1) != story(2)


def test_the_prompts_are_words_of_the_studio() -> None:
    known = ";".join([*captions._STATE.values(), *captions._GESTURE.values()])
    verbs = {phrase.partition("|")[0].strip() for phrase in known.split(";")}
    actions = [action.prompt for _, action in _HEARD_CUES] + [p for prompts in _STATES.values() for p in prompts]
    said = {prompt.removeprefix("a person ") for prompt in actions} | set(GESTURES.values())
    assert said <= verbs

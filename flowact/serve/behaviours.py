"""The words clients may use for what the person does, and the plain English the model was taught for them."""

from __future__ import annotations

from flowact.core.types import State
from flowact.serve.messages import BadEventError, SetBehaviour
from flowact.stream.planner import GESTURES, Action

STATES: dict[State, str] = {
    State.IDLE: "a person waits calmly",
    State.LISTEN: "a person listens attentively",
    State.THINK: "a person thinks",
    State.REACT: "a person looks surprised",
    State.TALK: "a person talks to the camera",
    State.GESTURE: "a person gestures with the hands",
}


def to_action(wish: SetBehaviour) -> Action:
    """A client's wish as an action; it is urgent, since somebody is watching for it.

    Raises:
        BadEventError: it asks for nothing, or for a gesture that is not known.
    """
    if wish.gesture is not None and wish.gesture not in GESTURES:
        known = ", ".join(GESTURES)
        raise BadEventError("unknown_gesture", f'gesture is "{wish.gesture}"; expected one of {known}; or use prompt')
    prompt = wish.prompt
    if prompt is None and wish.state is not None:
        prompt = STATES[wish.state]
    if wish.gesture is not None:
        prompt = f"{prompt} and {GESTURES[wish.gesture]}" if prompt else f"a person {GESTURES[wish.gesture]}"
    if prompt is None:
        raise BadEventError("malformed", "behaviour.set needs a prompt, a state or a gesture")
    return Action(wish.state or State.GESTURE, " ".join(prompt.split()), urgent=True)

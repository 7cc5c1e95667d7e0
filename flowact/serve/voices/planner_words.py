"""What a planner's language model is told of a moment, and what it may answer."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from flowact.core.types import State
from flowact.serve.behaviours import STATES
from flowact.serve.voices.errors import ServiceError
from flowact.stream.planner import GESTURES, Action, Moment

_SPEAKING_STATES = frozenset({State.TALK, State.GESTURE})
_MAY_BE_URGENT = frozenset({State.REACT, State.GESTURE})

INSTRUCTIONS = (
    "You direct the body of a person in a live video call. Every second you are told what happens, and you choose what "
    "the person does next. Answer with one JSON object and nothing else:\n"
    '{"state": one of '
    + ", ".join(f'"{state}"' for state in State)
    + ', "prompt": "a person ...", "urgent": true or false}\n'
    'The prompt is one plain English phrase of at most 16 words that begins with "a person". Useful phrases: '
    + "; ".join([*STATES.values(), *(f"a person {words}" for words in GESTURES.values())])
    + ".\nWhile the person speaks, the state is talk or gesture; while not, it is never talk. While the user speaks, "
    "listen, nod or react. After the user stopped, think. If nothing happens, idle. Urgent is true only for a "
    "reaction to something sudden, such as a joke or a surprise. Vary the behaviour; do not repeat the last one."
)


class PlannedAction(BaseModel):
    """What the model may answer; anything else is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: State
    prompt: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[Aa] person [a-zA-Z ,'\-]{3,110}\.?$")]
    urgent: Annotated[bool, Field(strict=True)]


def read_action(text: str, moment: Moment) -> Action:
    """A model's answer as an action.

    Args:
        text: JSON, or text with one JSON object in it.
        moment: that it is about.

    Raises:
        ServiceError: there is no such object, it is not of the schema, or it does not fit the moment: the mouth of
            somebody who says nothing must stay closed, and who speaks must not be made to listen.
    """
    start = re.search(r"\{", text)
    if start is None:
        raise ServiceError(f"the planner's answer holds no JSON object: {text[:80]!r}")
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start.start())
        planned = PlannedAction.model_validate(value)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ServiceError(f"the planner's answer is no whole JSON object: {text[:80]!r}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ServiceError(f"the planner's answer is no action ({where}: {first['msg']})") from error
    speaks = planned.state in _SPEAKING_STATES if moment.is_avatar_speaking else planned.state is not State.TALK
    if not speaks:
        doing = "speaks" if moment.is_avatar_speaking else "is silent"
        raise ServiceError(f'the planner chose "{planned.state}" for a person who {doing}')
    prompt = planned.prompt.rstrip(".")
    return Action(planned.state, prompt[0].lower() + prompt[1:], planned.urgent and planned.state in _MAY_BE_URGENT)


def describe(moment: Moment) -> dict[str, Any]:
    """The moment in words and round numbers."""
    return {
        "user_speaks": moment.is_user_speaking,
        "user_for_s": round(moment.user_for_s, 1),
        "user_loudness_db": round(moment.user_loudness_db),
        "user_said": moment.user_text[-300:],
        "person_speaks": moment.is_avatar_speaking,
        "person_loudness_db": round(moment.avatar_loudness_db),
        "person_says": moment.avatar_text[-300:],
        "person_has_more_to_say_s": round(moment.queued_s, 1),
        "state": moment.state.value,
        "state_for_s": round(moment.state_for_s, 1),
        "last_behaviours": [action.prompt for action in moment.last_actions[-4:]],
    }


def response_format() -> Any:
    """The answer as a schema, for servers that can hold a model to one."""
    # The pattern is left to the validation here: few servers know more of JSON schema than types and enums.
    schema = {
        "type": "object",
        "properties": {
            "state": {"type": "string", "enum": [state.value for state in State]},
            "prompt": {"type": "string"},
            "urgent": {"type": "boolean"},
        },
        "required": ["state", "prompt", "urgent"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "action", "strict": True, "schema": schema}}

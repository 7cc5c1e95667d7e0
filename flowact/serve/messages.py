"""The events of a session: what clients may send, what they are told. One JSON object each, checked at the door."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from flowact.core.types import State

LONGEST_TEXT = 2000
LONGEST_PROMPT = 200
MOST_AUDIO_BYTES = 2 << 20
"""Of one `input_audio.append`, after base64: about a minute of sound."""

Mode = Literal["conversation", "puppet"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TEXT)]
Prompt = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_PROMPT)]


class BadEventError(Exception):
    """A client's event that cannot be used; becomes one `error` event.

    Args:
        code: one word for programs.
        message: for people.
        event: its type, where that is known.
    """

    def __init__(self, code: str, message: str, event: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.event = code, message, event


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SessionUpdate(_Event):
    """Change how the session goes on: who the microphone speaks for, and the standing behaviour."""

    type: Literal["session.update"]
    mode: Mode | None = None
    prompt: Prompt | None = None


class SubmitText(_Event):
    """The user writes; the avatar answers, or speaks the text where there is no language model."""

    type: Literal["input_text.submit"]
    text: Text


class Say(_Event):
    """The avatar shall speak this."""

    type: Literal["speech.say"]
    text: Text


class AppendAudio(_Event):
    """A piece of the avatar's own voice from a program: base64 of 16-bit little-endian mono samples."""

    type: Literal["input_audio.append"]
    audio: Annotated[str, Field(min_length=1, max_length=MOST_AUDIO_BYTES * 4 // 3 + 4)]
    rate: Annotated[int, Field(ge=8000, le=96000)] = 16000

    def samples(self) -> NDArray[np.float32]:
        """The sound, float32 in -1..1.

        Raises:
            BadEventError: it is not base64 of whole samples.
        """
        try:
            raw = base64.b64decode(self.audio, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadEventError("bad_audio", f"audio is not base64 ({error})") from error
        if len(raw) % 2:
            raise BadEventError("bad_audio", f"audio has {len(raw)} bytes; 16-bit samples need an even number")
        return np.frombuffer(raw, "<i2").astype(np.float32) / np.float32(32768)


class CommitAudio(_Event):
    """No more of the voice that was appended."""

    type: Literal["input_audio.commit"]


class SetBehaviour(_Event):
    """What the person shall do; holds until it is cleared. One of the three at least."""

    type: Literal["behaviour.set"]
    prompt: Prompt | None = None
    state: State | None = None
    gesture: Prompt | None = None


class ClearBehaviour(_Event):
    """Give the choice of the behaviour back to the session."""

    type: Literal["behaviour.clear"]


class CancelResponse(_Event):
    """Stop speaking."""

    type: Literal["response.cancel"]


class SubscribeOutput(_Event):
    """Send pictures, sound or both as binary messages over the WebSocket."""

    type: Literal["output.subscribe"]
    video: bool = False
    audio: bool = False


ClientEvent = (
    SessionUpdate
    | SubmitText
    | Say
    | AppendAudio
    | CommitAudio
    | SetBehaviour
    | ClearBehaviour
    | CancelResponse
    | SubscribeOutput
)
_CLIENT: TypeAdapter[ClientEvent] = TypeAdapter(Annotated[ClientEvent, Field(discriminator="type")])


def parse_event(text: str | bytes) -> ClientEvent:
    """Read one event of a client.

    Raises:
        BadEventError: not JSON, of no known type, or with wrong fields.
    """
    try:
        return _CLIENT.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        code = {"json_invalid": "not_json", "union_tag_invalid": "unknown_type", "union_tag_not_found": "unknown_type"}
        message = f"{where}: {first['msg']}" if where else first["msg"]
        event = str(first["loc"][0]) if first["loc"] else None
        raise BadEventError(code.get(first["type"], "malformed"), message, event) from error


class SessionCreated(_Event):
    """The first event of every connection."""

    type: Literal["session.created"] = "session.created"
    id: str
    mode: Mode
    size: int
    fps: int


class SessionStateChanged(_Event):
    """What the person does from the tick that is shown now."""

    type: Literal["session.state"] = "session.state"
    state: State
    prompt: str
    epoch: int


class SpeechStarted(_Event):
    """The first sound of a segment is shown now."""

    type: Literal["speech.started"] = "speech.started"
    segment: str


class SpeechDone(_Event):
    """The last sound of a segment was shown, or it was cut off."""

    type: Literal["speech.done"] = "speech.done"
    segment: str
    played_s: float
    interrupted: bool


class Transcript(_Event):
    """Words of the user or of the avatar."""

    type: Literal["transcript"] = "transcript"
    who: Literal["user", "avatar"]
    text: str
    final: bool


class Stats(_Event):
    """How the session fares, once a second."""

    type: Literal["stats"] = "stats"
    stats: dict[str, Any]


class Trouble(_Event):
    """Something that was asked for could not be done; the session goes on. `event` is the type of what asked for it."""

    type: Literal["error"] = "error"
    code: str
    message: str
    event: str | None = None


class SessionClosed(_Event):
    """The last event of every connection."""

    type: Literal["session.closed"] = "session.closed"
    reason: str


ServerEvent = (
    SessionCreated | SessionStateChanged | SpeechStarted | SpeechDone | Transcript | Stats | Trouble | SessionClosed
)

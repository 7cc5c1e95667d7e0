"""Whom the avatar is asked to play: held-out people with their portrait, their sound, their prompts and the truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowact.core.clock import FPS
from flowact.core.errors import ConfigError
from flowact.evaluate.judge_data import Entry
from flowact.evaluate.judges import Judges, Observation
from flowact.evaluate.looking import Float, Frames
from flowact.evaluate.metrics.face_mesh import FaceMesh
from flowact.stream.avatar import TimedPrompt
from flowact.studio.clipfile import Sample

_DETAIL = 1


@dataclass(frozen=True)
class Subject:
    """One stream to make, and what it would look like if it were perfect.

    Attributes:
        key: of its first clip.
        portrait: [H, W, 3], the first true frame.
        audio: float32 at 16 kHz.
        prompts: what to do and when.
        segments: the true behaviour: state, gesture, start_s, end_s.
        opening: [F] the true mouth opening, from the labels.
        true: what the judges see in the true frames, clip by clip.
        true_mesh: [F] what the face mesh sees in them; empty without a mesh.
        pictures: a few true frames, evenly spaced over the first clip.
        clip_frames: length of the first clip.
    """

    key: str
    portrait: NDArray[np.uint8]
    audio: Float
    prompts: list[TimedPrompt]
    segments: list[dict[str, Any]]
    opening: Float
    true: list[Observation]
    true_mesh: Float
    pictures: Frames
    clip_frames: int

    @property
    def frames(self) -> int:
        """Length in frames."""
        return len(self.opening)


def find_subjects(entries: Sequence[Entry], count: int, seconds: float | None) -> list[list[Entry]]:
    """The clips of each subject: single clips, or, for a length in seconds, all clips of one person.

    People take turns, so that few subjects are still many people.

    Raises:
        ConfigError: there are fewer subjects than asked for.
    """
    people: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        people[entry.identity].append(entry)
    if seconds is not None:
        found = [people[name] for name in sorted(people)]
    else:
        most = max((len(clips) for clips in people.values()), default=0)
        found = [[people[name][take]] for take in range(most) for name in sorted(people) if take < len(people[name])]
    if len(found) < count:
        raise ConfigError(
            f"{count} {'people' if seconds else 'clips'} were asked for, the data holds {len(found)}: "
            "pass a smaller --clips or render more"
        )
    return found[:count]


def load_subject(judges: Judges, entries: Sequence[Entry], seconds: float | None, with_mesh: bool) -> Subject:
    """Read a subject's clips, have the judges watch the true frames, and join them to `seconds` (repeating them)."""
    watched = [_watch(judges, entry.sample(), with_mesh) for entry in entries]
    first = watched[0]
    wanted = first.frames if seconds is None else round(seconds * FPS)
    parts: list[Subject] = []
    while sum(part.frames for part in parts) < wanted:
        parts.append(watched[len(parts) % len(watched)])
    starts = [float(s) / FPS for s in np.cumsum([0, *(part.frames for part in parts[:-1])])]
    return Subject(
        key=first.key,
        portrait=first.portrait,
        audio=np.concatenate([part.audio for part in parts]),
        prompts=[TimedPrompt(p.start_s + at, p.text) for at, part in zip(starts, parts) for p in part.prompts],
        segments=[_later(segment, at) for at, part in zip(starts, parts) for segment in part.segments],
        opening=np.concatenate([part.opening for part in parts])[:wanted],
        true=[observation for part in parts for observation in part.true],
        true_mesh=np.concatenate([part.true_mesh for part in parts])[:wanted],
        pictures=first.pictures,
        clip_frames=first.frames,
    )


def take_evenly(frames: int, count: int) -> list[int]:
    """Numbers of `count` frames spread over a clip, the first and the last among them."""
    return [round(i * (frames - 1) / max(count - 1, 1)) for i in range(count)]


def prompts_of(meta: Mapping[str, Any]) -> list[TimedPrompt]:
    """What a clip's captions ask for, at the middle level of detail."""
    chosen = [caption for caption in meta["captions"] if caption["detail"] == _DETAIL]
    return [TimedPrompt(caption["start_s"], caption["text"]) for caption in chosen]


def _watch(judges: Judges, sample: Sample, with_mesh: bool) -> Subject:
    return Subject(
        key=sample.key,
        portrait=sample.frames[0],
        audio=sample.audio,
        prompts=prompts_of(sample.meta),
        segments=sample.meta["segments"],
        opening=sample.tracks["mouth_open"],
        true=[judges.observe(sample.frames)],
        true_mesh=read_mesh(sample.frames) if with_mesh else np.zeros(0, np.float32),
        pictures=sample.frames[take_evenly(len(sample.frames), 8)],
        clip_frames=len(sample.frames),
    )


def read_mesh(frames: Frames) -> Float:
    """What the face mesh sees in one whole clip."""
    mesh = FaceMesh()
    try:
        return mesh.read(frames)
    finally:
        mesh.close()


def _later(segment: dict[str, Any], at_s: float) -> dict[str, Any]:
    return segment | {"start_s": segment["start_s"] + at_s, "end_s": segment["end_s"] + at_s}

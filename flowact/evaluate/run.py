"""Streams held-out people and has the judges watch; writes a report and sheets to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flowact.core.clock import FPS
from flowact.core.types import Clip
from flowact.evaluate.judge_data import Entry, index_shards
from flowact.evaluate.judges import Judges, Watch
from flowact.evaluate.looking import Float
from flowact.evaluate.metrics.face_mesh import FaceMesh, loudness
from flowact.evaluate.metrics.resources import resident_mb
from flowact.evaluate.report import write_report
from flowact.evaluate.scores import Borrowed, Take, score_takes
from flowact.evaluate.sheet import write_sheet
from flowact.evaluate.subjects import Subject, find_subjects, load_subject, take_evenly
from flowact.stream.avatar import TimedPrompt
from flowact.studio.dataset import find_shards

_SHEET_S = (0.0, 10.0, 60.0)
_SHEET_PEOPLE = 10
_COLUMNS = 8


class Streams(Protocol):
    """What is evaluated: `flowact.stream.avatar.Avatar`, or anything that streams like it."""

    def stream(
        self,
        image: NDArray[np.uint8],
        audio: Float,
        prompt: list[TimedPrompt],
        seed: int,
        seconds: float | None,
    ) -> Iterator[Clip]:
        """Chunks of 12 frames, one after another."""


@dataclass(frozen=True)
class RunSettings:
    """How much is evaluated.

    Attributes:
        clips: streams to make.
        seconds: length of each; None is that of the person's clip.
        wrong_audio: for so many streams, a second one is made to somebody else's voice. Two voices agree by chance, by
            0.3 in 6 seconds (deviation): a mean of few streams says little.
        with_mesh: ask the public face mesh as well.
        split: of the dataset; "val" are people and sentences that training never meets.
        seed: of the noise.
    """

    clips: int = 20
    seconds: float | None = None
    wrong_audio: int = 19
    with_mesh: bool = True
    split: str = "val"
    seed: int = 0


def evaluate(
    avatar: Streams, data: Path, judges: Judges, out: Path, settings: RunSettings, note: Callable[[str], None]
) -> str:
    """Evaluate an avatar on held-out people; writes report.json, report.md and sheets, returns the table.

    Raises:
        ConfigError: the data holds too few clips, or mediapipe is missing.
    """
    entries = index_shards(find_shards(data, settings.split))
    groups = find_subjects(entries, settings.clips, settings.seconds)
    takes = list(_takes(avatar, judges, groups, settings, note))
    lines, details = score_takes(judges, takes)
    _write_sheets(out, takes)
    about = f"{len(takes)} streams of {takes[0].frames / FPS:g} s, split {settings.split}"
    return write_report(
        out, about, lines, {"settings": asdict(settings), "judges": dict(judges.notes), "details": details}
    )


def _takes(
    avatar: Streams,
    judges: Judges,
    groups: Sequence[Sequence[Entry]],
    settings: RunSettings,
    note: Callable[[str], None],
) -> Iterator[Take]:
    former: Subject | None = None
    for i, entries in enumerate(groups):
        note(f"{i + 1}/{len(groups)} {entries[0].key}")
        subject = load_subject(judges, entries, settings.seconds, settings.with_mesh)
        # The second subject is the first that can borrow a voice.
        yield film(avatar, judges, subject, settings, former if i <= settings.wrong_audio else None)
        former = subject


def film(
    avatar: Streams, judges: Judges, subject: Subject, settings: RunSettings, other: Subject | None = None
) -> Take:
    """Make one stream and watch it; with `other`, make a second one to the voice of that person and read its lips."""
    moments = _moments(subject)
    watch, mesh = Watch(judges), FaceMesh() if settings.with_mesh else None
    pictures: dict[int, NDArray[np.uint8]] = {}
    seconds, resident, found, shown = [], [], [], 0
    for clip in _stream(avatar, subject, subject.audio, settings):
        seconds.append(clip.seconds)
        resident.append(resident_mb())
        frames = clip.frames[: subject.frames - shown]
        watch.add(frames)
        if mesh is not None:
            found.append(mesh.read(frames))
        pictures |= {m: clip.frames[m - shown].copy() for m in moments if shown <= m < shown + len(frames)}
        shown += len(frames)
    if mesh is not None:
        mesh.close()
    return Take(
        subject=subject,
        seen=watch.result(),
        mesh=np.concatenate(found) if found else np.zeros(0, np.float32),
        loudness=loudness(subject.audio, subject.frames),
        borrowed=None if other is None else _borrow(avatar, judges, subject, other, settings),
        chunk_seconds=seconds,
        resident_mb=resident,
        pictures=pictures,
    )


def _stream(avatar: Streams, subject: Subject, audio: Float, settings: RunSettings) -> Iterator[Clip]:
    return avatar.stream(subject.portrait, audio, subject.prompts, settings.seed, subject.frames / FPS)


def _borrow(avatar: Streams, judges: Judges, subject: Subject, other: Subject, settings: RunSettings) -> Borrowed:
    watch = Watch(judges)
    for clip in _stream(avatar, subject, other.audio, settings):
        watch.add(clip.frames)
    return Borrowed(watch.result().mouth_open[: subject.frames], other.opening[: subject.frames])


def _moments(subject: Subject) -> list[int]:
    """Frames kept for the sheets: fixed times as far as they lie in the stream, its end, and some of the first clip."""
    fixed = [round(at * FPS) for at in _SHEET_S]
    return sorted({*(m for m in fixed if m < subject.frames), subject.frames - 1, *take_evenly(subject.clip_frames, 8)})


def _write_sheets(out: Path, takes: Sequence[Take]) -> None:
    chosen = takes[:_SHEET_PEOPLE]
    last = chosen[0].frames - 1
    at = [m for m in (round(s * FPS) for s in _SHEET_S) if m <= last]
    at = sorted({*at, last})
    rows: list[tuple[str, Any]] = [
        (take.subject.key, [take.subject.portrait, *(take.pictures[m] for m in at if m in take.pictures)])
        for take in chosen
    ]
    write_sheet(out / "people.png", rows, ["portrait", *(f"{m / FPS:g} s" for m in at)])
    rows = []
    for take in chosen:
        times = [m for m in take_evenly(take.subject.clip_frames, _COLUMNS) if m in take.pictures]
        rows.append((f"{take.subject.key}\ntrue", take.subject.pictures))
        rows.append(("made", [take.pictures[m] for m in times]))
    first = chosen[0].subject.clip_frames
    write_sheet(out / "true_and_made.png", rows, [f"{m / FPS:.2f} s" for m in take_evenly(first, _COLUMNS)], 128)

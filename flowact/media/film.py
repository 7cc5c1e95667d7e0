"""From a stream of clips to a film on disk: marked, cut to length, timed, with a progress bar."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from flowact.core.clock import FPS, frames_to_samples
from flowact.media.provenance import Provenance, VisibleMark
from flowact.media.video import VideoWriter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flowact.core.types import Clip
    from flowact.media.report import Stopwatch


def write_film(
    clips: Iterable[Clip],
    out: Path,
    size: tuple[int, int],
    seconds: float,
    provenance: Provenance,
    mark: bool,
    watch: Stopwatch,
) -> None:
    """Take clips as they are made and write them to an mp4 until it is `seconds` long.

    Args:
        clips: as `Avatar.stream` yields them; no more are taken than are needed.
        out: the mp4 to write.
        size: width and height of the frames in pixels.
        seconds: length of the film, rounded up to whole frames; clips that end earlier end the film.
        provenance: what the metadata and the signed credentials say.
        mark: draw the visible mark.
        watch: receives the times and the number of frames, also when this is interrupted.

    Raises:
        ConfigError: the file cannot be written, or it is kept but could not be signed.
        KeyboardInterrupt: passed on after the film so far has been saved.
    """
    badge = VisibleMark(*size) if mark else None
    wanted = math.ceil(round(seconds * FPS, 6))
    with VideoWriter(out, *size, provenance) as writer, _progress() as progress:
        task = progress.add_task(out.name, total=wanted)
        for frames, audio, made_s in _cut(clips, wanted):
            watch.add(len(frames), made_s)
            writer.write(badge.draw(frames) if badge else frames, audio)
            progress.advance(task, len(frames))


def _cut(clips: Iterable[Clip], wanted: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32], float]]:
    left = wanted
    for clip in clips:
        count = min(left, len(clip.frames))
        yield clip.frames[:count], clip.audio[: frames_to_samples(count)], clip.seconds
        left -= count
        if left == 0:
            return


class _Speed(ProgressColumn):
    """Frames per second since the start."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} fps", style="progress.data.speed")


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} frames"),
        _Speed(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

"""How fast a film is made: stage by stage, and as `flowact generate` makes it."""

from __future__ import annotations

import copy
import resource
import tempfile
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.stages import summarise, time_stages
from bench.subject import facts_of, load_avatar, portrait_for, voice_of
from flowact.core.types import Frames
from flowact.media.film import write_film
from flowact.media.provenance import Provenance
from flowact.media.report import Stopwatch
from flowact.rollout.generate import Backbone
from flowact.stream.avatar import Avatar


class Forgetful:
    """The classic loop: every evaluation runs the memory through the network again."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone

    def __call__(self, frames: Frames, memory: Frames, guidance: Tensor | None) -> Tensor:
        """Velocity of the stream, the memory looked at first."""
        return self._backbone(frames, self._backbone.remember(memory), guidance)

    def remember(self, memory: Frames) -> Frames:
        """Nothing is computed ahead."""
        return memory


def measure(
    model: str | None,
    runtime: str,
    seconds: float,
    precision: str | None = None,
    is_forgetful: bool = False,
    is_written: bool = True,
) -> dict[str, Any]:
    """Figures of a film of `seconds`.

    Args:
        model: folder; None for the shipped one.
        runtime: as `--runtime`.
        seconds: of video; the first ten chunks are warm-up.
        precision: "float32" where the instruction sets that are left have nothing better.
        is_forgetful: compute the memory anew in each evaluation.
        is_written: encode it too, once stage by stage and once as `flowact generate` does.
    """
    avatar, choice = load_avatar(model, runtime, precision)
    if is_forgetful:
        avatar = copy.copy(avatar)
        avatar.backbone = Forgetful(avatar.backbone)
    portrait, voice = portrait_for(avatar), voice_of(seconds)
    with tempfile.TemporaryDirectory(prefix="flowact-bench-") as folder:
        film = Path(folder) / "film.mp4"
        figures = summarise(time_stages(avatar, portrait, voice, film if is_written else None))
        if is_written:
            figures["generate"] = _generate(avatar, seconds, film)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"model": facts_of(avatar, choice), "seconds": seconds, **figures, "peak_rss_mb": round(peak_mb, 1)}


def _generate(avatar: Avatar, seconds: float, film: Path) -> dict[str, float]:
    """From the call to the closed and signed file, as the command line does it once the model is loaded."""
    size, watch = avatar.config.size, Stopwatch()
    clips = avatar.stream(portrait_for(avatar), voice_of(seconds), "a person talks to the camera", 0, seconds)
    write_film(clips, film, (size, size), seconds, Provenance.now(avatar.config.name, 0, "bench"), True, watch)
    report = watch.report(avatar.config.name, (size, size), avatar.config.passes_per_chunk, 0.0)
    return {
        "fps_end_to_end": report.fps_end_to_end,
        "first_frame_s": report.first_frame_s,
        "chunk_p50_s": report.chunk_p50_s,
        "chunk_p99_s": report.chunk_p99_s,
    }

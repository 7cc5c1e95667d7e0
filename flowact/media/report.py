"""How fast a film was made and on what machine: the numbers behind every claim about speed."""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from flowact.core.clock import FPS
from flowact.core.errors import ConfigError, SessionError


@dataclass(frozen=True)
class RunReport:
    """What one film cost. Times are wall times in seconds; files and encoding are included in `fps_end_to_end`."""

    model: str
    resolution: str
    passes_per_chunk: int
    video_s: float
    load_s: float
    first_frame_s: float
    total_s: float
    fps_end_to_end: float
    chunk_p50_s: float
    chunk_p99_s: float
    peak_memory_mb: float
    machine: dict[str, str | int]

    def save(self, path: Path) -> None:
        """Write the report as JSON.

        Raises:
            ConfigError: the file cannot be written.
        """
        try:
            path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"report {path} cannot be written ({error.strerror}); choose another folder") from error


class Stopwatch:
    """Gathers the times of one film, from its own creation on."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._first_frame_s = 0.0
        self._chunk_s: list[float] = []
        self.frames = 0

    def add(self, frames: int, made_s: float) -> None:
        """Note that a clip of `frames` frames arrived, which took `made_s` seconds to make."""
        if not self._chunk_s:
            self._first_frame_s = time.perf_counter() - self._began
        self._chunk_s.append(made_s)
        self.frames += frames

    def report(self, model: str, size: tuple[int, int], passes_per_chunk: int, load_s: float) -> RunReport:
        """The finished report, taken when the file is closed.

        Raises:
            SessionError: no clip arrived.
        """
        if not self._chunk_s:
            raise SessionError("there is nothing to report: the model made no clip; give more audio or more seconds")
        total_s = time.perf_counter() - self._began
        # The first chunk waits for the whole staircase to fill, so it is told apart from the steady ones.
        steady = self._chunk_s[1:] or self._chunk_s
        return RunReport(
            model=model,
            resolution=f"{size[0]}x{size[1]}",
            passes_per_chunk=passes_per_chunk,
            video_s=self.frames / FPS,
            load_s=round(load_s, 3),
            first_frame_s=round(self._first_frame_s, 3),
            total_s=round(total_s, 3),
            fps_end_to_end=round(self.frames / total_s, 2),
            chunk_p50_s=round(float(np.percentile(steady, 50)), 4),
            chunk_p99_s=round(float(np.percentile(steady, 99)), 4),
            peak_memory_mb=round(peak_memory_mb(), 1),
            machine=describe_machine(),
        )


def peak_memory_mb() -> float:
    """The largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


def describe_machine() -> dict[str, str | int]:
    """System, processor and the instruction sets that decide which number format is fast."""
    machine: dict[str, str | int] = {
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "cores": os.cpu_count() or 1,
        "processor": platform.processor() or platform.machine(),
    }
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        facts = dict(line.split(":", 1) for line in listing.read_text().split("\n\n")[0].splitlines() if ":" in line)
        facts = {key.strip(): value.strip() for key, value in facts.items()}
        machine["processor"] = facts.get("model name", str(machine["processor"]))
        flags = set(facts.get("flags", "").split())
        known = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
        machine["instructions"] = " ".join(name for name in known if name in flags)
    return machine

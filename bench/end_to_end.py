"""How fast a model really is: python -m bench.end_to_end [--model DIR] [--seconds 60] [--out bench/results/FILE.json].

Everything a viewer waits for is inside: conditioning, passes, decoding, colour conversion. Warm-up (the first ten
chunks) is reported apart. Writes one JSON row and prints it.
"""

from __future__ import annotations

import json
import platform
import resource
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from flowact.core.clock import FPS, FRAMES_PER_CHUNK, SAMPLE_RATE_HZ, SHIFT_S
from flowact.media.audio import load_audio
from flowact.media.portrait import load_portrait
from flowact.stream.avatar import Avatar

WARM_UP_CHUNKS = 10
SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def main(
    model: Annotated[Path | None, typer.Option(help="model folder; the shipped one by default")] = None,
    seconds: Annotated[float, typer.Option(help="length of the stream")] = 60.0,
    out: Annotated[Path | None, typer.Option(help="where to write the row")] = None,
) -> None:
    """Stream one session and measure it."""
    begin = time.perf_counter()
    avatar = Avatar.from_pretrained(model)
    loaded = time.perf_counter()
    portrait = load_portrait(SAMPLES / "portrait.png", avatar.config.size).pixels
    voice = load_audio(SAMPLES / "voice.wav")
    sound = np.resize(voice, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)
    opened = time.perf_counter()
    times, first, memory = [], 0.0, []
    for clip in avatar.stream(portrait, sound):
        first = first or time.perf_counter() - opened
        times.append(clip.seconds)
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    steady = np.array(times[WARM_UP_CHUNKS:])
    row = {
        "model": avatar.config.name,
        "passes_per_chunk": avatar.config.passes_per_chunk,
        "machine": {"cpu": _cpu(), "threads": torch.get_num_threads(), "torch": torch.__version__},
        "seconds": len(times) * SHIFT_S,
        "load_s": loaded - begin,
        "first_frame_s": first,
        "warm_up_chunk_s": [round(t, 4) for t in times[:WARM_UP_CHUNKS]],
        "chunk_p50_s": float(np.quantile(steady, 0.5)),
        "chunk_p95_s": float(np.quantile(steady, 0.95)),
        "chunk_p99_s": float(np.quantile(steady, 0.99)),
        "deadlines_met": float((steady <= SHIFT_S).mean()),
        "fps": float(FRAMES_PER_CHUNK / steady.mean()),
        "real_time_factor": float(FRAMES_PER_CHUNK / steady.mean() / FPS),
        "peak_rss_mb": memory[-1],
        "rss_growth_after_warm_up_mb": memory[-1] - memory[WARM_UP_CHUNKS],
    }
    text = json.dumps(row, indent=2)
    print(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


if __name__ == "__main__":
    typer.run(main)

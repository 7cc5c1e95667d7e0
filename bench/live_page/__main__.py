"""The delays of the live server, from content, through engine, pacer, aiortc and a real headless Chromium.

python -m bench.live_page [--seconds 300] [--openings 20] [--out bench/results/live_page.jsonl]

Three parts, each with a server of its own process, driven by the shipped page with a probe in it: flash and beep
(`sync`, a fifth of the seconds), sessions opened again and again (`openings`), speech and interruptions (`speaking`,
the rest of the seconds). Appends one JSON row and prints a table. Everything shares this machine: the browser, which
draws without a GPU, takes a part of the cores from the engine.
"""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from bench.live_page.host import CHROMIUM, REAL, browse, serve
from bench.live_page.openings import measure_openings
from bench.live_page.speaking import judge_trials, run_trials
from bench.live_page.sync import measure_sync
from bench.machine import cpu_line, describe
from bench.rows import add_row
from flowact.evaluate.judges import Judges

RESULT = Path(__file__).resolve().parents[1] / "results" / "live_page.jsonl"
WANTED = {
    "beep_minus_flash": "|p50| <= 0.060",
    "open_to_first_frame": "p50 <= 1.000",
    "push_to_lips": "p95 <= 0.600",
    "click_to_silence": "p95 <= 0.150",
    "interrupt_to_silence": "p95 <= 0.150",
    "interrupt_to_rest": "p95 <= 0.500",
}
_SYNC_SHARE = 0.2


def main(
    seconds: Annotated[float, typer.Option(help="length of flash and beep and of speaking, together")] = 300.0,
    openings: Annotated[int, typer.Option(help="sessions to open", min=1)] = 20,
    out: Annotated[Path, typer.Option(help="where to append the row")] = RESULT,
) -> None:
    """Measure the live server through a browser."""
    judges = Judges.load()  # what is missing is told before the long part
    sync = measure_sync(_SYNC_SHARE * seconds)
    with serve(REAL) as url, browse(url) as page:
        opened = measure_openings(page, openings)
        trials = run_trials(page, (1 - _SYNC_SHARE) * seconds)
        ticks, held = page.metric("flowact_ticks_total"), page.metric("flowact_held_ticks_total")
    spoken = judge_trials(trials, judges)
    offsets_s = [offset_ms / 1000 for offset_ms in sync.offsets_ms]
    times: dict[str, Sequence[float | None]] = {"beep_minus_flash": offsets_s, **opened.times_s, **spoken}
    row = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"cpu": cpu_line(describe()), "threads": torch.get_num_threads(), "torch": torch.__version__},
        "browser": subprocess.run([CHROMIUM, "--version"], capture_output=True, text=True, check=True).stdout.strip(),
        "seconds": seconds,
        "beeps": {"sent": sync.sent, "heard": sync.heard, "seen": sync.seen},
        "pictures_missed": round(sync.missed, 4),
        "sound_card_ms": round(sync.playout_ms, 1),
        "steps_s": {name: summary(values) for name, values in opened.steps_s.items()},
        "ticks": round(ticks),
        "held_ticks": round(held),
        **{f"{name}_s": summary(values) for name, values in times.items()},
    }
    add_row(row, out)
    Console().print(_table(times), _table(opened.steps_s))


def summary(times: Sequence[float | None]) -> dict[str, float]:
    """Quantiles of what was found, and how often nothing was."""
    found = [time for time in times if time is not None]
    counts = {"count": len(found), "not_found": len(times) - len(found)}
    if not found:
        return dict(counts)
    p50, p95 = np.quantile(found, (0.5, 0.95))
    return {**counts, "p50": round(float(p50), 3), "p95": round(float(p95), 3)}


def _table(times: Mapping[str, Sequence[float | None]]) -> Table:
    table = Table("seconds", "n", "not found", "p50", "p95", "wanted")
    for name, values in times.items():
        facts = summary(values)
        quantiles = [f"{facts[q]:.3f}" if q in facts else "-" for q in ("p50", "p95")]
        table.add_row(name, str(facts["count"]), str(facts["not_found"]), *quantiles, WANTED.get(name, ""))
    return table


if __name__ == "__main__":
    typer.run(main)

"""Draw the curves of the runs that are kept in docs/runs: python scripts/plot_runs.py [OUT.png].

A run is a folder of metrics.jsonl files, one for each chapter; only lines that hold an evaluation are drawn.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from recipes.nano import CHAPTERS, ROWS

RUNS = Path(__file__).resolve().parents[1] / "docs" / "runs"
DRAWN = {
    "eval/mouth_1.0": "error at the mouth from pure noise (1 = the portrait held still)",
    "eval/mouth_0.5": "error at the mouth from half noise",
    "eval/clean_1.0": "error everywhere from pure noise",
}


def read_run(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """(windows seen since the run began, evaluation) of every evaluation, chapter after chapter."""
    found, before = [], 0
    for chapter in CHAPTERS:
        path = folder / f"{chapter}.jsonl"
        if not path.is_file():
            continue
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found += [(before + line["step"] * ROWS, line) for line in lines if "eval/mouth_1.0" in line]
        before += lines[-1]["step"] * ROWS
    return found


def main(out: Path) -> None:
    """Draw every backbone run into one picture."""
    figure, axes = plt.subplots(1, len(DRAWN), figsize=(13, 3.6))
    for folder in sorted(RUNS.glob("*backbone-*")):
        points = read_run(folder)
        for axis, (name, title) in zip(axes, DRAWN.items()):
            axis.plot([x / 1000 for x, _ in points], [line[name] for _, line in points], "o-", ms=3, label=folder.name)
            axis.set_title(title, fontsize=8)
            axis.set_xlabel("thousand windows since the run began", fontsize=8)
            axis.grid(alpha=0.3)
    axes[1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(out, dpi=110)
    print(f"wrote {out}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else RUNS / "backbone.png")

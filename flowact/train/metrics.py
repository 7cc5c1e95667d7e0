"""What a run measures: `metrics.jsonl`, TensorBoard events where it is installed, and curves as a picture."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from torch import Tensor

from flowact.core.errors import ConfigError

FILE_NAME = "metrics.jsonl"


class Averages:
    """Means of logged values since they were last taken; tensors stay on their device until then."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float | Tensor, int]] = {}
        self._since_s = time.monotonic()
        self._steps = 0

    def add(self, values: Mapping[str, float | Tensor]) -> None:
        """Take in the values of one train_step."""
        self._steps += 1
        for name, value in values.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + (value.detach() if isinstance(value, Tensor) else value), count + 1)

    def take(self) -> dict[str, float]:
        """The means, with the rate in train_steps per second; then begin anew."""
        now = time.monotonic()
        means = {name: float(total) / count for name, (total, count) in self._sums.items()}
        means["steps_per_s"] = self._steps / max(now - self._since_s, 1e-9)
        self._sums, self._since_s, self._steps = {}, now, 0
        return means


class MetricsLog:
    """Appends rows of values to a run's folder; use it as a context manager.

    Args:
        folder: of the run.
        step: train_step from which the run goes on; rows after it, written by a run that was killed, are dropped.
    """

    def __init__(self, folder: Path, step: int = 0):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE_NAME
        kept = [row for row in read_metrics(folder) if row["step"] <= step] if path.exists() else []
        path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._board = None
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one row; values that are not finite become null, as JSON has no word for them."""
        row = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._file.write(json.dumps({"step": step, **row}) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The rows of a run in the order written; a last row cut off by a crash is left out.

    Raises:
        ConfigError: the folder holds no metrics.
    """
    path = folder / FILE_NAME
    if not path.exists():
        raise ConfigError(f"no {FILE_NAME} in {folder}: expected the folder of one stage of a run")
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def plot_curves(folder: Path) -> Path:
    """Draw every value of a run over its train_steps into `curves.png` and return the path.

    Raises:
        ConfigError: nothing was measured yet, or matplotlib (extra `train`) is not installed.
    """
    if find_spec("matplotlib") is None:
        raise ConfigError("cannot draw curves: matplotlib is not installed; pip install 'flowact[train]'")
    from matplotlib.figure import Figure

    rows = read_metrics(folder)
    names = sorted({name for row in rows for name in row if name != "step"})
    if not names:
        raise ConfigError(f"cannot draw curves: {folder / FILE_NAME} holds no rows yet")
    columns = min(3, len(names))
    figure = Figure(figsize=(4.5 * columns, 2.8 * math.ceil(len(names) / columns)), layout="constrained")
    for number, name in enumerate(names, start=1):
        points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
        axes = figure.add_subplot(math.ceil(len(names) / columns), columns, number)
        steps, values = ([point[part] for point in points] for part in (0, 1))
        axes.plot(steps, values, linewidth=1.0, marker="." if len(points) < 40 else "")
        if values and min(values) > 0 and max(values) > 20 * min(values):
            axes.set_yscale("log")
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.3)
        axes.set_xlabel("train_step", fontsize=8)
    path = folder / "curves.png"
    figure.savefig(path, dpi=110)
    return path

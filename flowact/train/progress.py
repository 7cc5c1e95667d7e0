"""What the user sees while a stage trains, and how he asks it to stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

_PLAIN_INTERVAL_S = 10.0


class StopRequest:
    """Within its block SIGTERM and the first SIGINT only set `is_made`; a second SIGINT interrupts as usual.

    Outside the main thread, where no handler can be set, it never is made.
    """

    def __init__(self) -> None:
        self.is_made = False
        self._former: dict[int, Any] = {}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.is_made = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, self._former[number])

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._former[number] = signal.getsignal(number)
                signal.signal(number, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)


class ProgressReport:
    """A live bar on a terminal, a plain line every ten seconds elsewhere, nothing where it is not `visible`.

    Args:
        title: of the stage.
        console: where to write.
        visible: whether this process speaks to the user.
        clock: seconds, monotonic.
    """

    def __init__(self, title: str, console: Console, visible: bool = True, clock: Any = time.monotonic):
        self._title = title
        self._console = console
        self._visible = visible
        self._clock = clock
        self._start: tuple[float, float] | None = None
        self._last_line_s = -_PLAIN_INTERVAL_S
        columns = (
            TextColumn("{task.description}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
        )
        self._bar = Progress(*columns, console=console, disable=not (visible and console.is_terminal))
        self._task = self._bar.add_task(title, total=None, facts="")

    def show(self, step: int, train_steps: int, progress: float, values: Mapping[str, float]) -> None:
        """Tell how far the stage is (`progress` in 0..1) and its newest values; the bar shows losses and the rate."""
        now = self._clock()
        if self._start is None:
            self._start = (now, progress)
        left = self._left(now, progress)
        brief = [f"{name} {value:.4g}" for name, value in values.items() if name.endswith(("loss", "steps_per_s"))]
        self._bar.update(self._task, completed=step, total=train_steps, facts="  ".join([*brief, left]))
        if self._visible and not self._console.is_terminal and now - self._last_line_s >= _PLAIN_INTERVAL_S:
            self._last_line_s = now
            facts = "  ".join([*(f"{name} {value:.4g}" for name, value in values.items()), left])
            self._console.print(f"{self._title}: step {step}/{train_steps}  {facts}", highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print one line above the bar."""
        if self._visible:
            self._bar.console.print(f"{self._title}: {text}", highlight=False, soft_wrap=True)

    def _left(self, now: float, progress: float) -> str:
        assert self._start is not None
        elapsed_s, gained = now - self._start[0], progress - self._start[1]
        if gained <= 0:
            return "ETA ?"
        left_s = round(elapsed_s * (1 - progress) / gained)
        return f"ETA {left_s // 3600}:{left_s // 60 % 60:02d}:{left_s % 60:02d}"

    def __enter__(self) -> ProgressReport:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

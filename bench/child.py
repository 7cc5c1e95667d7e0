"""One measurement in a process of its own, so that memory, threads and settings of another cannot touch it.

`run_child("offline", {...})` starts `python -m bench.child offline {...} FILE`, which calls `measure` of
`bench.parts.offline`.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_LAST_LINES = 12


class PartError(RuntimeError):
    """A measurement failed; the message ends with what the process wrote last."""


def run_child(part: str, options: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What `bench.parts.PART.measure(**options)` returns, computed in a fresh process.

    Args:
        part: name of the module.
        options: of `measure`; what JSON knows.
        environment: set on top of this process's own.

    Raises:
        PartError: the process failed.
    """
    with tempfile.TemporaryDirectory(prefix="flowact-bench-") as folder:
        answer, log = Path(folder) / "answer.json", Path(folder) / "log.txt"
        words = [sys.executable, "-m", "bench.child", part, json.dumps(dict(options)), str(answer)]
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        # A film is signed with a key; that of the person who measures is not touched.
        given = {"PYTHONPATH": os.pathsep.join(paths), "FLOWACT_KEY_DIR": folder, **(environment or {})}
        with (
            log.open("w") as file,
            subprocess.Popen(words, env={**os.environ, **given}, stdout=file, stderr=file) as it,
        ):
            try:
                code = it.wait()
            except BaseException:  # the child may have children of its own, so it must be asked to end, not killed
                it.terminate()
                raise
        if code or not answer.is_file():
            said = "\n".join(log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
            raise PartError(f"bench.parts.{part} ended with exit code {code}:\n{said}")
        found: dict[str, Any] = json.loads(answer.read_text())
        return found


def exit_on_sigterm() -> None:
    """From here on SIGTERM raises SystemExit, so that what this process started ends with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def now_s() -> float:
    """A clock that all processes of this machine share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def main(part: str, options: str, answer: str) -> None:
    """Measure, and write the figures to a file."""
    exit_on_sigterm()
    measured = importlib.import_module(f"bench.parts.{part}").measure(**json.loads(options))
    Path(answer).write_text(json.dumps(measured, allow_nan=False))


if __name__ == "__main__":
    main(*sys.argv[1:])

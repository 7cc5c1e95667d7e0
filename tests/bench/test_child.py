"""A measurement that is ended takes its processes with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.child import ROOT

SCRIPT = "from bench.child import *; exit_on_sigterm(); run_child('machine', {})"


def is_measuring(children: list[str]) -> bool:
    """Whether the only child has become the program that it was started for."""
    return len(children) == 1 and b"bench.child" in Path(f"/proc/{children[0]}/cmdline").read_bytes()


def test_sigterm_ends_the_measuring_process_too() -> None:
    measuring = subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=ROOT, start_new_session=True)
    children = Path(f"/proc/{measuring.pid}/task/{measuring.pid}/children")
    deadline_s = time.monotonic() + 30
    while not is_measuring(children.read_text().split()):
        assert measuring.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    time.sleep(0.5)  # until the parent, too, knows that its child has begun
    measuring.terminate()
    assert measuring.wait(30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.killpg(measuring.pid, 0)

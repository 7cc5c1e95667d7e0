import io
import os
import signal

import pytest
from rich.console import Console

from flowact.train.progress import ProgressReport, StopRequest


def test_second_interrupt_interrupts():
    # A test run started in the background inherits an ignored SIGINT; a terminal's user does not.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.is_made
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, inherited)


def test_plain_lines_come_every_ten_seconds_with_an_estimate():
    times = iter([0.0, 5.0, 11.0])
    console = Console(file=io.StringIO(), width=200)
    with ProgressReport("tiny", console, clock=lambda: next(times)) as report:
        for step in (10, 20, 30):
            report.show(step, 100, step / 100, {"loss": 1 / step})
    lines = console.file.getvalue().splitlines()
    assert lines == ["tiny: step 10/100  loss 0.1  ETA ?", "tiny: step 30/100  loss 0.03333  ETA 0:00:38"]


def test_terminal_gets_a_bar_and_others_nothing():
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    with ProgressReport("tiny", console) as report:
        report.show(10, 100, 0.1, {"loss": 0.5, "grad_norm": 1.0, "steps_per_s": 3.0})
    assert "loss 0.5  steps_per_s 3  ETA ?" in console.file.getvalue()
    silent = Console(file=io.StringIO(), width=200)
    with ProgressReport("tiny", silent, visible=False) as report:
        report.show(10, 100, 0.1, {"loss": 0.5})
        report.say("hello")
    assert silent.file.getvalue() == ""

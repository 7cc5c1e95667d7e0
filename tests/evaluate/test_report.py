import json

import pytest

from flowact.evaluate.report import Line, as_table, write_report


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (Line("a", 0.85, 0.9, low=0.8, is_capped=True), "met"),
        (Line("a", 0.7, 0.9, low=0.8, is_capped=True), "missed"),
        (Line("a", 0.95, 0.9, low=0.8, is_capped=True), "ALARM: above the ceiling"),
        (Line("a", 0.95, 0.9, low=0.8), "met"),
        (Line("a", 1.4, 1.0, low=0.7, high=1.3), "missed"),
        (Line("a", None, 0.9, low=0.8), "not measured"),
        (Line("a", 3.0), ""),
    ],
)
def test_verdicts(line, verdict):
    assert line.verdict == verdict


def test_the_report_is_written_twice(tmp_path):
    table = write_report(tmp_path / "out", "ten streams", [Line("lips", 0.81, 0.9, low=0.8)], {"seed": 3})
    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    assert stored["measures"][0]["verdict"] == "met"
    assert stored["seed"] == 3
    assert "| lips | 0.81 | 0.9 | at least 0.8 | met |" in table
    assert (tmp_path / "out" / "report.md").read_text() == table


def test_what_is_wanted_is_said():
    table = as_table("t", [Line("a", 1.0, low=0.7, high=1.3), Line("b", 1.0, high=1.2), Line("c", 1500.0)])
    assert "0.7 to 1.3" in table
    assert "at most 1.2" in table
    assert "| c | 1500 |" in table

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from bench import machine
from bench.machine import Load, LoadMeter, describe, name_of, resident_mb
from bench.plan import PARTS
from bench.rows import add_row, check_row, failures, newest_parts, read_rows, stamp
from flowact.core.errors import ConfigError


def row(at: str = "2026-01-01T00:00:00+00:00", is_quick: bool = False, **parts: dict[str, Any]) -> dict[str, Any]:
    asked = {"at": at, "commit": "abc", "is_quick": is_quick, "seconds": 60.0}
    return {**asked, "machine": {}, "notes": [], "parts": parts or {"offline": {"figures": {"fps": 100.0}}}}


def test_rows_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "machine.jsonl"
    assert read_rows(path) == []
    add_row(row("2026-01-01"), path)
    add_row(row("2026-01-02"), path)
    assert [found["at"] for found in read_rows(path)] == ["2026-01-01", "2026-01-02"]


def test_a_good_row_passes() -> None:
    check_row(row(), PARTS)
    check_row(row(live={"failed": "no room"}), PARTS)


@pytest.mark.parametrize(
    ("where", "value", "match"),
    [
        (("machine",), None, "machine"),
        (("seconds",), "60", "seconds"),
        (("parts",), {}, "without one result"),
        (("parts", "offline"), {}, "offline"),
        (("parts", "other"), {"figures": {}}, "other"),
        (("parts", "offline", "figures", "fps"), float("nan"), "fps"),
        (("parts", "offline", "figures", "warm_up_s"), [0.1, float("inf")], r"warm_up_s\[1\]"),
    ],
)
def test_a_bad_row_is_refused(where: tuple[str, ...], value: object, match: str) -> None:
    bad = deepcopy(row())
    inner = bad
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    with pytest.raises(ConfigError, match=match):
        check_row(bad, PARTS)


def test_failures_are_found_wherever_they_are() -> None:
    live = {"1": {"deadlines_met": 1.0}, "4": {"failed": "no room"}}
    parts = {"live": {"figures": live}, "wide": {"failed": "no memory"}, "caps": {"figures": {}}}
    assert list(failures(parts)) == [("live, 4", "no room"), ("wide", "no memory")]


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"at": 1}\n{"at"')
    with pytest.raises(ConfigError, match="damaged"):
        read_rows(tmp_path / "rows.jsonl")


def test_the_newest_figures_of_each_part_count_and_quick_ones_never() -> None:
    old = row("1", offline={"figures": {"fps": 1}}, wide={"figures": {"fps": 2}})
    failed = row("2", wide={"failed": "no memory"}, live={"figures": {"fps": 3}})
    new, quick = row("3", offline={"figures": {"fps": 4}}), row("4", True, offline={"figures": {"fps": 5}})
    figures, used = newest_parts([old, failed, new, quick])
    assert figures == {"offline": {"fps": 4}, "live": {"fps": 3}, "wide": {"fps": 2}}
    assert [(found["at"], *found["parts"]) for found in used] == [("3", "offline"), ("2", "live"), ("1", "wide")]


def test_stamp_names_the_state_of_the_code() -> None:
    assert set(stamp()) == {"at", "commit"}
    assert all(stamp().values())


def test_machine() -> None:
    found = describe()
    assert found["cores"] >= 1
    assert found["memory_gb"] > 0.1
    assert "torch" in found["versions"]
    assert name_of({"cpu": "AMD EPYC (R) 9V", "family": "26-2", "cores": 2}) == "amd-epyc-r-9v-26-2-2core"
    assert 1 < resident_mb() < 1 << 20


def test_our_own_work_is_not_that_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([(100.0, 50.0, 5.0, 20.0), (110.0, 65.0, 7.0, 24.0)])  # wall, busy, stolen, ours
    monkeypatch.setattr(machine, "_times", lambda: next(times))
    assert LoadMeter().read() == Load(ours=0.4, others=1.1, stolen=0.2)

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import flowact.cli
from bench import commands, plan
from bench.child import PartError
from bench.machine import Load
from bench.plan import PARTS
from bench.rows import check_row, read_rows

MEASURED = ("offline", "live", "baselines")


def run(*words: object) -> int:
    """Exit code of `flowact bench WORDS`."""
    before, sys.argv = sys.argv, ["flowact", "bench", *map(str, words)]
    try:
        flowact.cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_quick_run_writes_a_valid_row(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "find_spec", lambda name: None)
    out = tmp_path / "rows.jsonl"
    words = [word for name in MEASURED for word in ("--only", name)]
    assert run("--quick", "--seconds", 8, "--runtime", "torch", "--model", tiny, "--out", out, *words) == 0
    (row,) = read_rows(out)
    check_row(row, PARTS)
    assert row["is_quick"]
    assert tuple(row["parts"]) == MEASURED
    figures = {name: part["figures"] for name, part in row["parts"].items()}
    assert figures["offline"]["model"]["name"] == "tiny"
    assert figures["live"]["1"]["ticks_due"] >= 185  # 8 s at 25 fps, on time or not
    assert figures["live"]["1 beside a busy core"]["is_beside_busy_core"]
    assert set(figures["baselines"]["times_faster_than"]) == {"eager", "classic"}
    assert "pip install" in figures["baselines"]["skipped"]


def test_a_part_that_fails_is_told_and_the_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(options: plan.Options) -> dict[str, object]:
        raise PartError("the engine broke")

    monkeypatch.setattr(commands, "load_before", lambda: Load(ours=0.0, others=0.4, stolen=0.0))
    products = {"float32_gflops": 1.0, "bfloat16_gflops": 1.0, "threads": 2}
    monkeypatch.setattr(commands, "run_child", lambda part, options: products)
    monkeypatch.setattr(commands, "prepare", lambda options: None)
    monkeypatch.setitem(PARTS, "offline", fail)
    monkeypatch.setitem(PARTS, "caps", lambda options: {})
    out = tmp_path / "rows.jsonl"
    assert run("--only", "offline", "--only", "caps", "--out", out) == 1
    (row,) = read_rows(out)
    assert row["parts"]["offline"]["failed"] == "the engine broke"
    assert row["parts"]["caps"]["figures"] == {}
    assert row["seconds"] == 60
    told = capsys.readouterr().out
    assert "offline failed: the engine broke" in told
    assert "before the run others used 0.40 cores" in told


def test_the_hour_is_an_hour_and_only_on_demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, object]] = []
    monkeypatch.setattr(commands, "load_before", lambda: Load(ours=0.0, others=0.0, stolen=0.0))
    products = {"float32_gflops": 1.0, "bfloat16_gflops": 1.0, "threads": 2}
    monkeypatch.setattr(commands, "run_child", lambda part, options: products)
    monkeypatch.setattr(commands, "prepare", lambda options: None)
    monkeypatch.setattr(commands, "tables", lambda machine, parts: [])
    monkeypatch.setattr(plan, "run_child", lambda part, options, environment: asked.append((part, options)) or {})
    for name in set(PARTS) - {"hour"}:
        monkeypatch.setitem(PARTS, name, lambda options: {})
    assert run("--out", tmp_path / "all.jsonl") == 0
    assert set(read_rows(tmp_path / "all.jsonl")[0]["parts"]) == set(PARTS) - {"hour"}
    assert not asked
    assert run("--only", "hour", "--seconds", 8, "--out", tmp_path / "hour.jsonl") == 0
    ((part, options),) = asked
    assert (part, options["seconds"], options["sessions"], options["is_beside_busy_core"]) == ("live", 3600, 1, False)


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--only", "everything") == 2
    assert "expected among" in capsys.readouterr().err


def test_an_installed_package_says_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(flowact.cli, "__file__", str(tmp_path / "flowact" / "cli.py"))
    assert run("--quick") == 2
    assert "runs from a checkout" in capsys.readouterr().err

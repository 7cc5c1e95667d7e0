from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench import publish
from bench.figures import spread
from bench.plot import draw
from bench.publish import BEGIN, END, headlines, main
from bench.rows import add_row
from bench.tables import tables
from flowact.core.errors import ConfigError

MACHINE: dict[str, Any] = {
    "cpu": "AMD EPYC",
    "family": "26-2",
    "cores": 2,
    "flags": ["avx2"],
    "is_virtual": True,
    "memory_gb": 23.5,
    "kernel": "6.1",
    "python": "3.11",
    "versions": {"torch": "2.13"},
    "load_before": {"ours": 0.0, "others": 0.0, "stolen": 0.0},
    "products": {"float32_gflops": 200.0, "bfloat16_gflops": 900.0, "threads": 2},
}
BROKEN = {"seconds": 60.0, "failed": "no room"}
MODEL = {"name": "nano", "size": 256, "runtime": "torch", "precision": "bfloat16"}


def film(fps: float) -> dict[str, Any]:
    stages = {name: spread([0.01, 0.02]) for name in ("hear", "remember", "passes", "decode", "total")}
    made = {"fps_end_to_end": fps - 10, "first_frame_s": 0.3}
    speed = {"fps": fps - 5, "fps_without_encoding": fps, "warm_up_s": [0.5, 0.1]}
    return {"model": MODEL, "stages_s": stages, "generate": made, "peak_rss_mb": 600.0, **speed}


def live(**changed: Any) -> dict[str, Any]:
    times = {name: spread([0.4, 0.5]) for name in ("speech_to_lips_s", "interrupt_to_silence_s", "interrupt_to_rest_s")}
    counts = {"ticks_held": 3, "freezes": 2, "longest_freeze_s": 0.2, "tier_changes": 1, "thread_changes": 0}
    costs = {"chunk_cost_p50_ms": 120.0, "chunk_cost_p99_ms": 150.0, "cores_used": 0.7}
    memory = {"rss_mb": 600.0, "peak_rss_mb": 610.0, "rss_slope_mb_per_hour": None}
    met = {"deadlines_met": 0.9985, "deadlines_met_by_worst": 0.997, "time_in_tier": {"full": 0.75, "sparse": 0.25}}
    spreads = {"chunk_gap_s": spread([0.48]), "first_tick_s": spread([0.25])}
    return {"seconds": 60.0, "slots": 3, **met, **times, **counts, **costs, **memory, **spreads, **changed}


def start() -> dict[str, Any]:
    found = {"count": 5, "median": 2.0, "worst": 2.5}
    return {"first_run_s": {"python": 0.1, "total": 3.0}, "python_s": found, "total_s": found}


def parts() -> dict[str, Any]:
    ours = {"as used": film(120.0), "eager": film(60.0)}
    public = {"public, 1 step": {"fps_without_encoding": 4.0}, "public": BROKEN}
    return {
        "start": {"film": start(), "live": start()},
        "offline": film(120.0),
        "live": {"1": live(), "4": {"seconds": 60.0, "refused": "full", "admitted": 3, "slots": 3}, "2": BROKEN},
        "caps": {"AVX2": film(50.0), "AVX-512": BROKEN},
        "wide": {"ran": "640x640", **film(9.0)},
        "baselines": {"ours": ours, "public": public, "times_faster_than": {"eager": 2.0, "public, 1 step": 30.0}},
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "docs/bench.md"):
        (tmp_path / name).write_text(f"before\n{BEGIN}\nstale\n{END}\nafter\n")
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    monkeypatch.setattr(publish, "RESULTS", tmp_path / "results")
    asked = {"at": "2026-01-02T03:04:05+00:00", "commit": "abc", "seconds": 60.0, "machine": MACHINE}
    made = {name: {"figures": figures} for name, figures in parts().items()}
    row = {**asked, "is_quick": False, "notes": ["others were here"], "parts": made}
    add_row({**row, "at": "2027", "is_quick": True, "commit": "quick"}, tmp_path / "results" / "quick.jsonl")
    add_row(row, tmp_path / "results" / "machine.jsonl")
    return tmp_path


def test_figures_replace_what_stands_between_the_marks(project: Path) -> None:
    main(project / "results" / "machine.jsonl")
    for name in ("README.md", "docs/bench.md"):
        text = (project / name).read_text()
        assert text.startswith(f"before\n{BEGIN}\nMeasured on 2 x AMD EPYC (avx2): start, offline, live")
        assert text.endswith(f"{END}\nafter\n")
        assert "stale" not in text
    assert "others were here" in (project / "docs/bench.md").read_text()
    with Image.open(project / "docs" / "bench.png") as picture:
        assert picture.width > 500
    first = (project / "README.md").read_text()
    main(project / "results" / "machine.jsonl")
    assert (project / "README.md").read_text() == first


def test_quick_rows_are_not_published(project: Path) -> None:
    with pytest.raises(ConfigError, match="no whole row"):
        main(project / "results" / "quick.jsonl")


def test_a_file_without_marks_is_left_alone(project: Path) -> None:
    (project / "README.md").write_text("nothing\n")
    with pytest.raises(ConfigError, match="lacks the lines"):
        main(project / "results" / "machine.jsonl")
    assert (project / "README.md").read_text() == "nothing\n"


def test_headlines_hide_nothing() -> None:
    told = {what: figure for what, figure, _ in headlines(parts())}
    assert "99.85 % of deadlines" in told["live, sessions: 1"]
    assert "75 % of the time in full quality" in told["live, sessions: 1"]
    assert told["live, sessions: 4"] == "refused: 3 fit"
    assert told["live, sessions: 2"] == told["film, no more than AVX-512"] == "failed"
    assert told["faster than the same with its published codec"] == "30.0 times"
    assert told["film, file and all"].startswith("110 fps")


def test_what_was_measured_elsewhere_says_where(project: Path) -> None:
    spread = {"p50": 0.1, "p95": 0.2}
    names = ("beep_minus_flash_s", "push_to_lips_s", "interrupt_to_silence_s", "open_to_first_frame_s")
    page = {"date": "2026-01-01T00:00:00", "machine": {"cpu": "another"}} | dict.fromkeys(names, spread)
    add_row(page, project / "results" / "live_page.jsonl")
    told = {what: figure for what, figure, _ in headlines(parts())}
    assert told["the same: speech given to lips"] == "p50 0.10, p95 0.20 s; 2026-01-01, another"


def test_every_part_has_a_table_and_a_missing_one_none() -> None:
    sheets = {sheet.title: sheet for sheet in tables(MACHINE, parts())}
    assert len(sheets) == 7
    assert all(len(row) == len(sheet.columns) for sheet in sheets.values() for row in sheet.rows)
    assert len(tables(MACHINE, {"offline": None})) == 1
    lines = sheets["Live at 25 fps, 60 s each"].to_markdown().splitlines()
    assert lines[2:4] == ["| sessions | 1 | 4 | 2 |", "| --- | --- | --- | --- |"]
    assert "| deadlines met | 99.850 % | refused, 3 fit | failed |" in lines


def test_there_must_be_something_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="flowact bench"):
        draw({}, tmp_path / "plot.png")

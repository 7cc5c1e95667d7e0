"""The newest whole figures of a machine into README.md, docs/bench.md and docs/bench.png.

python -m bench.publish [FILE OF ROWS]

Text between `<!-- bench:begin -->` and `<!-- bench:end -->` is written by this command and by nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.child import ROOT
from bench.machine import cpu_line
from bench.plot import draw
from bench.rows import RESULTS, Row, newest_parts, read_rows
from bench.tables import Sheet, tables
from flowact.core.errors import ConfigError

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
_OTHER_KINDS = ("live_page.jsonl", "soak.jsonl")
_SLOWER = {
    "eager": "the same model in eager PyTorch",
    "classic": "the classic loop: eager, float32, memory computed anew in each evaluation",
    "public, 1 step, codec as small as ours": "SkyReels-V2 of diffusers, same size, 1 step, codec as small as ours",
    "public, 1 step": "the same with its published codec",
    "public, its own 50 steps and guidance": "the same with its own 50 steps and guidance",
}
"""What the settings of `baselines` are, in words."""


def main(
    rows: Annotated[Path | None, typer.Argument(help="File of rows; that with the newest row if left out.")] = None,
) -> None:
    """Write tables and plot."""
    path = rows or _newest()
    parts, used = newest_parts(read_rows(path))
    if not used:
        raise ConfigError(f"{path} has no whole row yet; run: flowact bench")
    machine = used[0]["machine"]
    draw(parts, ROOT / "docs" / "bench.png")
    source = f"Measured on {cpu_line(machine)}: " + "; ".join(_told(row) for row in used) + "."
    notes = "".join(f"- {note}\n" for row in used for note in row["notes"])
    headline = Sheet("Speed", ["", "measured", "by"], [list(line) for line in headlines(parts)])
    short = headline.to_markdown().partition("\n\n")[2]
    _put(ROOT / "README.md", f"{source}\n\n{short}\n![where the time goes](docs/bench.png)\n")
    full = "\n".join(sheet.to_markdown() for sheet in tables(machine, parts))
    _put(ROOT / "docs" / "bench.md", f"{source}\n\n{notes}\n{full}\n![where the time goes](bench.png)\n")
    typer.echo(f"README.md, docs/bench.md and docs/bench.png are made from {path}")


def headlines(parts: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What most people want to know: (what, figure, command)."""
    if film := parts.get("offline"):
        total, made = film["stages_s"]["total"], film["generate"]
        figure = f"{made['fps_end_to_end']:.0f} fps; a chunk of 480 ms takes {1000 * total['p50']:.0f} ms, p99 "
        yield "film, file and all", figure + f"{1000 * total['p99']:.0f}; {film['peak_rss_mb']:.0f} MB", "flowact bench"
    if begun := parts.get("start"):
        for mode, what in (("film", "process start to first frame of a film"), ("live", "the same, live")):
            total = begun[mode]["total_s"]
            yield what, f"{total['median']:.1f} s, at worst {total['worst']:.1f} s", "flowact bench"
    yield from _live_headlines(parts.get("live", {}), "flowact bench")
    yield from _live_headlines(parts.get("hour", {}), "flowact bench --only hour")
    for name, capped in parts.get("caps", {}).items():
        figure = "failed" if "failed" in capped else f"{capped['fps_without_encoding']:.0f} fps without encoding"
        yield f"film, no more than {name}", figure, "flowact bench"
    if wide := parts.get("wide"):
        yield wide["ran"], f"{wide['fps_without_encoding']:.1f} fps without encoding", "flowact bench"
    for name, times in parts.get("baselines", {}).get("times_faster_than", {}).items():
        yield f"faster than {_SLOWER[name]}", f"{times:.1f} times", "flowact bench"
    yield from _page_headlines()


def _live_headlines(live: dict[str, Any], command: str) -> Iterator[tuple[str, str, str]]:
    for name, found in live.items():
        what = f"live, sessions: {name}"
        if "failed" in found:
            yield what, "failed", command
            continue
        if "refused" in found:
            yield what, f"refused: {found['slots']} fit", command
            continue
        lips, slope = found["speech_to_lips_s"], found["rss_slope_mb_per_hour"]
        full = found["time_in_tier"].get("full", 0.0)
        lesser = "" if full == 1 else f", {100 * full:.0f} % of the time in full quality"
        grows = "" if slope is None else f", {slope:+.1f} MB/h"
        times = "" if lips["p50"] is None else f"; speech to lips p50 {lips['p50']:.2f}, p95 {lips['p95']:.2f} s"
        yield (
            what,
            f"{100 * found['deadlines_met']:.2f} % of deadlines in {found['seconds']:.0f} s{lesser}{times}; "
            f"{found['rss_mb']:.0f} MB{grows}",
            command,
        )


def _page_headlines() -> Iterator[tuple[str, str, str]]:
    """The two measurements that have commands of their own, and say themselves when and on what."""
    pages, soaks = (read_rows(RESULTS / name) for name in _OTHER_KINDS)
    if pages:
        page = pages[-1]
        for key, what in (
            ("beep_minus_flash_s", "as a browser on the same cores sees it: sound behind picture"),
            ("push_to_lips_s", "the same: speech given to lips"),
            ("interrupt_to_silence_s", "the same: interruption to silence"),
            ("open_to_first_frame_s", "the same: opened to first picture"),
        ):
            figure = f"p50 {page[key]['p50']:.2f}, p95 {page[key]['p95']:.2f} s"
            yield what, f"{figure}; {_of(page['date'], page)}", "python -m bench.live_page"
    if soaks:
        soak = soaks[-1]
        figure = f"{soak['rss_after_warm_up_mb']:.0f} MB after warm-up, {soak['rss_at_end_mb']:.0f} MB at the end"
        what = f"a visited server, {soak['seconds'] / 60:.0f} min"
        yield what, f"{figure}; {_of(soak['at'], soak)}", "python -m bench.soak"


def _of(at: str, row: Row) -> str:
    return f"{at[:10]}, {row['machine']['cpu']}"


def _told(row: Row) -> str:
    return f"{', '.join(row['parts'])} on {row['at'][:10]} at {row['commit']}"


def _newest() -> Path:
    """The file of `flowact bench` with the newest row."""
    found = {path: read_rows(path) for path in sorted(RESULTS.glob("*.jsonl")) if path.name not in _OTHER_KINDS}
    found = {path: rows for path, rows in found.items() if rows}
    if not found:
        raise ConfigError(f"{RESULTS} holds no rows of flowact bench; run it first")
    return max(found, key=lambda path: str(found[path][-1]["at"]))


def _put(path: Path, text: str) -> None:
    """Replace what stands between the two marks of a file."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigError(f"{path} lacks the lines {BEGIN} and {END} between which the figures go; put them in")
    path.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)

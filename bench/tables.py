"""Figures as tables, for the terminal and for docs/bench.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.machine import cpu_line

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Sheet:
    """A table: its title, the names of its columns, and its rows of text."""

    title: str
    columns: list[str]
    rows: list[list[str]]

    def to_markdown(self) -> str:
        """The table as Markdown."""
        lines = [f"| {' | '.join(row)} |" for row in [self.columns, ["---"] * len(self.columns), *self.rows]]
        return f"**{self.title}**\n\n" + "\n".join(lines) + "\n"


def show(sheets: list[Sheet], console: Console) -> None:
    """Print the tables."""
    for sheet in sheets:
        table = Table(title=sheet.title, title_justify="left")
        for i, name in enumerate(sheet.columns):
            table.add_column(name, justify="right" if i and len(sheet.columns) > 2 else "left")
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)


def tables(machine: Figures, parts: Mapping[str, Figures | None]) -> list[Sheet]:
    """A table for the machine, and one or more for every part that has figures."""
    makers = {
        "start": _start,
        "offline": _offline,
        "live": _live,
        "hour": _live,
        "caps": _caps,
        "wide": _wide,
        "baselines": _baselines,
    }
    made = [_machine(machine)]
    for name, maker in makers.items():
        figures = parts.get(name)
        if figures:
            made.append(maker(figures))
    return made


def ms(seconds: float | None) -> str:
    """Seconds as whole milliseconds, with one digit below ten."""
    if seconds is None:
        return "-"
    value = 1000 * seconds
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _machine(machine: Figures) -> Sheet:
    products = machine["products"]
    versions = " ".join(f"{name} {version}" for name, version in machine["versions"].items())
    facts = {
        "processor": cpu_line(dict(machine)),
        "memory": f"{machine['memory_gb']} GB",
        "system": f"Linux {machine['kernel']}{', a virtual machine' if machine['is_virtual'] else ''}",
        "versions": f"python {machine['python']} {versions}",
        "products of matrices": f"float32 {products['float32_gflops']:.0f}, bfloat16 {products['bfloat16_gflops']:.0f} "
        f"GFLOP/s, {products['threads']} threads",
        "used by others before": f"{machine['load_before']['others']:.2f} cores",
    }
    return Sheet("Machine", ["", "found"], [[name, value] for name, value in facts.items()])


def _start(figures: Figures) -> Sheet:
    rows = []
    for mode, kind in figures.items():
        for name in kind["first_run_s"]:
            found = kind[f"{name}_s"]
            first = kind["first_run_s"][name]
            rows.append([f"{mode}: {name}", f"{found['median']:.2f}", f"{found['worst']:.2f}", f"{first:.2f}"])
    count = next(iter(figures.values()))["total_s"]["count"]
    return Sheet(f"Cold start, seconds, {count} fresh processes", ["step", "median", "worst", "first run"], rows)


def _offline(figures: Figures) -> Sheet:
    rows = [
        [name, *(ms(found[key]) for key in ("p50", "p95", "p99", "worst"))]
        for name, found in figures["stages_s"].items()
    ]
    rows.append(["warm-up", ms(min(figures["warm_up_s"])), "-", "-", ms(max(figures["warm_up_s"]))])
    model, made = figures["model"], figures["generate"]
    title = (
        f"Film, milliseconds a chunk of 480 ms: {made['fps_end_to_end']:.0f} fps end to end in generate, first frame "
        f"{made['first_frame_s']:.2f} s, {figures['peak_rss_mb']:.0f} MB, {model['runtime']}, {model['precision']}"
    )
    return Sheet(title, ["stage", "p50", "p95", "p99", "worst"], rows)


def _live(figures: Figures) -> Sheet:
    names = list(figures)
    cells = [_live_cells(found) for found in figures.values()]
    rows = [[what, *(each.get(what, "-") for each in cells)] for what in max(cells, key=len)]
    seconds = next(iter(figures.values()))["seconds"]
    return Sheet(f"Live at 25 fps, {seconds:.0f} s each", ["sessions", *names], rows)


def _live_cells(found: Figures) -> dict[str, str]:
    if "failed" in found:
        return {"deadlines met": "failed"}
    if "refused" in found:
        return {"deadlines met": f"refused, {found['slots']} fit"}
    slope = found["rss_slope_mb_per_hour"]
    return {
        "deadlines met": f"{100 * found['deadlines_met']:.3f} %",
        "by the worst session": f"{100 * found['deadlines_met_by_worst']:.3f} %",
        "ticks held": str(found["ticks_held"]),
        "freezes, the longest": f"{found['freezes']}, {found['longest_freeze_s']:.2f} s",
        "time in full quality": f"{100 * found['time_in_tier'].get('full', 0.0):.1f} %",
        "changes of quality, of threads": f"{found['tier_changes']}, {found['thread_changes']}",
        "session to first tick, worst": f"{found['first_tick_s']['worst']:.2f} s",
        "gap between chunks p50 / p95 / p99": _seconds(found["chunk_gap_s"], "p50", "p95", "p99"),
        "cost of a chunk p50 / p99": f"{found['chunk_cost_p50_ms']:.0f} / {found['chunk_cost_p99_ms']:.0f} ms",
        "speech to lips p50 / p95": _seconds(found["speech_to_lips_s"], "p50", "p95"),
        "interruption to silence p50 / p95": _seconds(found["interrupt_to_silence_s"], "p50", "p95"),
        "interruption to rest p50 / p95": _seconds(found["interrupt_to_rest_s"], "p50", "p95"),
        "cores used": f"{found['cores_used']:.2f}",
        "memory, peak": f"{found['rss_mb']:.0f}, {found['peak_rss_mb']:.0f} MB",
        "memory an hour": "-" if slope is None else f"{slope:+.1f} MB",
    }


def _caps(figures: Figures) -> Sheet:
    names = [name for name, found in figures.items() if "failed" not in found]
    stages = list(figures[names[0]]["stages_s"]) if names else []
    rows = [
        [stage, *(" / ".join(ms(figures[name]["stages_s"][stage][key]) for key in ("p50", "p99")) for name in names)]
        for stage in stages
    ]
    rows.append(["fps", *(f"{figures[name]['fps_without_encoding']:.0f}" for name in names)])
    return Sheet("Older instruction sets, milliseconds a chunk, p50 / p99", ["stage", *names], rows)


def _wide(figures: Figures) -> Sheet:
    found = figures["stages_s"]
    rows = [[name, *(ms(found[name][key]) for key in ("p50", "p95", "p99"))] for name in found]
    title = f"{figures['ran']}: {figures['fps_without_encoding']:.1f} fps, milliseconds a chunk"
    return Sheet(title, ["stage", "p50", "p95", "p99"], rows)


def _baselines(figures: Figures) -> Sheet:
    times = figures["times_faster_than"]
    rows = [
        [name, "-", "failed"]
        if "failed" in found
        else [name, f"{found['fps_without_encoding']:.2f}", f"{times[name]:.1f}" if name in times else "1"]
        for name, found in {**figures["ours"], **figures.get("public", {})}.items()
    ]
    if "skipped" in figures:
        rows.append(["public pipeline", "-", "not run: needs the extra 'bench'"])
    return Sheet("Beside others, fps without encoding", ["", "fps", "as used is faster by"], rows)


def _seconds(found: Figures, *keys: str) -> str:
    return " / ".join("-" if found[key] is None else f"{found[key]:.2f}" for key in keys) + " s"

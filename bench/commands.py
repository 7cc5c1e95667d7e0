"""`flowact bench`: measure this machine, add a row, show tables."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench.child import PartError, exit_on_sigterm, run_child
from bench.machine import BUSY_BEFORE, Load, LoadMeter, cpu_line, describe, load_before, name_of
from bench.plan import ON_DEMAND, PARTS, QUICK_SECONDS, Options, prepare
from bench.rows import RESULTS, Row, add_row, check_row, failures, stamp
from bench.tables import show, tables
from flowact.core.errors import ConfigError


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="A few minutes, fewer settings: does it all work?")] = False,
    only: Annotated[
        list[str] | None, typer.Option(help=f"One part: {', '.join(PARTS)}. Repeat for more. All but hour if left out.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Length of each film and each live measurement; 60 if left out.", min=8.0)
    ] = None,
    runtime: Annotated[str, typer.Option(help="What computes the networks: auto, torch or openvino.")] = "auto",
    model: Annotated[Path | None, typer.Option(help="Folder of a model; the one that ships if left out.")] = None,
    out: Annotated[Path | None, typer.Option(help="File of rows to add to; bench/results/MACHINE.jsonl.")] = None,
) -> None:
    """Measure how fast this machine is: starting, films, live sessions, and the same without what makes it fast.

    End other programs first. Exits with 1 if a part failed; the others are kept.
    """
    unknown = sorted(set(only or ()) - set(PARTS))
    if unknown:
        raise ConfigError(f"--only is {unknown}; expected among {list(PARTS)}")
    length_s = seconds if seconds is not None else QUICK_SECONDS if quick else 60.0
    console = Console()
    exit_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="flowact-bench-") as cache:
        options = Options(None if model is None else str(model.resolve()), runtime, length_s, quick, cache)
        row = run(options, [name for name in PARTS if name in (only or set(PARTS) - set(ON_DEMAND))], console)
    path = out or RESULTS / f"{name_of(row['machine'])}.jsonl"
    add_row(row, path)
    show(tables(row["machine"], {name: part.get("figures") for name, part in row["parts"].items()}), console)
    for note in row["notes"]:
        console.print(f"note: {note}", style="yellow", highlight=False, markup=False)
    console.print(f"added to {path}", highlight=False, markup=False)
    if any(failures(row["parts"])):
        raise typer.Exit(1)


def run(options: Options, names: list[str], console: Console) -> Row:
    """The row of some parts, each measured in processes of its own."""
    machine = describe()
    before = load_before()
    console.print(f"{cpu_line(machine)}, {before.others:.2f} cores in use by others", highlight=False, markup=False)
    machine["load_before"] = before.to_json()
    machine["products"] = run_child("machine", {})
    notes = _remarks("before the run", before)
    with console.status("preparing graphs ..."):
        prepare(options)
    parts: dict[str, Any] = {}
    for name in names:
        meter, begin_s = LoadMeter(), time.monotonic()
        with console.status(f"{name} ..."):
            try:
                found: dict[str, Any] = {"figures": PARTS[name](options)}
            except PartError as error:
                found = {"failed": str(error)}
        load = meter.read()
        parts[name] = {"took_s": round(time.monotonic() - begin_s, 1), "load": load.to_json(), **found}
        notes += _remarks(f"during {name}", load)
        console.print(f"{name}: {parts[name]['took_s']:.0f} s", highlight=False, markup=False)
    notes += [f"{place} failed: {why}" for place, why in failures(parts)]
    asked = {"is_quick": options.is_quick, "seconds": options.seconds, "runtime": options.runtime}
    row = {**stamp(), **asked, "machine": machine, "notes": notes, "parts": parts}
    check_row(row, PARTS)
    return row


def _remarks(when: str, load: Load) -> list[str]:
    """What makes figures look worse than the machine is."""
    found = []
    if load.others > BUSY_BEFORE:
        found.append(f"{when} others used {load.others:.2f} cores: these are not figures of an idle machine")
    if load.stolen > BUSY_BEFORE:
        found.append(f"{when} the host took {load.stolen:.2f} cores from this virtual machine")
    return found

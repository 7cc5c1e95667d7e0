"""Rows of figures: JSON lines in bench/results, one file per kind of machine, the newest last."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.child import ROOT
from flowact.core.errors import ConfigError

RESULTS = ROOT / "bench" / "results"
_KEYS = {"at": str, "commit": str, "is_quick": bool, "seconds": float, "machine": dict, "notes": list, "parts": dict}

Row = dict[str, Any]


def stamp() -> dict[str, str]:
    """When, and which state of the code: the commit, with a plus where files differ from it."""
    return {"at": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _commit()}


def add_row(row: Row, path: Path) -> None:
    """Append a row to a file of rows.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
    except OSError as error:
        raise ConfigError(f"the row cannot be added to {path} ({error.strerror}); give another --out") from error


def read_rows(path: Path) -> list[Row]:
    """All rows of a file, oldest first; none if there is no file.

    Raises:
        ConfigError: a line is no row.
    """
    if not path.is_file():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except ValueError as error:
        raise ConfigError(f"{path} is damaged ({error}); restore it from git") from error


def check_row(row: Row, parts: Iterable[str]) -> None:
    """Refuse what `flowact bench` could not have written.

    Raises:
        ConfigError: a key or a kind of value is wrong, a part is unknown or empty, or a number is not finite.
    """
    wrong = [key for key, kind in _KEYS.items() if not isinstance(row.get(key), kind)]
    if wrong:
        raise ConfigError(f"a row of flowact bench lacks {wrong} or has them of another kind; got {sorted(row)}")
    unknown = sorted(set(row["parts"]) - set(parts))
    bad = [name for name, part in row["parts"].items() if ("figures" in part) == ("failed" in part)]
    if unknown or bad or not row["parts"]:
        raise ConfigError(f"a row has the parts {sorted(row['parts'])}: unknown {unknown}, without one result {bad}")
    broken = [path for path, value in _numbers(row, "") if not math.isfinite(value)]
    if broken:
        raise ConfigError(f"a row has numbers that are not finite: {broken[:3]}")


def failures(parts: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, str]]:
    """Every part, or setting of a part, that failed: (its name, why)."""
    for name, found in parts.items():
        if isinstance(found, dict):
            place = where if name == "figures" else f"{where}, {name}" if where else name
            if "failed" in found:
                yield place, found["failed"]
            yield from failures(found, place)


def newest_parts(rows: list[Row]) -> tuple[dict[str, Any], list[Row]]:
    """The newest figures of each part among whole (not quick) rows, and their rows, each with these parts only."""
    figures: dict[str, Any] = {}
    used: list[Row] = []
    for row in reversed([row for row in rows if not row["is_quick"]]):
        fresh = {name: part["figures"] for name, part in row["parts"].items() if "figures" in part}
        missing = {name: found for name, found in fresh.items() if name not in figures}
        if missing:
            figures.update(missing)
            used.append({**row, "parts": {name: row["parts"][name] for name in missing}})
    return figures, used


def _numbers(value: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _numbers(inner, f"{path}[{i}]")
    elif isinstance(value, (int, float)):
        yield path, value


def _commit() -> str:
    def git(*words: str) -> str:
        answer = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
        return answer.stdout.strip() if answer.returncode == 0 else ""

    commit = git("rev-parse", "--short", "HEAD") or "unknown"
    return commit + ("+" if git("status", "--porcelain", "--untracked-files=no", "--", "flowact", "weights") else "")

"""The result of an evaluation as JSON for machines and as a table for people, each score beside its ceiling."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_SLACK = 0.02
"""A score may exceed its ceiling by so much by chance before it is an alarm."""


@dataclass(frozen=True)
class Line:
    """One measure.

    Attributes:
        name: what is measured, with its unit.
        score: of the generated clips; None where it could not be measured.
        ceiling: the same judge on true renders; None where that means nothing.
        low, high: what is wanted lies between them; None leaves a side open.
        is_capped: whether a score above the ceiling is an alarm: the judge is then being pleased, not convinced.
    """

    name: str
    score: float | None
    ceiling: float | None = None
    low: float | None = None
    high: float | None = None
    is_capped: bool = False

    @property
    def verdict(self) -> str:
        """One word: met, missed, ALARM, or nothing where nothing is wanted."""
        if self.score is None:
            return "not measured"
        if self.is_capped and self.ceiling is not None and self.score > self.ceiling + _SLACK:
            return "ALARM: above the ceiling"
        if self.low is None and self.high is None:
            return ""
        is_met = (self.low is None or self.score >= self.low) and (self.high is None or self.score <= self.high)
        return "met" if is_met else "missed"


def write_report(out: Path, title: str, lines: Sequence[Line], details: dict[str, Any]) -> str:
    """Write `report.json` and `report.md` into a folder; returns the table as Markdown."""
    out.mkdir(parents=True, exist_ok=True)
    content = {"title": title, "measures": [asdict(line) | {"verdict": line.verdict} for line in lines], **details}
    (out / "report.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    table = as_table(title, lines)
    (out / "report.md").write_text(table, encoding="utf-8")
    return table


def as_table(title: str, lines: Sequence[Line]) -> str:
    """The measures as a Markdown table."""
    rows = [f"# {title}", "", "| measure | score | on true renders | wanted | |", "|---|---|---|---|---|"]
    rows += [
        f"| {line.name} | {_number(line.score)} | {_number(line.ceiling)} | {_wanted(line)} | {line.verdict} |"
        for line in lines
    ]
    return "\n".join(rows) + "\n"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _wanted(line: Line) -> str:
    if line.low is not None and line.high is not None:
        return f"{line.low:g} to {line.high:g}"
    if line.low is not None:
        return f"at least {line.low:g}"
    return "" if line.high is None else f"at most {line.high:g}"

"""The figures as one picture: where the time of a chunk goes, what viewers get, and how others compare."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.stages import STAGES
from flowact.core.clock import FPS, SHIFT_S
from flowact.core.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#9ecae1", "#c7e9c0", "#fdd0a2", "#e6550d", "#bdbdbd", "#756bb1", "#31a354")
_LIMIT = "#a50f15"


def draw(parts: Mapping[str, Any], out: Path) -> None:
    """Write a PNG of the parts `offline`, `caps`, `wide` and `baselines`, as far as they are there.

    Raises:
        ConfigError: matplotlib is missing, or no part can be drawn.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ConfigError("the plot needs matplotlib; install the extra: pip install 'flowact[bench]'") from error
    chunks = _chunks(parts)
    ours = parts.get("baselines")
    if not chunks and not ours:
        raise ConfigError("no film and no baseline was measured yet; run: flowact bench")
    picture = Figure(figsize=(11, 3.6), layout="constrained", dpi=110)
    left, right = picture.subplots(1, 2)
    _draw_chunks(left, chunks)
    _draw_baselines(right, ours or {"ours": {}})
    picture.savefig(out)


def _chunks(parts: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Stages of a chunk by what is drawn in one bar."""
    found: dict[str, Mapping[str, Any]] = {}
    if "offline" in parts:
        model = parts["offline"]["model"]
        found[f"{model['size']}x{model['size']}, {model['runtime']}"] = parts["offline"]["stages_s"]
    for name, capped in parts.get("caps", {}).items():
        if "failed" not in capped:
            found[f"no more than {name}"] = capped["stages_s"]
    if "wide" in parts:
        size = parts["wide"]["model"]["size"]
        found[f"{size}x{size}, random weights"] = parts["wide"]["stages_s"]
    return found


def _draw_chunks(axes: Axes, chunks: Mapping[str, Mapping[str, Any]]) -> None:
    names = list(chunks)[::-1]
    left = [0.0] * len(names)
    for stage, colour in zip(STAGES, _COLOURS):
        widths = [1000 * (chunks[name].get(stage, {}).get("p50") or 0.0) for name in names]
        axes.barh(names, widths, left=left, color=colour, label=stage)
        left = [start + width for start, width in zip(left, widths)]
    axes.axvline(1000 * SHIFT_S, color=_LIMIT, linewidth=1.2)
    axes.set_xlabel("milliseconds a chunk, median; line: real time")
    axes.legend(fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.2), frameon=False)


def _draw_baselines(axes: Axes, figures: Mapping[str, Any]) -> None:
    every = {**figures["ours"], **figures.get("public", {})}
    every = {name: found for name, found in every.items() if "failed" not in found}
    names = list(every)[::-1]
    labels = [textwrap.fill(name, 24) for name in names]
    for label, name in zip(labels, names):
        fps = every[name]["fps_without_encoding"]
        axes.plot([fps], [label], "o", color="#e6550d" if name == "as used" else "#3182bd")
        axes.annotate(f"{fps:.3g}", (fps, label), xytext=(7, -3), textcoords="offset points", fontsize=8)
    axes.axvline(FPS, color=_LIMIT, linewidth=1.2)
    axes.set_xscale("log")
    axes.margins(x=0.2, y=0.12)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("frames a second without encoding; line: 25")

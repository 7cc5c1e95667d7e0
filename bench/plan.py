"""Which measurements there are and in what settings each is made. `PARTS` but `ON_DEMAND` is the whole benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from bench.child import PartError, now_s, run_child
from bench.figures import middle_and_worst
from bench.machine import describe

QUICK_SECONDS = 12.0
SESSIONS_AT_ONCE = (2, 4)
_WIDE_SECONDS = 30.0
HOUR_S = 3600.0
CAPS: dict[str, dict[str, str]] = {
    "AVX-512": {
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "ATEN_CPU_CAPABILITY": "avx512",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    },
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}
"""Settings under which the libraries use no newer instructions than the name says; neither has a fast bfloat16."""


@dataclass(frozen=True)
class Options:
    """What a person asked for.

    Attributes:
        model: folder; None for the shipped one.
        runtime: what computes the networks.
        seconds: of each live measurement, and of the film that is made offline.
        is_quick: fewer repetitions and settings, to see that everything works.
        cache: folder for graphs and choices of runtimes, empty at the beginning.
    """

    model: str | None
    runtime: str
    seconds: float
    is_quick: bool
    cache: str

    def run(self, part: str, environment: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
        """Measure a part with this model and runtime, and what else it takes."""
        asked = {"model": self.model, "runtime": self.runtime, **more}
        return run_child(part, asked, {"XDG_CACHE_HOME": self.cache, **(environment or {})})


def prepare(options: Options) -> None:
    """Let graphs be made and a runtime be chosen before anything counts: no figure holds their time and memory."""
    options.run("start", mode="film", spawned_s=now_s())


def start(options: Options) -> dict[str, Any]:
    """Fresh processes, again and again. The first one finds no graphs and no choice of a runtime: it is told apart."""
    figures: dict[str, Any] = {}
    for mode in ("film", "live"):
        alone = {"XDG_CACHE_HOME": f"{options.cache}/start-{mode}"}
        count = 3 if options.is_quick else 6
        runs = [options.run("start", alone, mode=mode, spawned_s=now_s()) for _ in range(count)]
        figures[mode] = {
            "first_run_s": runs[0],
            **{f"{name}_s": middle_and_worst([run[name] for run in runs[1:]]) for name in runs[0]},
        }
    return figures


def offline(options: Options) -> dict[str, Any]:
    """A film, stage by stage and as `flowact generate` makes it."""
    return options.run("offline", seconds=options.seconds)


def live(options: Options) -> dict[str, Any]:
    """One session alone, beside a busy core, and several at once."""
    settings = [(1, False), (1, True), *((sessions, False) for sessions in SESSIONS_AT_ONCE)]
    figures = {}
    for sessions, is_beside in settings[:2] if options.is_quick else settings:
        name = f"{sessions}{' beside a busy core' if is_beside else ''}"
        figures[name] = _watched(options, options.seconds, sessions, is_beside)
    return figures


def hour(options: Options) -> dict[str, Any]:
    """One session for an hour, whatever the length of the others: does it stay as it is?"""
    return {"1": _watched(options, HOUR_S, 1, False)}


def _watched(options: Options, seconds: float, sessions: int, is_beside_busy_core: bool) -> dict[str, Any]:
    asked: dict[str, Any] = {"seconds": seconds, "sessions": sessions, "is_beside_busy_core": is_beside_busy_core}
    return {"seconds": seconds, **_attempt(partial(options.run, "live", **asked))}


def caps(options: Options) -> dict[str, Any]:
    """The film once more with older instruction sets, for those that this processor goes beyond."""
    flags = describe()["flags"]
    names = [name for name in CAPS if ("avx512f" in flags) and not (options.is_quick and name != "AVX2")]
    asked: dict[str, Any] = {"seconds": options.seconds, "precision": "float32", "is_written": False}
    return {name: _attempt(partial(options.run, "offline", CAPS[name], **asked)) for name in names}


def wide(options: Options) -> dict[str, Any]:
    """As many pixels as 480x832; it is slow, so half a minute of film is enough."""
    return options.run("wide", seconds=min(options.seconds, _WIDE_SECONDS))


def baselines(options: Options) -> dict[str, Any]:
    """The model as it is used, in eager PyTorch, as a classic loop, and a public pipeline, one after the other."""
    film: dict[str, Any] = {"seconds": options.seconds, "is_written": False}
    classic: dict[str, Any] = {"runtime": "torch", "precision": "float32", "is_forgetful": True}
    ours = {
        "as used": options.run("offline", **film),
        "eager": options.run("offline", **film, runtime="torch"),
        "classic": options.run("offline", **film, **classic),
    }
    figures: dict[str, Any] = {"ours": ours}
    if find_spec("diffusers") is None or find_spec("transformers") is None:
        figures["skipped"] = "The public pipeline was not run: pip install 'flowact[bench]' brings diffusers."
    else:
        figures["public"] = _peers(options.is_quick)
    fast = ours["as used"]["fps_without_encoding"]
    others = {**{name: ours[name] for name in ("eager", "classic")}, **figures.get("public", {})}
    figures["times_faster_than"] = {
        name: round(fast / found["fps_without_encoding"], 2) for name, found in others.items() if "failed" not in found
    }
    return figures


def _peers(is_quick: bool) -> dict[str, Any]:
    small = "as small as ours"
    settings = {
        "public, 1 step, codec as small as ours": {"steps": 1, "guidance": 1.0, "codec": small, "chunks": 2},
        "public, 1 step": {"steps": 1, "guidance": 1.0, "codec": "published", "chunks": 1},
        "public, its own 50 steps and guidance": {"steps": 50, "guidance": 6.0, "codec": "published", "chunks": 1},
    }
    names = list(settings)[: 1 if is_quick else None]
    return {name: _attempt(partial(run_child, "peer", settings[name])) for name in names}


def _attempt(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Figures of one of several settings, or why there are none: the other settings count all the same."""
    try:
        return measure()
    except PartError as error:
        return {"failed": str(error)}


PARTS: dict[str, Callable[[Options], dict[str, Any]]] = {
    "start": start,
    "offline": offline,
    "live": live,
    "caps": caps,
    "wide": wide,
    "baselines": baselines,
    "hour": hour,
}
ON_DEMAND = ("hour",)
"""Parts that are measured when they are asked for by name."""

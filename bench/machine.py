"""What the figures were measured on, and who else was using it. Reads /proc, so Linux only."""

from __future__ import annotations

import os
import platform
import re
import resource
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
PACKAGES = ("torch", "openvino", "numpy", "av", "diffusers", "transformers")
BUSY_BEFORE = 0.1
"""More of a core than this in use before a run is told in its row."""


def describe() -> dict[str, Any]:
    """Processor, the instruction sets that decide speed, memory, system and versions."""
    listing = Path("/proc/cpuinfo").read_text()
    facts = dict(line.split(":", 1) for line in listing.split("\n\n")[0].splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    flags = set(facts.get("flags", "").split())
    return {
        "cpu": facts.get("model name", platform.machine()),
        "family": f"{facts.get('cpu family', '?')}-{facts.get('model', '?')}",
        "cores": len(os.sched_getaffinity(0)),
        "flags": [name for name in FLAGS if name in flags],
        "is_virtual": "hypervisor" in flags,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def name_of(machine: dict[str, Any]) -> str:
    """A file name for the rows of a machine: its processor and cores."""
    words = f"{machine['cpu']} {machine['family']} {machine['cores']}core".lower()
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")


def cpu_line(machine: dict[str, Any]) -> str:
    """The machine in one line, for tables."""
    return f"{machine['cores']} x {machine['cpu']} ({' '.join(machine['flags'])})"


def resident_mb(process: int | str = "self") -> float:
    """Memory of a process that is in RAM."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True)
class Load:
    """How busy the machine was over some time, in cores.

    Attributes:
        ours: used by the child processes that ended meanwhile.
        others: used by everybody else.
        stolen: taken by the host of a virtual machine.
    """

    ours: float
    others: float
    stolen: float

    def to_json(self) -> dict[str, float]:
        """As it stands in a row."""
        return {"ours": round(self.ours, 2), "others": round(self.others, 2), "stolen": round(self.stolen, 2)}


class LoadMeter:
    """Measures the load between its making and `read`."""

    def __init__(self) -> None:
        self._wall_s, self._busy_s, self._stolen_s, self._ours_s = _times()

    def read(self) -> Load:
        """The load since then. Only children that have ended count as ours."""
        wall_s, busy_s, stolen_s, ours_s = _times()
        passed_s = max(wall_s - self._wall_s, 1e-6)
        ours = (ours_s - self._ours_s) / passed_s
        others = (busy_s - self._busy_s) / passed_s - ours
        return Load(ours, max(0.0, others), (stolen_s - self._stolen_s) / passed_s)


def load_before(seconds: float = 2.0) -> Load:
    """Who uses the machine while this program waits."""
    meter = LoadMeter()
    time.sleep(seconds)
    return meter.read()


def _times() -> tuple[float, float, float, float]:
    """Wall, busy, stolen, and our own seconds (this process and children that ended)."""
    fields = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _waiting, irq, softirq, steal = fields[:8]
    tick = os.sysconf("SC_CLK_TCK")
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ours = sum(usage.ru_utime + usage.ru_stime for usage in own)
    return time.monotonic(), (user + nice + system + irq + softirq) / tick, steal / tick, ours


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

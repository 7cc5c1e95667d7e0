"""From a PyTorch module to a compiled OpenVINO graph that takes and returns PyTorch tensors."""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
import os
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from torch import Tensor, nn

import flowact.nn as nn_room
from flowact.speed.cache import GraphCache

Shape = Sequence[int]
"""-1 is any size."""

_LOG = logging.getLogger(__name__)


class Graph:
    """A compiled graph. It may be called from several threads, which then wait for one another."""

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self._request = compiled.create_infer_request()
        self._outputs = len(compiled.outputs)
        self._lock = threading.Lock()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run it. Floating-point inputs are taken as float32; outputs are fresh tensors."""
        arrays = [(x.float() if x.is_floating_point() else x).contiguous().numpy() for x in inputs]
        with self._lock:
            for i, array in enumerate(arrays):
                self._request.set_input_tensor(i, ov.Tensor(array, shared_memory=True))
            self._request.infer()
            # Copied, since the next call overwrites them, and state that was handed out must stay as it is.
            return tuple(torch.from_numpy(self._request.get_output_tensor(i).data.copy()) for i in range(self._outputs))


@dataclass
class Maker:
    """Makes compiled graphs of one number format, or takes them from the cache. What it made is kept after `keep`.

    Attributes:
        precision: "f32" or "bf16".
        cache: where compiled graphs are kept.
        threads: that compute together.
        traced: graphs before compilation, by name: they are the same for both number formats.
    """

    precision: str
    cache: GraphCache
    threads: int
    traced: dict[str, ov.Model] = field(default_factory=dict)
    _keeps: bool = False
    _fresh: list[tuple[str, str, ov.CompiledModel]] = field(default_factory=list)

    def graph(self, role: str, weights: str, trace_it: Callable[[], ov.Model], whole: bool = False) -> Graph:
        """The graph of a role and some weights.

        Args:
            role: its name; unlike any other of these weights.
            weights: `key_of` the module.
            trace_it: makes it, where it is not there yet.
            whole: leave attention and chains of small operations as they are. The compiler's rewriting of them
                (`SNIPPETS_MODE`) ends the process for some transformers of fixed sizes (OpenVINO 2026.4), and gains
                nothing here.
        """
        settings: dict[str, object] = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.threads,
            # A thread that is tied to a core waits for whoever else holds that core.
            "ENABLE_CPU_PINNING": False,
        }
        if whole:
            settings["SNIPPETS_MODE"] = "DISABLE"
        host, key = core(), self._key(weights)
        kept = self.cache.read(role, key)
        if kept is not None:
            try:
                return Graph(host.import_model(kept, "CPU", settings))
            except RuntimeError as error:
                _LOG.warning("The kept graph %s cannot be loaded (%s); it is made again", role, error)
        with _MAKING:
            _LOG.info("Making the graph %s (%s), once for these weights; this takes some seconds", role, self.precision)
            name = f"{role}-{weights}"
            if name not in self.traced:
                self.traced[name] = trace_it()
            compiled = host.compile_model(self.traced[name], "CPU", settings)
            self._fresh.append((role, key, compiled))
            if self._keeps:
                self.keep()
        return Graph(compiled)

    def keep(self) -> None:
        """Write to the cache what was made, and from now on what will be."""
        self._keeps = True
        for role, key, compiled in self._fresh:
            exported = compiled.export_model()
            self.cache.write(role, key, exported if isinstance(exported, bytes) else exported.getvalue())
        self._fresh.clear()

    def holds(self, role: str, weights: str) -> bool:
        """Whether the cache has this graph."""
        return self.cache.holds(role, self._key(weights))

    def _key(self, weights: str) -> str:
        return hashlib.sha256(f"{weights} {self.precision} {processor_key()}".encode()).hexdigest()[:24]


@functools.cache
def core() -> ov.Core:
    """One for the process, never let go. Each has a CPU plugin, which gives its thread another stack for signals, and
    the one before back when it goes. Of plugins that went in another order than they came, one gave back a stack that
    was there no more (OpenVINO 2026.4), and the next SIGTERM ended the process with a segmentation fault.
    """
    return ov.Core()


_MAKING = threading.Lock()
"""The tracer, and the silencing of its warnings, are for one thread at a time."""


def trace(module: nn.Module, example: Sequence[Tensor], shapes: Sequence[Shape]) -> ov.Model:
    """The graph of a module whose inputs have `shapes`; by TorchScript, whose graphs fuse better than exported ones."""
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # it warns of every size that it takes for a constant, which those are
        inputs = tuple(x.clone() for x in example)
        traced = torch.jit.trace(module.eval(), inputs, check_trace=False)
        return ov.convert_model(traced, example_input=inputs, input=[ov.PartialShape(list(s)) for s in shapes])


def key_of(module: nn.Module, *settings: object) -> str:
    """Hash of all that a graph depends on: weights, code, settings and the versions of what makes it."""
    total = hashlib.sha256(repr((version("flowact"), version("openvino"), version("torch"), *settings)).encode())
    own = {type(part) for part in module.modules() if not type(part).__module__.startswith("torch.")}
    folders = {Path(inspect.getfile(kind)).parent for kind in own} | {Path(str(nn_room.__file__)).parent}
    for source in sorted(path for folder in folders for path in folder.glob("*.py")):
        total.update(source.read_bytes())
    for name, tensor in module.state_dict().items():
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(np.ascontiguousarray(tensor.detach().float().numpy()).data)
    return total.hexdigest()


def processor_key() -> str:
    """What this processor can do, and what oneDNN may use of it."""
    limits = [os.environ.get(name, "") for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")]
    return repr((sorted(torch.cpu.get_capabilities().items()), limits))


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

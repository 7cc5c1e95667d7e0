"""What this machine can do for live sessions, line by line, with what to do about each lack."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiortc
import torch

from flowact.core.clock import SHIFT_S
from flowact.core.device import choose_device, choose_precision
from flowact.core.errors import FlowActError
from flowact.media.report import describe_machine
from flowact.serve.talk import equip
from flowact.stream.avatar import Avatar
from flowact.stream.engine import Engine, leave_cores_to_engine

_LEAST_CORES = 2


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: in a word.
        found: what it is.
        is_well: whether nothing has to be done.
        todo: what to do, if anything.
        is_vital: whether nobody can live here without it.
    """

    what: str
    found: str
    is_well: bool = True
    todo: str = ""
    is_vital: bool = False


def examine(model: Path | None, port: int, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Look at everything, the cheap things first."""
    yield from _examine_machine()
    yield _examine_port(port)
    yield from _examine_voices(environment)
    yield from _examine_model(model, environment.get("FLOWACT_RUNTIME", "auto"))


def _examine_machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    few = "" if cores >= _LEAST_CORES else "one core computes, another one encodes and sends: give it two or more"
    yield Finding("cores", str(cores), not few, few)
    machine = describe_machine()
    device = choose_device()
    if device.type == "cuda":
        yield Finding("device", torch.cuda.get_device_name())
    else:
        flags = str(machine.get("instructions", "unknown"))
        is_fast = choose_precision(device) is torch.bfloat16
        slow = "" if is_fast else "no fast bfloat16, so float32 is used: a CPU with AMX or a GPU is much faster"
        yield Finding("processor", f"{machine['processor']} ({flags})", is_fast, slow)
    yield Finding("torch", f"{torch.__version__}, {torch.get_num_threads()} threads")
    yield Finding("webrtc", f"aiortc {aiortc.__version__}")


def _examine_port(port: int) -> Finding:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return Finding("port", f"{port}: {error.strerror}", False, "start the server with another --port")
    return Finding("port", f"{port} is free; media goes over UDP ports that the system chooses")


def _examine_voices(environment: Mapping[str, str]) -> Iterator[Finding]:
    try:
        equipment = equip(environment)
    except FlowActError as error:
        yield Finding("voice", "the settings cannot be used", False, str(error))
        return
    have = {
        "voice": equipment.speaker is not None,
        "listening": equipment.judge is not None,
        "hearing": equipment.transcriber is not None,
        "language": equipment.chat is not None,
    }
    yield Finding("equipment", ", ".join(f"{name}: {'yes' if there else 'no'}" for name, there in have.items()))
    for line in equipment.missing:
        yield Finding("missing", line.partition(";")[0].partition(":")[0], False, line)


def _examine_model(model: Path | None, runtime: str) -> Iterator[Finding]:
    threads = leave_cores_to_engine()
    try:
        avatar = Avatar.from_pretrained(model, runtime=runtime)
    except FlowActError as error:
        yield Finding("model", "does not load", False, str(error), is_vital=True)
        return
    config = avatar.config
    yield Finding("model", f"{config.name}, {config.size}x{config.size}, {config.passes_per_chunk} passes a chunk")
    yield Finding("runtime", str(avatar.runtime))
    engine = Engine(avatar, threads=threads)
    engine.start()
    try:
        capacity = engine.capacity()
    finally:
        engine.stop()
    factor = capacity.chunk_s / SHIFT_S
    speed = f"a chunk of {SHIFT_S:.2f} s takes {capacity.chunk_s:.3f} s: real-time factor {factor:.2f}"
    slow = "" if factor <= 1 else "too slow for real time: end other programs, or use a faster processor or a GPU"
    yield Finding("speed", speed, not slow, slow, is_vital=True)
    if not slow:
        yield Finding("sessions", f"{capacity.slots} at once")

"""Which way of computing is the fastest here: decided by what the processor can do, then by measuring."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import logging
import platform
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from flowact.core.clock import CHUNKS_IN_STREAM, FRAMES_PER_LATENT, LATENTS_PER_CHUNK
from flowact.core.errors import ConfigError
from flowact.core.types import Conditions, Frames, Role

if TYPE_CHECKING:
    from flowact.models.mmdit.config import MMDiTConfig
    from flowact.models.mmdit.model import MMDiT
    from flowact.models.video_vae.model import VideoVAE
    from flowact.speed.cache import GraphCache
    from flowact.speed.graph import Maker

_LOG = logging.getLogger(__name__)
_ROUNDS = 3

NAMES = ("auto", "torch", "openvino")
"""What a user may ask for."""


class Runtime(StrEnum):
    """A way of computing the backbone and the decoder."""

    TORCH = "torch"
    OPENVINO_F32 = "openvino-f32"
    OPENVINO_BF16 = "openvino-bf16"

    @property
    def precision(self) -> str:
        """Of an OpenVINO runtime: "f32" or "bf16"."""
        return self.value.removeprefix("openvino-")


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Attributes:
        runtime: the chosen one.
        times_s: seconds of the networks for one chunk, the best of three; empty where nothing was compared.
        left_out: runtimes that were not measured, and the reason.
    """

    runtime: Runtime
    times_s: dict[str, float]
    left_out: dict[str, str]

    def lines(self) -> list[str]:
        """One line for people per runtime."""
        measured = [f"{name}: {seconds:.3f} s a chunk" for name, seconds in sorted(self.times_s.items())]
        return [f"{self.runtime} is used", *measured, *(f"{name}: {why}" for name, why in self.left_out.items())]


@dataclass(frozen=True)
class Doors:
    """The networks that a shift needs, as one runtime offers them.

    Attributes:
        backbone: called as `rollout.generate.Backbone`.
        codec: called as `VideoVAE`.
        motion: as the backbone, for motion; None for a model without a network for it.
    """

    backbone: Any
    codec: Any
    motion: Any = None


@dataclass(frozen=True)
class Work:
    """What is to be computed, and how eagerly it would be.

    Attributes:
        backbone, codec: the networks.
        size: side of the picture, pixels.
        passes: evaluations of the backbone for each chunk.
        precision: number format of autocast in eager PyTorch.
        slots: latent frames of the memory.
        motion, motion_passes, motion_slots: the same of the network for motion, if there is one.
    """

    backbone: MMDiT
    codec: VideoVAE
    size: int
    passes: int
    precision: torch.dtype
    slots: int
    motion: MMDiT | None = None
    motion_passes: int = 0
    motion_slots: int = 0

    def doors(self, runtime: Runtime, maker: Maker | None = None) -> Doors:
        """The networks of this runtime; those of OpenVINO need a maker of graphs."""
        if maker is None:
            return Doors(self.backbone, self.codec, self.motion)
        from flowact.speed.backbone import FastBackbone
        from flowact.speed.codec import FastCodec

        with ThreadPoolExecutor(3) as pool:
            backbone = pool.submit(FastBackbone, self.backbone, maker)
            codec = pool.submit(FastCodec, self.codec, self.size, maker)
            motion = None if self.motion is None else pool.submit(FastBackbone, self.motion, maker)
            return Doors(backbone.result(), codec.result(), None if motion is None else motion.result())

    def chunk(self, doors: Doors) -> Callable[[], None]:
        """A function that computes one chunk with random contents: memory, evaluations, pictures."""
        memory = _some_frames(self.backbone.config, self.slots, Role.SHORT)
        stream = _some_frames(self.backbone.config, CHUNKS_IN_STREAM * LATENTS_PER_CHUNK, Role.STREAM)
        mixed = self.precision != torch.float32
        moved, moving = None, None
        if self.motion is not None:
            moved = _some_frames(self.motion.config, self.motion_slots, Role.SHORT)
            moving = _some_frames(self.motion.config, LATENTS_PER_CHUNK, Role.STREAM)

        def run() -> None:
            with torch.inference_mode(), torch.autocast("cpu", self.precision, enabled=mixed):
                if moved is not None:
                    known = doors.motion.remember(moved)
                    for _ in range(self.motion_passes):
                        doors.motion(moving, known, None)
                remembered = doors.backbone.remember(memory)
                for _ in range(self.passes):
                    doors.backbone(stream, remembered, None)
                doors.codec.decode(stream.latents[:, :LATENTS_PER_CHUNK], state, motion)

        with torch.inference_mode(), torch.autocast("cpu", self.precision, enabled=mixed):
            state = doors.codec.initial_decode_state(torch.zeros(1, 3, self.size, self.size))
        motion = stream.conditions.motion[:, :LATENTS_PER_CHUNK] if self.backbone.config.motion_dim else None
        return run

    def kind(self, threads: int, processor: str) -> str:
        """Hash of all that times depend on: the sizes, the machine and the versions."""
        sizes = [asdict(self.backbone.config), asdict(self.codec.config)]
        if self.motion is not None:
            sizes.append(asdict(self.motion.config))
        facts = [*sizes, self.size, self.passes, self.motion_passes, str(self.precision)]
        machine = [threads, processor, platform.node(), version("torch"), version("openvino")]
        return hashlib.sha256(json.dumps([facts, machine]).encode()).hexdigest()[:16]


def choose_runtime(
    work: Work, name: str = "auto", device: str = "cpu", cache: GraphCache | None = None, again: bool = False
) -> tuple[Choice, Doors]:
    """Find the fastest runtime for some networks on this machine, and what it offers.

    What was measured once is remembered beside the graphs.

    Args:
        work: the networks.
        name: "auto" compares all, "openvino" its number formats, "torch" nothing.
        device: where the networks are; graphs are for CPUs.
        cache: of graphs and measurements; None for the user's.
        again: measure even if it is remembered.

    Raises:
        ConfigError: the name is not known, or what it asks for cannot be had.
    """
    if name not in NAMES:
        raise ConfigError(f'The runtime is "{name}"; expected one of {", ".join(NAMES)}.')
    missing = _why_not(device) if name != "torch" else None
    if missing is not None and name == "openvino":
        raise ConfigError(f"The runtime openvino cannot be used: {missing}.")
    if name == "torch" or missing is not None:
        left_out = {"openvino": missing} if missing is not None else {}
        return Choice(Runtime.TORCH, {}, left_out), work.doors(Runtime.TORCH)

    from flowact.speed.cache import GraphCache
    from flowact.speed.graph import Maker, processor_key, usable_cores

    kept, threads = cache or GraphCache(), usable_cores()
    note = f"choice-{name}-{work.kind(threads, processor_key())}"
    known = None if again else _read_choice(kept.note(note))
    traced: dict[str, Any] = {}
    makers: dict[Runtime, Maker] = {
        r: Maker(r.precision, kept, threads, traced) for r in Runtime if r is not Runtime.TORCH
    }
    if known is not None:
        choice, doors = known, work.doors(known.runtime, makers.get(known.runtime))
    else:
        choice, doors = _measure(work, name, makers, threads)
        kept.keep_note(note, asdict(choice))
    if choice.runtime in makers:
        makers[choice.runtime].keep()
    traced.clear()
    return choice, doors


def begin_loading(name: str) -> None:
    """Start to load the package OpenVINO in a thread of its own, if it may be needed: weights are read meanwhile."""
    if name != "torch" and importlib.util.find_spec("openvino") is not None:
        threading.Thread(target=importlib.import_module, args=("openvino",), name="load-openvino", daemon=True).start()


def has_native_bf16() -> bool:
    """Whether this processor multiplies bfloat16; emulated, it is several times slower than float32."""
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("amx_bf16") or abilities.get("avx512_bf16"))


def _why_not(device: str) -> str | None:
    if device != "cpu":
        return f"its graphs are made for CPUs, and the model is on {device}"
    if importlib.util.find_spec("openvino") is None:
        return "the package openvino is not installed (pip install 'flowact[speed]')"
    return None


def _measure(work: Work, name: str, makers: dict[Runtime, Maker], threads: int) -> tuple[Choice, Doors]:
    """Time a chunk with each candidate in turn, three times, so that a busy moment meets them all alike."""
    left_out: dict[str, str] = {}
    candidates = [Runtime.TORCH] if name == "auto" else []
    candidates.append(Runtime.OPENVINO_F32)
    if has_native_bf16():
        candidates.append(Runtime.OPENVINO_BF16)
    else:
        left_out[Runtime.OPENVINO_BF16] = "this processor does not multiply bfloat16"
    offered, chunks = {}, {}
    for runtime in candidates:
        try:
            offered[runtime] = work.doors(runtime, makers.get(runtime))
            chunks[runtime] = work.chunk(offered[runtime])
            chunks[runtime]()
        except RuntimeError as error:  # what OpenVINO raises where it has no kernel for a processor
            if runtime is Runtime.TORCH:
                raise
            left_out[runtime] = f"cannot be used here: {' '.join(str(error).split())[:200]}"
            _LOG.warning("The runtime %s %s", runtime, left_out[runtime])
            chunks.pop(runtime, None)
    if not chunks:
        raise ConfigError(f"No runtime can be used: {left_out}. Use --runtime torch.")
    rounds = [{r: _seconds(chunk, r, threads) for r, chunk in chunks.items()} for _ in range(_ROUNDS)]
    times = {str(r): min(once[r] for once in rounds) for r in chunks}
    best = Runtime(min(times, key=lambda key: times[key]))
    return Choice(best, times, left_out), offered[best]


def _seconds(chunk: Callable[[], None], runtime: Runtime, threads: int) -> float:
    """One run; eager PyTorch with all threads, graphs with one beside them, as they are used."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads if runtime is Runtime.TORCH else 1)
    try:
        began = time.perf_counter()
        chunk()
        return time.perf_counter() - began
    finally:
        torch.set_num_threads(before)


def _read_choice(note: Any) -> Choice | None:
    try:
        return Choice(Runtime(note["runtime"]), dict(note["times_s"]), dict(note["left_out"]))
    except (KeyError, TypeError, ValueError):
        return None


def _some_frames(c: MMDiTConfig, time_latents: int, role: Role) -> Frames:
    noise = torch.Generator().manual_seed(0)
    given = torch.ones(1, time_latents)
    return Frames(
        latents=torch.randn(1, time_latents, c.latent_channels, c.grid, c.grid, generator=noise),
        level=torch.full((1, time_latents), 0.5 if role is Role.STREAM else 0.0),
        position=torch.arange(time_latents),
        role=torch.full((time_latents,), int(role)),
        valid=torch.ones(1, time_latents, dtype=torch.bool),
        conditions=Conditions(
            torch.randn(1, time_latents, 4, c.audio_dim, generator=noise),
            torch.randn(1, time_latents, 4, c.text_dim, generator=noise),
            torch.randn(1, time_latents, FRAMES_PER_LATENT, c.motion_dim, generator=noise),
            given,
            given,
            given,
        ),
        colours=None if role is Role.STREAM else torch.zeros(1, 3, 2 * c.grid, 2 * c.grid),
    )

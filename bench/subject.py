"""What is measured: a model as it is loaded for use, the sample person and the sample voice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flowact.core.clock import SAMPLE_RATE_HZ
from flowact.media.audio import load_audio
from flowact.media.portrait import load_portrait
from flowact.speed.runtime import Choice
from flowact.stream.avatar import Avatar
from flowact.stream.engine import Engine

SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def load_avatar(model: str | None, runtime: str, precision: str | None = None) -> tuple[Avatar, Choice]:
    """The model of a folder, or the shipped one, and what was chosen to compute it.

    `precision` "float32" is for instruction sets that have nothing better, where the processor has more than may be
    used: the runtimes are compared in it.
    """
    avatar = Avatar.from_pretrained(model)
    if precision is not None:
        avatar.precision = getattr(torch, precision)
    return avatar, avatar.use_runtime(runtime)


def start_engine(avatar: Avatar, threads: int) -> Engine:
    """An engine that serves, given its threads as `flowact serve` does it."""
    engine = Engine(avatar, threads=threads)
    engine.start()
    return engine


def portrait_for(avatar: Avatar) -> NDArray[np.uint8]:
    """The sample portrait as this model takes it."""
    return load_portrait(SAMPLES / "portrait.png", avatar.config.size).pixels


def voice_of(seconds: float) -> NDArray[np.float32]:
    """The sample voice, repeated or cut to `seconds`, 16 kHz mono."""
    return np.resize(load_audio(SAMPLES / "voice.wav"), round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


def facts_of(avatar: Avatar, choice: Choice) -> dict[str, Any]:
    """Name, size and number formats: what a figure belongs to."""
    return {
        "name": avatar.config.name,
        "size": avatar.config.size,
        "evaluations_per_chunk": avatar.config.passes_per_chunk,
        "parameters_m": {
            name: round(sum(p.numel() for p in network.parameters()) / 1e6, 2)
            for name, network in avatar.networks().items()
        },
        "runtime": str(choice.runtime),
        "compared_s": {name: round(seconds, 4) for name, seconds in choice.times_s.items()},
        "left_out": choice.left_out,
        "precision": str(avatar.precision).removeprefix("torch."),
        "threads": torch.get_num_threads(),
    }

"""Checkpoints of a run: all that is needed to go on to the bit, written so that an interruption cannot damage them."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flowact.core.errors import CheckpointError, FlowActError
from flowact.train.distributed import gather, local, sharded_like
from flowact.train.ema import Ema
from flowact.train.optim import Optimiser

_FORMAT = "flowact-run-1"


class DivergedError(FlowActError):
    """Training left the finite numbers and cannot go on."""


def save_checkpoint(state: Mapping[str, Any], folder: Path, step: int, keep: int = 2) -> Path:
    """Write a state to `folder/step_XXXXXXXX.pt` and delete all but the newest `keep` checkpoints.

    The file gets its name only when it is complete on disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step_{step:08d}.pt"
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        torch.save({"format": _FORMAT, **state}, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    for old in list_checkpoints(folder)[:-keep]:
        old.unlink()
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in a folder, oldest first; none if there is no folder."""
    return sorted(folder.glob("step_*.pt"))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU after verifying its checksums.

    Raises:
        CheckpointError: the file is missing, damaged, or not a checkpoint of a run.
    """
    advice = "delete it to go on from the one before it, or begin a new run"
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken is not None:
            raise CheckpointError(f"checkpoint {path} is damaged (checksum of {broken}): {advice}")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"checkpoint {path} cannot be read ({error}): {advice}") from error
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        found = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise CheckpointError(f"{path} is not a checkpoint of a run: its format is {found!r}, expected {_FORMAT!r}")
    return state


@torch.no_grad()
def restore_module(module: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Write complete tensors into a network in place, whether or not it is sharded.

    Raises:
        CheckpointError: names or shapes differ.
    """
    own = module.state_dict()
    differing = sorted(set(own) ^ set(state)) or [key for key in own if own[key].shape != state[key].shape]
    if differing:
        raise CheckpointError(
            f"checkpoint and network {name!r} differ in {len(differing)} tensors, such as {differing[:5]}; "
            "go on with the configuration the run was begun with, or begin a new one"
        )
    for key, tensor in own.items():
        local(tensor).copy_(local(sharded_like(state[key], tensor)))


def gather_state(
    networks: Mapping[str, nn.Module], optimisers: Sequence[Optimiser], emas: Mapping[str, Ema]
) -> dict[str, Any]:
    """Everything that learns, as complete CPU tensors; every process must call this.

    Raises:
        DivergedError: a network is not finite, so that nothing worth keeping is overwritten with it.
    """
    tensors = {name: gather(network.state_dict()) for name, network in networks.items()}
    for name, own in tensors.items():
        broken = [key for key, t in own.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]
        if broken:
            raise DivergedError(
                f"network {name!r} is not finite in {broken[:5]}, so no checkpoint was written; "
                "lower the learning rate and go on from the last checkpoint"
            )
    return {
        "networks": tensors,
        "optimisers": [gather(optimiser.state_dict()) for optimiser in optimisers],
        "emas": {name: gather(ema.state_dict()) for name, ema in emas.items()},
    }


def restore_state(
    state: Mapping[str, Any],
    networks: Mapping[str, nn.Module],
    optimisers: Sequence[Optimiser],
    emas: Mapping[str, Ema],
) -> None:
    """Put what `gather_state` returned back in place, whatever the number of processes is now.

    Raises:
        CheckpointError: networks, averages or optimisers are not those of the checkpoint.
    """
    got = (sorted(state["networks"]), sorted(state["emas"]), len(state["optimisers"]))
    expected = (sorted(networks), sorted(emas), len(optimisers))
    if got != expected:
        raise CheckpointError(
            f"the checkpoint belongs to another stage: got (networks, averages, optimisers) {got}, expected "
            f"{expected}; choose another folder or the settings the run was begun with"
        )
    for name, network in networks.items():
        restore_module(network, state["networks"][name], name)
    for name, ema in emas.items():
        ema.load_state_dict(state["emas"][name])
    for optimiser, saved in zip(optimisers, state["optimisers"]):
        optimiser.load_state_dict(saved)

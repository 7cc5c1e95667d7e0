"""Data-parallel training under torchrun: who takes part, how networks are sharded (FSDP2) and states gathered.

A process that was not started by torchrun is a group of one, and every function here then does nothing special.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from flowact.core.device import choose_device
from flowact.core.errors import ConfigError

_SETTLING_S = 0.3


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: number of this process, from 0.
        count: number of processes.
        device: where this process computes.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and speaks to the user."""
        return self.rank == 0

    def largest(self, values: Sequence[float]) -> list[float]:
        """Element-wise maximum over all processes, so that all take the same decision."""
        if self.count == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return [float(value) for value in shared]

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """Mean over all processes of values that every process names alike."""
        if self.count == 1:
            return dict(values)
        names = sorted(values)
        shared = torch.tensor([values[name] for name in names], dtype=torch.float64)
        dist.all_reduce(shared)
        means = {name: float(value) / self.count for name, value in zip(names, shared)}
        return {name: means[name] for name in values}


@contextmanager
def connect(device: str = "auto") -> Iterator[Ranks]:
    """Join the group that torchrun describes in the environment, and leave it at the end.

    Args:
        device: "auto" (CUDA if there is one), "cpu", "cuda" or another torch device.

    Raises:
        ConfigError: the device does not exist here.
    """
    try:
        place = choose_device(None if device == "auto" else device)
    except RuntimeError as error:
        raise ConfigError(f"unknown device {device!r}: expected auto, cpu, cuda or cuda:N") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"cannot train on {device!r}: torch sees no CUDA device; pass --device cpu or install CUDA")
    if "WORLD_SIZE" not in os.environ:
        yield Ranks(device=place)
        return
    rank, count, local_rank = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if place.type == "cuda":
        place = torch.device("cuda", local_rank)
        torch.cuda.set_device(place)
    # gloo carries the small decisions on the CPU even beside NCCL, so they never wait for the GPU.
    dist.init_process_group("cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo", rank=rank, world_size=count)
    try:
        yield Ranks(rank, count, place)
        # A gloo thread that lets go of the last collective's tensors while Python shuts down aborts the process
        # (pytorch#179291), and destroying the group does not wait for it: give it the time.
        dist.barrier()
        time.sleep(_SETTLING_S)
    finally:
        dist.destroy_process_group()


def shard(module: nn.Module, ranks: Ranks, entry_points: Sequence[str] = ()) -> None:
    """Shard a network's parameters over all processes in place (FSDP2), starting from the first process's values.

    The members of an attribute `blocks` are gathered one at a time, all other parameters together.

    Args:
        module: the network, already on `ranks.device`; a sharded one is left as it is.
        ranks: the group; a group of one changes nothing.
        entry_points: methods besides `forward` that are called from outside and touch parameters.
    """
    if ranks.count == 1 or isinstance(module, FSDPModule):
        return
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.contiguous()  # FSDP cuts no other layout, channels_last for one
        dist.broadcast(tensor.data, src=0)
    mesh: DeviceMesh = init_device_mesh(ranks.device.type, (ranks.count,))
    blocks = getattr(module, "blocks", None)
    for block in blocks if isinstance(blocks, nn.ModuleList) else ():
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
    # Also the root gives its gathered copy back: between steps every parameter is seen sharded, by EMA and by saves.
    fully_shard(module, mesh=mesh, reshard_after_forward=True)
    for name in entry_points:
        if hasattr(module, name):
            register_fsdp_forward_method(module, name)


def average_buffers(module: nn.Module, ranks: Ranks) -> None:
    """Make running statistics equal on all processes; FSDP leaves buffers to each of them."""
    if ranks.count > 1:
        for buffer in module.buffers():
            if buffer.is_floating_point():
                dist.all_reduce(buffer)
                buffer.div_(ranks.count)


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process holds; shares memory with it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether other processes hold the rest of the tensor."""
    return isinstance(tensor, DTensor)


def whole(tensor: Tensor) -> Tensor:
    """The complete tensor on every process; every process must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sharded_like(tensor: Tensor, model: Tensor) -> Tensor:
    """A complete tensor, equal on every process, laid out as `model` is."""
    if not isinstance(model, DTensor):
        return tensor
    # Without a source rank each process cuts its own part and nothing is sent.
    return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements, src_data_rank=None)


def gather(state: Any) -> Any:
    """A copy of nested dicts and lists with complete CPU tensors; every process must call this."""
    if isinstance(state, Tensor):
        return whole(state.detach()).to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {key: gather(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [gather(value) for value in state]
    return state


def seed_everything(seed: int, step: int, rank: int) -> None:
    """Seed torch, numpy and random from three numbers, so that every train_step of every process has its own dice."""
    words = np.random.SeedSequence([seed, step, rank]).generate_state(2)
    torch.manual_seed(int(words[0]) << 32 | int(words[1]))
    np.random.seed(words)
    random.seed(int(words[0]))

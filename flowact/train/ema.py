"""Exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from flowact.train.distributed import local, sharded_like, whole


class Ema:
    """The average of a network's weights over its recent past, which draws better than the weights themselves.

    The decay warms up as min(decay, (1 + n) / (10 + n)) after n updates, so that the random start is soon forgotten.

    Args:
        module: the network to follow; sharded networks are followed shard by shard.
        decay: share of the old average kept at each update, in 0..1.
    """

    def __init__(self, module: nn.Module, decay: float):
        self.module = module
        self.decay = decay
        self.updates = 0
        self.shadow: dict[str, Tensor] = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the network's present weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, parameter in self.module.named_parameters():
            local(self.shadow[name]).lerp_(local(parameter), 1 - decay)
        self.updates += 1

    @torch.no_grad()
    def copy_to(self, target: nn.Module) -> None:
        """Write the average (and the network's buffers as they are) into a network of the same architecture."""
        for name, parameter in target.named_parameters():
            local(parameter).copy_(local(sharded_like(whole(self.shadow[name]), parameter)))
        for (_, ours), (_, theirs) in zip(self.module.named_buffers(), target.named_buffers(), strict=True):
            theirs.copy_(ours)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Let the network carry the average within the block; afterwards its own weights return to the bit."""
        kept = {name: local(p).detach().clone() for name, p in self.module.named_parameters()}
        self.copy_to(self.module)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in self.module.named_parameters():
                    local(parameter).copy_(kept[name])

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"updates": self.updates, "shadow": self.shadow}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state whose tensors are complete (as `gather` returns them)."""
        self.updates = int(state["updates"])
        for name, tensor in self.shadow.items():
            local(tensor).copy_(local(sharded_like(state["shadow"][name], tensor)))


@contextmanager
def averaged(networks: Iterable[nn.Module], emas: Mapping[str, Ema]) -> Iterator[None]:
    """Within the block networks are in evaluation mode and those with an average carry it."""
    modes = [(network, network.training) for network in networks]
    with ExitStack() as stack:
        for ema in emas.values():
            stack.enter_context(ema.swapped_in())
        for network, _ in modes:
            network.eval()
        try:
            yield
        finally:
            for network, was_training in modes:
                network.train(was_training)

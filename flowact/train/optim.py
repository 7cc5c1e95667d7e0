"""Optimisers: Muon for the matrices inside a network, AdamW for everything else, and learning-rate schedules.

Muon orthogonalises each momentum matrix before it is applied (Jordan et al. 2024, "Muon: an optimizer for hidden
layers in neural networks"). torch.optim.Muon takes plain two-dimensional weights one by one; this one also takes
convolutions and sharded weights and orthogonalises all weights of one shape in one batched product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import groupby
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from flowact.core.errors import CheckpointError, ConfigError
from flowact.train.distributed import is_sharded, local, sharded_like, whole

LrSchedule = Callable[[float], float]
"""Progress of the stage in 0..1 -> factor on the learning rate."""


def constant(progress: float) -> float:
    """The full learning rate throughout."""
    return 1.0


def warmup_cosine(warmup: float = 0.02, final: float = 0.02) -> LrSchedule:
    """Rise linearly during the first `warmup` of the progress, then fall along a half cosine to `final`."""

    def factor(progress: float) -> float:
        if progress < warmup:
            return max(progress / warmup, 0.01)
        fallen = 0.5 - 0.5 * math.cos(math.pi * (progress - warmup) / (1 - warmup))
        return 1 - (1 - final) * fallen

    return factor


def warmup_hold_decay(warmup: float = 0.02, decay: float = 0.3, final: float = 0.0) -> LrSchedule:
    """Rise linearly, hold, and fall linearly to `final` during the last `decay` of the progress."""

    def factor(progress: float) -> float:
        if progress < warmup:
            return max(progress / warmup, 0.01)
        return 1 - (1 - final) * max(0.0, (progress - (1 - decay)) / decay)

    return factor


@dataclass(frozen=True)
class OptimSettings:
    """How the weights of one update are moved.

    Attributes:
        lr: AdamW's learning rate.
        matrix_lr: Muon's learning rate; None leaves all weights to AdamW.
        lr_schedule: factor on both rates as a function of progress.
        betas: AdamW's decay rates.
        momentum: Muon's.
        weight_decay: decoupled, on matrices only.
        clip_norm: gradients longer than this are shortened to it.
        outer: shell patterns ("network.layer.weight") of matrices that AdamW shall take: first and last layers.
    """

    lr: float = 2e-3
    matrix_lr: float | None = 0.02
    lr_schedule: LrSchedule = constant
    betas: tuple[float, float] = (0.9, 0.95)
    momentum: float = 0.95
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    outer: tuple[str, ...] = ()


def orthogonalise(matrices: Tensor, dtype: torch.dtype, iterations: int = 5) -> Tensor:
    """Bring the singular values of matrices [N, R, C] near 1 (0.7 to 1.2), keeping their singular vectors.

    A quintic Newton-Schulz iteration whose coefficients favour speed over exactness (Jordan et al. 2024).
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = (x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)).to(dtype)
    for _ in range(iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(Optimizer):
    """Momentum whose every matrix is orthogonalised before it is applied; weights [R, ...] count as [R, rest].

    Args:
        parameters: weights with at least two dimensions, sharded along the first or whole.
        lr: length of a step in units of the spectral norm; tall matrices take sqrt(rows / columns) more.
        momentum: of the Nesterov kind.
        weight_decay: decoupled.
        dtype: number format of the orthogonalisation.
    """

    def __init__(
        self, parameters: list[nn.Parameter], lr: float, momentum: float, weight_decay: float, dtype: torch.dtype
    ):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Apply the gradients once; weights without a gradient stay."""
        for group in self.param_groups:
            moved = sorted((p for p in group["params"] if p.grad is not None), key=lambda p: tuple(p.shape))
            for _, alike in groupby(moved, key=lambda p: p.shape):
                self._step_alike(list(alike), group)

    def _step_alike(self, parameters: list[nn.Parameter], group: Mapping[str, Any]) -> None:
        updates = torch.stack([self._momentum(p, group["momentum"]).flatten(1) for p in parameters])
        stretch = max(1.0, updates.shape[1] / updates.shape[2]) ** 0.5
        for parameter, update in zip(parameters, self._orthogonalised(updates, is_sharded(parameters[0]))):
            own = local(parameter)
            own.mul_(1 - group["lr"] * group["weight_decay"])
            own.add_(
                local(sharded_like(update.view(parameter.shape), parameter)).to(own.dtype),
                alpha=-group["lr"] * stretch,
            )

    def _orthogonalised(self, updates: Tensor, is_shared: bool) -> Tensor:
        """All matrices [N, R, C]; where several processes train, each works on its part of them."""
        if not is_shared:
            return orthogonalise(updates, self.dtype)
        count, rank = dist.get_world_size(), dist.get_rank()
        part = -(-len(updates) // count)
        done = updates.new_zeros(part, *updates.shape[1:])
        own = updates[rank * part : (rank + 1) * part]
        if len(own):
            done[: len(own)] = orthogonalise(own, self.dtype)
        parts = [torch.empty_like(done) for _ in range(count)]
        dist.all_gather(parts, done)
        return torch.cat(parts)[: len(updates)]

    def _momentum(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        assert parameter.grad is not None
        state["momentum"].mul_(momentum).add_(parameter.grad, alpha=1 - momentum)
        return whole(parameter.grad * (1 - momentum) + state["momentum"] * momentum)


class Optimiser:
    """Several torch optimisers that step as one.

    Attributes:
        parts: by name ("muon", "adamw").
    """

    def __init__(self, parts: dict[str, Optimizer]):
        self.parts = parts
        self._base_lrs = {name: [group["lr"] for group in part.param_groups] for name, part in parts.items()}

    @property
    def parameters(self) -> list[Tensor]:
        """Everything that is moved."""
        return [p for part in self.parts.values() for group in part.param_groups for p in group["params"]]

    def scale_lr(self, factor: float) -> None:
        """Set every learning rate to `factor` times its base."""
        for name, part in self.parts.items():
            for group, base in zip(part.param_groups, self._base_lrs[name]):
                group["lr"] = base * factor

    def step(self) -> None:
        """Apply the gradients once."""
        for part in self.parts.values():
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts.values():
            part.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state whose tensors are complete (as `gather` returns them).

        Raises:
            CheckpointError: the state belongs to other weights or other optimisers.
        """
        if set(state) != set(self.parts):
            raise CheckpointError(
                f"cannot restore the optimiser: got {sorted(state)}, expected {sorted(self.parts)}; "
                "go on with the settings the run was begun with, or begin a new one"
            )
        for name, part in self.parts.items():
            parameters = [p for group in part.param_groups for p in group["params"]]
            kept = {
                index: {key: _fit(value, parameters[index]) for key, value in values.items()}
                for index, values in state[name]["state"].items()
                if index < len(parameters)
            }
            try:
                part.load_state_dict({"state": kept, "param_groups": state[name]["param_groups"]})
            except ValueError as error:
                raise CheckpointError(f"cannot restore the optimiser {name}: {error}; begin a new run") from error


def _fit(value: Any, parameter: Tensor) -> Any:
    is_alike = isinstance(value, Tensor) and value.shape == parameter.shape
    return sharded_like(value, parameter) if is_alike else value


def build_optimiser(
    modules: Mapping[str, nn.Module], settings: OptimSettings, dtype: torch.dtype = torch.float32
) -> Optimiser:
    """Muon for `weight`s with two or more dimensions, AdamW for embeddings, norms, biases, tokens and outer layers.

    Args:
        modules: networks by name; frozen parameters are left out.
        settings: rates and exceptions.
        dtype: number format of Muon's orthogonalisation.

    Raises:
        ConfigError: nothing to train, or an `outer` pattern that fits no weight.
    """
    matrices: dict[str, nn.Parameter] = {}
    others: dict[str, nn.Parameter] = {}
    seen: set[int] = set()
    for name, owner in (
        (f"{net}.{path}".rstrip("."), m) for net, top in modules.items() for path, m in top.named_modules()
    ):
        for key, parameter in owner.named_parameters(recurse=False):
            if id(parameter) not in seen and parameter.requires_grad:
                seen.add(id(parameter))
                is_matrix = key == "weight" and parameter.ndim >= 2 and not isinstance(owner, nn.Embedding)
                (matrices if is_matrix else others)[f"{name}.{key}"] = parameter
    if not seen:
        raise ConfigError(f"nothing to train in {sorted(modules)}: every parameter is frozen; unfreeze one")
    outer = _matching(matrices, settings.outer)
    by_muon = [p for name, p in matrices.items() if name not in outer] if settings.matrix_lr is not None else []
    by_adamw = [p for p in matrices.values() if not any(p is taken for taken in by_muon)]
    parts: dict[str, Optimizer] = {}
    if by_muon:
        assert settings.matrix_lr is not None
        parts["muon"] = Muon(by_muon, settings.matrix_lr, settings.momentum, settings.weight_decay, dtype)
    groups = [
        {"params": by_adamw, "weight_decay": settings.weight_decay},
        {"params": list(others.values()), "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if groups:
        parts["adamw"] = AdamW(groups, lr=settings.lr, betas=settings.betas, fused=True)
    return Optimiser(parts)


def _matching(names: Mapping[str, Any], patterns: tuple[str, ...]) -> set[str]:
    matched: set[str] = set()
    for pattern in patterns:
        found = {name for name in names if fnmatch(name, pattern)}
        if not found:
            raise ConfigError(
                f"no weight is called {pattern!r} (outer layer for AdamW); expected one of {list(names)[:8]} ..."
            )
        matched |= found
    return matched

"""A stage is one chapter of training, as data: which networks, which updates, which samples, for how long."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flowact.core.errors import ConfigError
from flowact.train.ema import Ema
from flowact.train.optim import OptimSettings

Batch = dict[str, Any]
Values = Mapping[str, float | Tensor]


@dataclass(frozen=True)
class Place:
    """Where an endless stream of batches begins; equal places must yield equal batches.

    Attributes:
        seed: of the run.
        rank: number of this process; each takes its own part of the global batch.
        ranks: number of processes.
        step: train_step whose batch comes first; above 0 when a run is resumed.
    """

    seed: int
    rank: int = 0
    ranks: int = 1
    step: int = 0


MakeBatches = Callable[[Place], Iterator[Batch]]
Rollout = Callable[[Batch, int], Batch]
Objective = Callable[[Batch, int], tuple[Tensor, Values]]
Evaluate = Callable[[int], Mapping[str, float]]
OnStep = Callable[[int, Mapping[str, Ema]], None]


def taking_turns(*sources: MakeBatches) -> MakeBatches:
    """Batches of each source in turn, one per train_step."""

    def make(place: Place) -> Iterator[Batch]:
        # How often each had its turn before `place`.
        taken = [-(-(place.step - turn) // len(sources)) for turn in range(len(sources))]
        opened = [source(replace(place, step=step)) for source, step in zip(sources, taken)]
        for step in itertools.count(place.step):
            yield next(opened[step % len(sources)])

    return make


@dataclass(frozen=True)
class Update:
    """One optimiser and what it minimises.

    Attributes:
        networks: names of the networks that it moves.
        objective: (batch, train_step) -> (scalar loss to minimise, values to log). Runs under autocast.
        every: moves its networks at every so-many-th train_step.
        optim: rates and schedule.
        ema_decay: of the average kept of each network; None keeps none.
    """

    networks: tuple[str, ...]
    objective: Objective
    every: int = 1
    optim: OptimSettings = field(default_factory=OptimSettings)
    ema_decay: float | None = 0.999


@dataclass(frozen=True)
class Stage:
    """One chapter of training.

    Attributes:
        name: names its folder inside the run.
        networks: everything that checkpoints keep, on the device. A network that no update names is frozen.
        make_batches: opens the endless stream of batches (dicts; tensors in them are moved to the device).
        updates: applied in this order. One that builds on another's rollout must detach it.
        train_steps: length; also the scale of the learning-rate schedule.
        minutes: length in training time instead, resumed parts added up, if it comes first; None for no limit.
        rollout: (batch, train_step) -> batch, once per train_step before the updates.
        on_step: called after each train_step with the averages by network, say to refresh a frozen copy.
        evaluate: train_step -> values to log; the averages stand in for the weights meanwhile.
        evaluate_every: in train_steps; the last one is evaluated too.
        checkpoint_every: in train_steps.
        log_every: in train_steps.
        export: writes the model for users into the folder it is given (with `models.weights.save_model`), whenever
            the loop ends, the averages standing in for the weights. Runs on every process.
        precision: number format of the forward passes; None takes what the device is good at.
        max_bad_steps: so many train_steps in a row without finite gradients end the run.
        entry_points: methods besides `forward` through which objectives call the networks.
    """

    name: str
    networks: Mapping[str, nn.Module]
    make_batches: MakeBatches
    updates: tuple[Update, ...]
    train_steps: int
    minutes: float | None = None
    rollout: Rollout | None = None
    on_step: OnStep | None = None
    evaluate: Evaluate | None = None
    evaluate_every: int = 500
    checkpoint_every: int = 500
    log_every: int = 10
    export: Callable[[Path], None] | None = None
    precision: torch.dtype | None = None
    max_bad_steps: int = 20
    entry_points: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a stage that could not run.

        Raises:
            ConfigError: no updates, an unknown or doubly trained network, or a length below one.
        """
        trained = [name for update in self.updates for name in update.networks]
        wrong = sorted(set(trained) - set(self.networks))
        doubled = sorted({name for name in trained if trained.count(name) > 1})
        counts = [self.train_steps, self.evaluate_every, self.checkpoint_every, self.log_every, self.max_bad_steps]
        if not trained or wrong or doubled or min(counts + [update.every for update in self.updates]) < 1:
            raise ConfigError(
                f"stage {self.name!r} cannot run: updates train {trained}, networks are {sorted(self.networks)}, "
                f"unknown {wrong}, in two updates {doubled}; expected at least one update, each network in one, "
                "and all counts of steps at least 1"
            )

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the networks that updates move."""
        return tuple(name for update in self.updates for name in update.networks)


@contextmanager
def learning(stage: Stage) -> Iterator[None]:
    """Within the block trained networks are in training mode and the others frozen; then all are in evaluation mode."""
    frozen = [network for name, network in stage.networks.items() if name not in stage.trained]
    flags = [(p, p.requires_grad) for network in frozen for p in network.parameters()]
    for network in frozen:
        network.eval().requires_grad_(False)
    for name in stage.trained:
        stage.networks[name].train()
    try:
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        for network in stage.networks.values():
            network.eval()


@dataclass(frozen=True)
class RunContext:
    """What a recipe is told; it answers with one `Stage` or a list of them.

    Attributes:
        data: folder with the training data.
        out: folder of the run.
        device: where to put the networks.
        seed: of everything random.
        minutes: training time wanted for the whole recipe; None leaves it to the recipe.
        start_from: a saved model whose weights the networks begin with; None begins from nothing.
    """

    data: Path
    out: Path
    device: torch.device
    seed: int = 0
    minutes: float | None = None
    start_from: Path | None = None


Recipe = Callable[[RunContext], Stage | list[Stage]]

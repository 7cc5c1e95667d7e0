"""Trains the action probe, on exact tracks spoilt as the judges misread and on tracks as they read them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

from flowact.evaluate.judge_data import Stretch
from flowact.evaluate.judge_errors import ReadingErrors
from flowact.evaluate.judge_fit import fit
from flowact.evaluate.judge_tracks import mirror_tracks, take_steps
from flowact.evaluate.looking import Float
from flowact.evaluate.probes import ACTIONS, ActionConfig, ActionProbe

_EXACT, _READ = 72, 24
_PASSES = 20
_LEAST_SPREAD = 0.05


def train_action(
    exact: Sequence[Stretch],
    read: Sequence[Stretch],
    errors: ReadingErrors,
    console: Console,
    rng: np.random.Generator,
    passes: float = _PASSES,
) -> ActionProbe:
    """A probe that tells actions apart in tracks that are read.

    Args:
        exact: stretches with exact tracks, many; they are spoilt anew in every batch.
        read: stretches of people the readers did not learn, as they read them; may be none.
        errors: how the readers err.
        console: where progress is shown.
        rng: source of chance.
        passes: over the exact stretches.
    """
    network = ActionProbe(ActionConfig())
    pools = [
        ([take_steps(s.tracks) for s in pool], np.asarray([ACTIONS.index(s.action) for s in pool], np.int64), size)
        for pool, size in ((exact, _EXACT), (read, _READ))
        if pool
    ]
    spread = np.concatenate([errors.spoil(tracks, rng) for tracks in pools[0][0]])
    network.mean.copy_(torch.from_numpy(spread.mean(0)))
    network.deviation.copy_(torch.from_numpy(spread.std(0) + _LEAST_SPREAD))
    chances = [_even_chances(wanted) for _, wanted, _ in pools]

    def loss() -> Tensor:
        batch: list[Float] = []
        names: list[int] = []
        for (tracks, wanted, size), chance in zip(pools, chances):
            for row in rng.choice(len(tracks), size, p=chance):
                chosen = mirror_tracks(tracks[row]) if rng.random() < 0.5 else tracks[row]
                batch.append(errors.spoil(chosen, rng) if size == _EXACT else chosen)
                names.append(int(wanted[row]))
        x, steps = pad(batch)
        x = x + 0.1 * network.deviation * torch.randn_like(x)
        return F.cross_entropy(network(x, steps), torch.tensor(names), label_smoothing=0.05)

    fit("action", network, loss, max(4, round(passes * len(exact) / _EXACT)), console)
    return network


def pad(batch: Sequence[Float]) -> tuple[Tensor, Tensor]:
    """Tracks of any lengths as [N, longest, TRACK_WIDTH], zero behind their ends, and their steps [N]."""
    steps = [len(tracks) for tracks in batch]
    x = np.zeros((len(batch), max(steps), batch[0].shape[1]), np.float32)
    for row, tracks in zip(x, batch):
        row[: len(tracks)] = tracks
    return torch.from_numpy(x), torch.tensor(steps)


def _even_chances(wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Chances to draw each stretch: rare actions more often, by the root of how rare they are."""
    weight = 1 / np.sqrt(np.bincount(wanted, minlength=len(ACTIONS))[wanted])
    return np.asarray(weight / weight.sum())

"""A tiny regression, so that the loop can be tested without data or models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from flowact.train.optim import OptimSettings
from flowact.train.stage import Batch, Place, Stage, Update

GLOBAL_BATCH = 16


class TinyNet(nn.Module):
    """Two blocks with a buffer and dropout: enough to notice lost state of any kind."""

    def __init__(self, dropout: float = 0.0):
        super().__init__()
        self.inlet = nn.Linear(4, 16)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(16, 16), nn.SiLU()) for _ in range(2))
        self.conv = nn.Conv2d(16, 8, 3, padding=1)
        self.head = nn.Linear(8, 2)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("seen", torch.zeros(()))
        self.to(memory_format=torch.channels_last)  # as the codec is

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen += x.mean().detach()
        x = self.inlet(x)
        for block in self.blocks:
            x = x + self.dropout(block(x))
        return self.head(self.conv(x[..., None, None]).flatten(1))


def make_net(dropout: float = 0.0) -> TinyNet:
    torch.manual_seed(7)
    return TinyNet(dropout)


def make_batches(place: Place) -> Iterator[Batch]:
    step = place.step
    while True:
        dice = torch.Generator().manual_seed(1000 * place.seed + step)
        x = torch.randn(GLOBAL_BATCH, 4, generator=dice)
        y = torch.stack([x[:, 0] * 0.5 + x[:, 1], torch.sin(x[:, 2])], dim=1)
        yield {"x": x[place.rank :: place.ranks], "y": y[place.rank :: place.ranks], "step": step}
        step += 1


def make_stage(net: nn.Module, *, matrix_lr: float | None = 0.02, **changes: object) -> Stage:
    def objective(batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        error = (net(batch["x"]) - batch["y"]).abs()
        return error.square().mean(), {"absolute_error": error.mean()}

    optim = OptimSettings(lr=5e-3, matrix_lr=matrix_lr)
    stage = Stage(
        name="tiny",
        networks={"net": net},
        make_batches=make_batches,
        updates=(Update(("net",), objective, optim=optim, ema_decay=0.9),),
        train_steps=12,
        checkpoint_every=5,
        log_every=2,
        precision=torch.float32,
    )
    return replace(stage, **changes)  # type: ignore[arg-type]

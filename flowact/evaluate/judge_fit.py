"""One training loop for all judges."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from rich.console import Console
from torch import Tensor, nn

from flowact.core.device import choose_precision
from flowact.train.progress import ProgressReport

_MEAN_STEPS = 50


def fit(
    name: str,
    network: nn.Module,
    loss_of: Callable[[], Tensor],
    steps: int,
    console: Console,
    extra: Sequence[nn.Parameter] = (),
) -> None:
    """Train a network in place and leave it in evaluation mode.

    Args:
        name: told to the user.
        network: in any mode.
        loss_of: draws a batch and returns its loss.
        steps: of the optimiser.
        console: where progress is shown.
        extra: parameters to train that are no part of the network.
    """
    parameters = [*network.parameters(), *extra]
    optimiser = torch.optim.AdamW(parameters, 3e-3, betas=(0.9, 0.98), weight_decay=0.02)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps, pct_start=0.15)
    precision = choose_precision(torch.device("cpu"))
    begun, mean = time.process_time(), 0.0
    network.train()
    with ProgressReport(name, console) as report:
        for step in range(steps):
            with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                loss = loss_of()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            rates.step()
            mean += (loss.item() - mean) / min(step + 1, _MEAN_STEPS)
            report.show(step + 1, steps, (step + 1) / steps, {"loss": mean})
    network.eval()
    console.print(f"{name}: {steps} steps, loss {mean:.4f}, {time.process_time() - begun:.0f} s of processor")

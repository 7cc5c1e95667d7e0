"""Hands must read alike, not only look alike: fingers that run together cost few pixels and every gesture.

A small network learns from true pictures what a hand does, and painted ones must leave the same traces in it
(`objectives.reading`). It exists in training only; the judges of gestures (`flowact.evaluate`) are other networks
that never shape a picture. And there must be as much detail, wherever exactly: bones lie some pixels beside the hand
that is shown, and the mean of all places where the gap between two fingers may be is no gap at all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowact.models.video_vae.blocks import blocks, conv
from flowact.train.objectives.reading import read_both

READ = 12
"""So many of what a hand is told are read: all but the colour of skin."""
_AROUND_PX = 8
"""Side of the squares in which there must be as much detail."""


class HandReader(nn.Module):
    """Squares around hands to traces, coarser and coarser, and to what hands were told."""

    def __init__(self, side_px: int, width: int = 32) -> None:
        super().__init__()
        self.stem = conv(3 * 4, width // 2, 3)
        self.fine = conv(2 * width, width, 3)
        self.middle = blocks(1, width)
        self.coarse = conv(4 * width, 2 * width, 3)
        self.last = conv(8 * width, 3 * width, 1)
        self.labels = nn.Linear(3 * width * (side_px // 16) ** 2, READ)

    def forward(self, squares: Tensor) -> tuple[list[Tensor], Tensor]:
        """Squares [N, 3, S, S] in -1..1 to maps of features, at 1/2 to 1/16, and the numbers [N, READ]."""
        edges = F.silu(self.stem(F.pixel_unshuffle(squares, 2)))
        fine = self.middle(F.silu(self.fine(F.pixel_unshuffle(edges, 2))))
        coarse = F.silu(self.coarse(F.pixel_unshuffle(fine, 2)))
        last = F.silu(self.last(F.pixel_unshuffle(coarse, 2)))
        return [edges, fine, coarse, last], self.labels(last.flatten(1))


class HandReading(nn.Module):
    """(painted, true, numbers) -> (loss, metrics). Its parameters are the reader's; train them with the close-up's."""

    def __init__(
        self, side_px: int, label_weight: float = 0.1, trace_weight: float = 1.0, detail_weight: float = 4.0
    ) -> None:
        super().__init__()
        self.reader = HandReader(side_px)
        self.label_weight, self.trace_weight, self.detail_weight = label_weight, trace_weight, detail_weight

    def forward(self, painted: Tensor, true: Tensor, numbers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Squares [N, 3, S, S] in -1..1 and what was told of them [N, n] to the loss (scalar) and metrics (detached
        scalars).
        """
        read = read_both(self.reader, painted, true, numbers[:, :READ])
        lost = (_detail(painted) - _detail(true)).abs().mean()
        loss = read.true + self.label_weight * read.drawn + self.trace_weight * read.traces
        found = {"read_true": read.true, "read_painted": read.drawn, "traces": read.traces, "detail_lost": lost}
        return loss + self.detail_weight * lost, {name: value.detach() for name, value in found.items()}


def _detail(squares: Tensor) -> Tensor:
    """How much neighbouring pixels of [N, 3, S, S] differ, around each place: [N, 2, S / 8, S / 8]."""
    across = (squares[..., 1:] - squares[..., :-1]).abs().mean(1, keepdim=True)
    down = (squares[..., 1:, :] - squares[..., :-1, :]).abs().mean(1, keepdim=True)
    steps = torch.cat([F.pad(across, (0, 1)), F.pad(down, (0, 0, 0, 1))], 1)
    return F.avg_pool2d(steps, _AROUND_PX)

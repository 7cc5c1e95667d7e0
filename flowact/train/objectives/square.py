"""Close-ups must read alike, not only look alike: fingers that run together cost few pixels and every gesture, and an
iris that looks elsewhere costs fewer still.

A small network learns from true pictures what eyes or hands do, and painted ones must leave the same traces in it
(`objectives.reading`). It exists in training only; the judges (`flowact.evaluate`) are other networks that never shape
a picture. And there must be as much detail, wherever exactly: bones lie some pixels beside the hand that is shown, and
the mean of all places where the gap between two fingers may be is no gap at all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowact.core.motion import motion_slice
from flowact.models.video_vae.blocks import blocks, conv
from flowact.models.video_vae.closeup import Part
from flowact.studio.performance import FACE_UNITS
from flowact.train.objectives.reading import read_both

_OF_EYES = ("brow", "cheekSquint", "eye")
_OF_MOUTHS = ("jaw", "mouth")
_AROUND_PX = 8
"""Side of the squares in which there must be as much detail."""


def read_numbers(part: Part) -> list[int]:
    """Which of the numbers that a close-up is told are read: all that can be seen in it."""
    if part == "hand":
        return list(range(12))  # all but the colour of skin
    face = motion_slice("face").start
    if part == "eyes":
        return [*_units(face, _OF_EYES), *range(*motion_slice("gaze").indices(1_000))]
    return [*range(*motion_slice("visemes").indices(1_000)), *_units(face, _OF_MOUTHS)]


def _units(first: int, names: tuple[str, ...]) -> list[int]:
    return [first + i for i, name in enumerate(FACE_UNITS) if name.startswith(names)]


class SquareReader(nn.Module):
    """Squares to traces, coarser and coarser, and to what was told of them."""

    def __init__(self, side_px: int, labels: int, width: int = 32) -> None:
        super().__init__()
        self.stem = conv(3 * 4, width // 2, 3)
        self.fine = conv(2 * width, width, 3)
        self.middle = blocks(1, width)
        self.coarse = conv(4 * width, 2 * width, 3)
        self.last = conv(8 * width, 3 * width, 1)
        self.labels = nn.Linear(3 * width * (side_px // 16) ** 2, labels)

    def forward(self, squares: Tensor) -> tuple[list[Tensor], Tensor]:
        """Squares [N, 3, S, S] in -1..1 to maps of features, at 1/2 to 1/16, and the numbers [N, labels]."""
        edges = F.silu(self.stem(F.pixel_unshuffle(squares, 2)))
        fine = self.middle(F.silu(self.fine(F.pixel_unshuffle(edges, 2))))
        coarse = F.silu(self.coarse(F.pixel_unshuffle(fine, 2)))
        last = F.silu(self.last(F.pixel_unshuffle(coarse, 2)))
        return [edges, fine, coarse, last], self.labels(last.flatten(1))


class SquareReading(nn.Module):
    """(painted, true, numbers) -> (loss, metrics). Its parameters are the reader's; train them with the close-up's."""

    numbers: Tensor

    def __init__(
        self,
        part: Part,
        side_px: int,
        label_weight: float = 0.1,
        trace_weight: float = 1.0,
        detail_weight: float = 4.0,
    ) -> None:
        super().__init__()
        self.register_buffer("numbers", torch.tensor(read_numbers(part)), persistent=False)
        self.reader = SquareReader(side_px, len(self.numbers))
        self.label_weight, self.trace_weight, self.detail_weight = label_weight, trace_weight, detail_weight

    def forward(self, painted: Tensor, true: Tensor, numbers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Squares [N, 3, S, S] in -1..1 and what was told of them [N, n] to the loss (scalar) and metrics (detached
        scalars).
        """
        read = read_both(self.reader, painted, true, numbers[:, self.numbers])
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

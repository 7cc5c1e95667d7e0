"""Can the mouth be read off the latents? The gate of the codec: no generator can say what its latents do not carry.

A small network learns mouth opening from the latents of training people and is judged on people it never saw. It is
made after the codec is frozen and never shapes it, so it cannot flatter.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.core.errors import ShapeError

_WINDOW = 5
_PIXELS_PER_CELL = 16


@dataclass(frozen=True)
class MouthSamples:
    """Latent frames with what the mouth does in them.

    Attributes:
        latents: [N, C, h, w].
        mouth_box: [N, 4, 4] boxes in pixels of the four frames of each latent frame.
        mouth_open: [N, 4] the true opening.
    """

    latents: Tensor
    mouth_box: Tensor
    mouth_open: Tensor

    def __post_init__(self) -> None:
        """Raise ShapeError when the three do not belong together."""
        count = len(self.latents)
        if self.mouth_box.shape != (count, FRAMES_PER_LATENT, 4) or self.mouth_open.shape != (count, FRAMES_PER_LATENT):
            raise ShapeError(
                f"MouthSamples: got latents {tuple(self.latents.shape)}, mouth_box {tuple(self.mouth_box.shape)}, "
                f"mouth_open {tuple(self.mouth_open.shape)}, expected [N, C, h, w], [N, 4, 4], [N, 4]; "
                "give four labels for each latent frame."
            )


class LatentReader(nn.Module):
    """A two-layer network on the 5x5 latent cells around the mouth."""

    def __init__(self, channels: int, width: int = 256) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(channels * _WINDOW**2, width),
            nn.GELU(),
            nn.Dropout(0.2),
            nn.Linear(width, FRAMES_PER_LATENT),
        )

    def forward(self, windows: Tensor) -> Tensor:
        """Windows [N, C * 25] to the opening in each of four frames [N, 4]."""
        opening: Tensor = self.net(windows)
        return opening


def read_latents(train: MouthSamples, heldout: MouthSamples, steps: int = 400, seed: int = 0) -> float:
    """Train a reader on `train` and return Pearson's correlation of its reading of `heldout` with the truth.

    Takes seconds. 0.9 is the gate: below it, improve the codec before training anything on its latents.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = _fit(mouth_windows(train), train.mouth_open.float(), steps)
    with torch.no_grad():
        read = reader(mouth_windows(heldout))
    return float(torch.corrcoef(torch.stack([read.flatten(), heldout.mouth_open.float().flatten()]))[0, 1])


def mouth_windows(samples: MouthSamples) -> Tensor:
    """The 5x5 cells around the mouth [N, C * 25]; cells outside the picture repeat the border.

    The window moves in whole cells, so that the box, which knows the opening, tells nothing through its position.
    """
    count, _, height, width = samples.latents.shape
    box = samples.mouth_box.mean(1)
    column = ((box[:, 0] + box[:, 2]) / 2 / _PIXELS_PER_CELL).floor().long()
    row = ((box[:, 1] + box[:, 3]) / 2 / _PIXELS_PER_CELL).floor().long()
    reach = torch.arange(_WINDOW) - _WINDOW // 2
    rows = (row[:, None] + reach).clamp(0, height - 1)
    columns = (column[:, None] + reach).clamp(0, width - 1)
    picked = samples.latents[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.flatten(1).float()


def _fit(windows: Tensor, opening: Tensor, steps: int) -> LatentReader:
    reader = LatentReader(windows.shape[1] // _WINDOW**2)
    optimiser = torch.optim.AdamW(reader.parameters(), lr=2e-3, weight_decay=0.05)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        pick = torch.randint(len(windows), (256,))
        optimiser.zero_grad()
        F.mse_loss(reader(windows[pick]), opening[pick]).backward()
        optimiser.step()
        rates.step()
    return reader.eval()

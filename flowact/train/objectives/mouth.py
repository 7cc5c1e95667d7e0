"""Mouths must read alike, not only look alike: half an opening drawn as a closed mouth costs few pixels and every word.

A small network learns from true pictures what a mouth does, and the codec's pictures must leave the same traces in it
(`objectives.reading`). It exists in training only; the judges of the lips (`flowact.evaluate`) are other networks that
never shape a picture.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowact.models.video_vae.blocks import blocks, conv
from flowact.train.data.labels import LABEL_SCALE, LABELS, MOUTH_LABELS
from flowact.train.objectives.reading import read_both

CROP_PX = 48
_REACH = 0.3
"""Half the side of the crop, in widths of the face: the mouth's own size would tell how open it is."""
_EDGE = 0.8
"""A mouth whose centre lies farther out is not read."""


class MouthReader(nn.Module):
    """Crops of the mouth to traces, coarser and coarser, and to the labels."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stem = conv(3 * 4, width, 3)
        self.fine = blocks(1, width)
        self.down = conv(4 * width, 2 * width, 1)
        self.coarse = blocks(1, 2 * width)
        self.last = conv(8 * width, 3 * width, 1)
        self.labels = nn.Linear(3 * width * (CROP_PX // 8) ** 2, sum(LABELS[name] for name in MOUTH_LABELS))

    def forward(self, crops: Tensor) -> tuple[list[Tensor], Tensor]:
        """Crops [N, 3, 48, 48] in -1..1 to three maps of features and the labels [N, 16]."""
        fine = self.fine(self.stem(F.pixel_unshuffle(crops, 2)))
        coarse = self.coarse(self.down(F.pixel_unshuffle(fine, 2)))
        last = F.silu(self.last(F.pixel_unshuffle(coarse, 2)))
        return [fine, coarse, last], self.labels(last.flatten(1))


class MouthReading(nn.Module):
    """(decoded, clip, batch) -> (loss, metrics). Its parameters are the reader's; train them with the codec's.

    The batch holds `mouth_box`, `face_box` [B, F, 4] in pixels, `visemes` [B, F, 15] and `mouth_open` [B, F].
    """

    def __init__(self, label_weight: float = 0.1, trace_weight: float = 0.1) -> None:
        super().__init__()
        self.reader = MouthReader()
        self.label_weight, self.trace_weight = label_weight, trace_weight

    def forward(self, decoded: Tensor, clip: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Decoded and true pictures [B, F, 3, H, W] in -1..1 to the loss (scalar) and metrics (detached scalars)."""
        mouth, face = batch["mouth_box"].flatten(0, 1), batch["face_box"].flatten(0, 1)
        centre = (mouth[:, :2] + mouth[:, 2:]) / clip.shape[-1] - 1
        seen = (centre.abs() < _EDGE).all(1)
        if not bool(seen.any()):  # every picture is cut out beside the face
            return decoded.sum() * 0, {}
        reach = _REACH * 2 * (face[:, 2] - face[:, 0]) / clip.shape[-1]
        grid = _grid(centre[seen], reach[seen])
        known = [batch[name].float().reshape(len(seen), -1) * LABEL_SCALE[name] for name in MOUTH_LABELS]
        labels = torch.cat(known, 1)[seen]
        true, drawn = (F.grid_sample(x.flatten(0, 1)[seen].float(), grid, align_corners=False) for x in (clip, decoded))
        read = read_both(self.reader, drawn, true, labels)
        loss = read.true + self.label_weight * read.drawn + self.trace_weight * read.traces
        found = {"read_true": read.true, "read_drawn": read.drawn, "traces": read.traces}
        return loss, {name: value.detach() for name, value in found.items()}


def _grid(centre: Tensor, reach: Tensor) -> Tensor:
    """Where crops around `centre` [N, 2] look, `reach` [N] to each side, in -1..1: [N, 48, 48, 2]."""
    line = torch.linspace(-1, 1, CROP_PX, device=centre.device)
    offset = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    return centre[:, None, None] + reach[:, None, None, None] * offset

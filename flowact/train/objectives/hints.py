"""Deep supervision: what a clip shows must be readable in the middle of the backbone, not only at its end.

Lips, eyes and glances are a small share of the velocity's error, so a young network learns to hear them late. Here a
head reads the studio's labels of each latent frame off the video tokens half-way. It exists in training only, and it
never touches what the network puts out, so the network cannot please it with wrong pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.models.mmdit.model import MMDiT
from flowact.train.data.labels import LABEL_WIDTH


class Hints(nn.Module):
    """Reads the labels of each latent frame off the tokens that leave the middle block."""

    def __init__(self, backbone: MMDiT) -> None:
        super().__init__()
        c = backbone.config
        self.conditions, self.tapped = c.condition_tokens, c.depth // 2
        self.norm = nn.LayerNorm(c.width)
        self.read = nn.Linear(c.video_tokens * c.width, FRAMES_PER_LATENT * LABEL_WIDTH)

    @contextmanager
    def listening(self, backbone: MMDiT) -> Iterator[list[Tensor]]:
        """Collects the tokens [B, T, N, D] of every pass of `backbone` inside the `with`, in order."""
        passed: list[Tensor] = []
        hook = backbone.blocks[self.tapped].register_forward_pre_hook(lambda _, given: passed.append(given[0]))
        try:
            yield passed
        finally:
            hook.remove()

    def forward(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """Mean error of the labels [B, T, 4, L] read off tokens [B, T, N, D]; unknown ones (NaN) do not count."""
        read = self.read(self.norm(tokens[:, :, self.conditions :]).flatten(2)).float().view_as(labels)
        known = labels.isfinite()
        return F.smooth_l1_loss(torch.where(known, read, 0), labels.nan_to_num(), reduction="sum") / known.sum()

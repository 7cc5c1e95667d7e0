"""Pictures that read alike: a small network learns from true ones, and drawn ones must leave the same traces in it
(after Johnson et al. 2016, "Perceptual losses for real-time style transfer and super-resolution").
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F


class Read(NamedTuple):
    """Scalars: how badly true and drawn pictures are read, and how far apart the traces are that they leave."""

    true: Tensor
    drawn: Tensor
    traces: Tensor


def read_both(reader: nn.Module, drawn: Tensor, true: Tensor, labels: Tensor) -> Read:
    """Read drawn and true pictures [N, 3, H, W] of labels [N, L].

    Args:
        reader: pictures to (maps of features, labels [N, L]). It learns from the true ones alone.
        drawn, true: of the same.
        labels: what there is to be read.
    """
    traces, read = reader(true)
    # The reader must not learn to like what is drawn.
    fixed = {name: value.detach() for name, value in reader.named_parameters()}
    drawn_traces, drawn_read = functional_call(reader, fixed, (drawn,))
    apart = torch.stack([_apart(a, b.detach()) for a, b in zip(drawn_traces, traces)]).mean()
    return Read(F.smooth_l1_loss(read.float(), labels), F.smooth_l1_loss(drawn_read.float(), labels), apart)


def _apart(drawn: Tensor, true: Tensor) -> Tensor:
    """Mean squared distance of the feature vectors at each place, each at unit length."""
    return (F.normalize(drawn.float(), dim=1) - F.normalize(true.float(), dim=1)).square().sum(1).mean()

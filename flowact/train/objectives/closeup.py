"""What a close-up is trained on: eyes, mouths and hands as they should be, and where they are in portraits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from flowact.models.video_vae.closeup import Closeup, Finder
from flowact.train.objectives.codec import CodecObjectiveConfig, picture_error

Reading = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, dict[str, Tensor]]]
"""What `SquareReading.forward` does: (painted, true, numbers) -> (loss, metrics)."""
_WEIGHTS = CodecObjectiveConfig(mouth_weight=16.0)
_PLACE_SCALE = 16.0
"""Places count in sixteenths of the picture."""


def paint_error(closeup: Closeup, batch: Mapping[str, Tensor], reading: Reading) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss (scalar) and metrics (detached scalars) of a batch of `train.data.closeups`: PSNR in dB, how sharp the
    paint is, 1 for the truth, and what `reading` says of it.
    """
    seen, true, stills = (batch[name].float() / 127.5 - 1 for name in ("seen", "true", "stills"))
    bones = batch["bones"].float()
    numbers = batch["numbers"].float()
    made = closeup(seen, stills, numbers, bones)
    hole = closeup.hole(bones) * (batch["inside"].float() / 255)
    # What lies outside of the picture is shown to nobody, and nobody knows what it should be.
    made = torch.where(batch["inside"] > 0, made, true)
    regions = {"mouth": hole, "eyes": torch.zeros_like(hole)}
    loss, found = picture_error(made[:, None], true[:, None], stills[:, :3], regions, _WEIGHTS)
    sharpness = _detail(made.detach(), hole) / _detail(true, hole)
    metrics = {"psnr": found["psnr_mouth"], "sharpness": sharpness}
    read, told = reading(made, true, numbers)
    loss = loss + read
    return loss, {"loss": loss.detach(), **metrics, **told}


def place_error(finder: Finder, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss (scalar), and how far beside they are found in portraits, in shares of the picture."""
    beside = finder(batch["features"]) - batch["place"]
    loss = F.smooth_l1_loss(_PLACE_SCALE * beside, torch.zeros_like(beside), beta=0.2)
    return loss, {"beside": beside.detach().norm(dim=1).mean()}


def _detail(pictures: Tensor, hole: Tensor) -> Tensor:
    """Mean difference of neighbouring pixels of [N, 3, S, S] inside a mask [N, 1, S, S]."""
    step = (pictures[..., 1:] - pictures[..., :-1]).abs().mean(1, keepdim=True)
    return (step * hole[..., 1:]).sum() / hole[..., 1:].sum()

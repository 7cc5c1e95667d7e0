"""Flow matching over the stream, memory given: the objective of every chapter before distillation."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from flowact.core.clock import LATENTS_PER_CHUNK
from flowact.core.types import Frames
from flowact.diffusion.path import clean_from_velocity, velocity
from flowact.models.mmdit.model import MMDiT
from flowact.rollout.window import Window, mouth_cells, noised


def flow_loss(backbone: MMDiT, window: Window, level: Tensor, noise: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted mean square error of the velocity of the stream's latents.

    Args:
        backbone: the network.
        window: memory, clean stream and conditions.
        level: [B, chunks] noise level of each chunk.
        noise: standard normal, shaped as `window.clean`.

    Returns:
        The loss, and metrics: the error of the clean latents it implies (1.0 is what copying the portrait gives).
    """
    error, clean_error = _errors(backbone, window, level, noise)
    loss = (error * window.weight).sum() / window.weight.expand_as(error).sum()
    return loss, {"flow": loss.detach(), "clean_error": _share(clean_error, window, window.weight)}


def full_visibility_loss(
    backbone: MMDiT, window: Window, level: Tensor, noise: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """The first chapter's objective: memory and stream see one another, and the whole stream stands at one level.

    `level` is [B, 1]; otherwise as `flow_loss`.
    """
    per_frame = level.expand(-1, window.clean.shape[1]).to(window.clean)
    memory = window.bank.view()
    scene = Frames.cat([memory, noised(window, per_frame, noise)])
    predicted = backbone(scene)[:, memory.latents.shape[1] :].float()
    error = (predicted - velocity(window.clean, noise)).square()
    loss = (error * window.weight).sum() / window.weight.expand_as(error).sum()
    return loss, {"flow": loss.detach()}


@torch.inference_mode()
def flow_report(backbone: MMDiT, window: Window, levels: tuple[float, ...] = (0.5, 0.8, 1.0)) -> dict[str, float]:
    """How well a fixed window is denoised at fixed levels, and what of that each condition explains.

    Returns:
        `clean_L`: weighted error of the clean latents at level L, 1.0 being zero latents (for pictures: the portrait
        alone); `mouth_L`: the same where it weighs most, at the mouth; and `audio_L`, `text_L`, `motion_L`: the share
        by which `clean_L` grows when the voice, the prompt or the motion is withheld (0 = it is not used).
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(window.clean.shape, generator=generator).to(window.clean)
    given = window.conditions
    poorer = {name: replace(window, conditions=given.without(name)) for name in ("audio", "text", "motion")}
    mouth = mouth_cells(window.weight).float()
    found = {}
    for value in levels:
        level = torch.full((len(noise), window.clean.shape[1] // LATENTS_PER_CHUNK), value)
        error = _errors(backbone, window, level, noise)[1]
        found[f"clean_{value}"] = float(_share(error, window, window.weight))
        found[f"mouth_{value}"] = float(_share(error, window, mouth))
        for name, other in poorer.items():
            without = _share(_errors(backbone, other, level, noise)[1], window, window.weight)
            found[f"{name}_{value}"] = float(without) / found[f"clean_{value}"] - 1
    return found


def _errors(backbone: MMDiT, window: Window, level: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Square errors of the velocity and of the clean latents that it implies (detached), both as `window.clean`."""
    per_frame = level.repeat_interleave(LATENTS_PER_CHUNK, 1).to(window.clean)
    stream = noised(window, per_frame, noise)
    predicted = backbone(stream, backbone.remember(window.bank.view())).float()
    with torch.no_grad():
        clean = clean_from_velocity(stream.latents, predicted, per_frame)
    return (predicted - velocity(window.clean, noise)).square(), (clean - window.clean).square()


def _share(error: Tensor, window: Window, weight: Tensor) -> Tensor:
    """Weighted error as a share of what standing still on the portrait costs."""
    return (error * weight).mean() / (window.clean.square() * weight).mean()

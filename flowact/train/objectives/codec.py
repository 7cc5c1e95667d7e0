"""What the codec is trained on: pixels, weighted where it matters, and labels that the latents must carry.

Mouth and eyes are a few percent of the picture and most of its meaning, so their pixels count more. Strong noise on
the latents puts a price on what they carry; what the portrait shows is had for nothing and so is not coded. The label
head
reads visemes, mouth opening, eyes, gaze and head angles off the latents; it exists in training only, and the reader
that judges the latents (`flowact.evaluate.metrics.latent_reader`) is another network that never shapes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.models.video_vae.config import SPATIAL_FACTOR
from flowact.models.video_vae.model import VideoVAE
from flowact.models.video_vae.told import draw_arms, told_bones
from flowact.train.data.labels import LABEL_SCALE, LABELS, MOUTH_LABELS
from flowact.train.objectives.mouth import MouthReading

PLACES = ("mouth", "eyes", "face")
_ARM_WIDER = 1.7
"""How far around an arm paint is free and pixels weigh more: this much of its width."""
_MOUTH = {name: LABELS[name] for name in MOUTH_LABELS}
_EYES = {name: LABELS[name] for name in ("eye_open", "gaze")}
_FACE = {name: LABELS[name] for name in ("head",)}


@dataclass(frozen=True)
class CodecObjectiveConfig:
    """Weights of the codec's loss.

    Attributes:
        mouth_weight, eye_weight: how much a pixel in these boxes counts; other pixels count 1.
        hand_weight: the same around the points of a hand, where these are given.
        gradient_weight: weight of the error of picture gradients, at full and half resolution.
        paint_price: what painting a pixel costs that is neither of a mouth nor of a hand, where `DecoderObjective` is
            told where hands are. Where a decoder is unsure, paint is the mean of what may be, a blur; the portrait
            moved is sharp.
        flow_weight: what a pixel costs by which a point of a surface is taken from the wrong place of the portrait, in
            `DecoderObjective`. On skin, hair and walls, pixels say little of that, and heads nod less far than they
            should.
        label_weight: weight of the labels' error.
        latent_noise: standard deviation of the noise on the unit-variance latents before they are decoded.
    """

    mouth_weight: float = 6.0
    eye_weight: float = 3.0
    hand_weight: float = 1.0
    gradient_weight: float = 0.5
    paint_price: float = 0.0
    flow_weight: float = 0.0
    label_weight: float = 1.0
    latent_noise: float = 0.4


class LabelHead(nn.Module):
    """Reads the labels of four frames off each latent frame, looking where they are: at mouth, eyes and face."""

    def __init__(self, latent_channels: int, width: int = 96) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(latent_channels, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
        )
        self.mouth = nn.Linear(width, FRAMES_PER_LATENT * sum(_MOUTH.values()))
        self.eyes = nn.Linear(width, FRAMES_PER_LATENT * sum(_EYES.values()))
        self.face = nn.Linear(width, FRAMES_PER_LATENT * sum(_FACE.values()))

    def forward(self, latents: Tensor, regions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Latents [B, T, C, h, w] and masks "mouth", "eyes", "face" [B, T, h, w] to labels [B, 4T, n]."""
        features = self.look(latents.flatten(0, 1)).float()
        found: dict[str, Tensor] = {}
        for name, linear, labels in (
            ("mouth", self.mouth, _MOUTH),
            ("eyes", self.eyes, _EYES),
            ("face", self.face, _FACE),
        ):
            mask = regions[name].flatten(0, 1)
            pooled = torch.einsum("nchw,nhw->nc", features, mask) / mask.sum((1, 2)).clamp_min(1e-3)[:, None]
            read = linear(pooled).float().unflatten(-1, (FRAMES_PER_LATENT, -1)).unflatten(0, latents.shape[:2])
            found |= dict(zip(labels, read.flatten(1, 2).split(list(labels.values()), -1)))
        return found


class CodecObjective(nn.Module):
    """(codec, batch) -> (loss, metrics). Its own parameters are the label head's; train them with the codec's.

    The batch, all in pixels of the pictures given:
        clip: [B, F, H, W, 3] uint8, F a multiple of 4.
        seen: the same as the encoder sees it, perhaps in another light.
        reference: [B, H, W, 3] uint8, another frame of the same person.
        mouth_box, face_box: [B, F, 4] x0, y0, x1, y1.
        eye_boxes: [B, F, 2, 4]; NaN where there are none.
        visemes [B, F, 15], mouth_open [B, F], eye_open [B, F, 2], gaze [B, F, 2], head [B, F, 3]; NaN = unknown.
        The same boxes and labels of the reference, F = 1, by names that begin with "reference_".
    """

    def __init__(self, latent_channels: int, config: CodecObjectiveConfig | None = None) -> None:
        super().__init__()
        self.config = config or CodecObjectiveConfig()
        self.labels = LabelHead(latent_channels)
        self.look_labels = LabelHead(latent_channels)
        self.look_places = nn.Conv2d(latent_channels, len(PLACES), 1)

    def forward(self, codec: VideoVAE, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss (scalar) and metrics (detached scalars): parts of the loss, PSNR whole, in the mouth and of the copy."""
        clip, reference = to_pixels(batch["clip"]), to_pixels(batch["reference"])
        regions = region_masks(batch, *clip.shape[-2:])
        latents, _ = codec.encode(to_pixels(batch["seen"]), codec.initial_encode_state(reference))
        noisy = latents + self.config.latent_noise * torch.randn_like(latents)
        decoded, _ = codec.decode(noisy, codec.initial_decode_state(reference).amid())
        decoded = decoded.float()

        loss, metrics = picture_error(decoded, clip, reference, regions, self.config)
        cells = {name: _to_latent_grid(mask, latents.shape[1]) for name, mask in regions.items()}
        label = _label_error(self.labels(noisy, cells), batch)
        told = self._look_error(codec.look(reference), batch, clip.shape[-1])
        loss = loss + self.config.label_weight * label + told
        return loss, {**metrics, "loss": loss.detach(), "label": label.detach(), "look": told.detach()}

    def _look_error(self, look: Tensor, batch: Mapping[str, Tensor], side: int) -> Tensor:
        """What the portrait's look must tell: where mouth, eyes and face are, and how they stand."""
        noisy = look + self.config.latent_noise * torch.randn_like(look)
        named = {name.removeprefix("reference_"): x for name, x in batch.items() if name.startswith("reference_")}
        # A still is four equal frames.
        still = {name: x.expand(-1, FRAMES_PER_LATENT, *x.shape[2:]) for name, x in named.items()}
        cells = {name: _to_latent_grid(mask, 1) for name, mask in region_masks(still, side, side).items()}
        label = _label_error(self.look_labels(noisy[:, None], cells), still)
        true = torch.cat([cells[name] for name in PLACES], 1)
        return label + F.binary_cross_entropy_with_logits(self.look_places(noisy).float(), true)


def _label_error(read: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
    """Mean error of labels that were read; unknown ones (NaN) do not count."""
    errors = []
    for name, value in read.items():
        true = batch[name].float().reshape(value.shape) * LABEL_SCALE[name]
        known = true.isfinite()
        errors.append(F.smooth_l1_loss(value[known], true[known], reduction="sum") / known.sum().clamp_min(1))
    return torch.stack(errors).mean()


class DecoderObjective(nn.Module):
    """The pictures' part of `CodecObjective` for latents that are given, and mouths that read right: see MouthReading.

    The batch holds `latents` [B, T, C, H / 16, W / 16], `motion` and `window` as `VideoVAE.decode` takes them, the
    `portrait` [B, H, W, 3] uint8 that the reference is a part of, the pictures and boxes that `CodecObjective` takes,
    the labels of the mouth, and points of surfaces: `points` [B, F, P, 2] and `reference_points` [B, P, 2] in pixels,
    NaN where unknown. Its own parameters are the mouth reader's; train them with the codec's.
    """

    def __init__(self, config: CodecObjectiveConfig) -> None:
        super().__init__()
        self.config = config
        self.mouth = MouthReading()

    def forward(self, codec: VideoVAE, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss (scalar) and metrics (detached scalars)."""
        clip, reference = to_pixels(batch["clip"]), to_pixels(batch["reference"])
        latents = batch["latents"].float()
        noisy = latents + self.config.latent_noise * torch.randn_like(latents)
        motion, window = batch["motion"].float(), batch["window"].float()
        state = codec.initial_decode_state(reference, to_pixels(batch["portrait"])).amid()
        layers, _ = codec.layers(noisy, state, motion, window=window)
        decoded = layers.pixels
        regions = region_masks(batch, *clip.shape[-2:]) | {"hands": _arm_mask(motion, window, clip.shape[-1])}
        loss, metrics = picture_error(decoded, clip, reference, regions, self.config)
        read, found = self.mouth(decoded, clip, batch)
        free = torch.maximum(regions["mouth"], regions["hands"])
        paint = ((1 - layers.mask[:, :, 0]) * (1 - free)).mean()
        beside = flow_error(layers.flow, batch["points"].float(), batch["reference_points"].float(), clip.shape[-1])
        loss = loss + read + self.config.paint_price * paint + self.config.flow_weight * beside
        return loss, {**metrics, **found, "paint": paint.detach(), "flow_beside": beside.detach()}


def flow_error(flow: Tensor, points: Tensor, at_still: Tensor, side: int) -> Tensor:
    """How far from where it was a flow finds each point of a surface, in pixels and by Huber, the mean of all that lie
    in both pictures (scalar; 0 if none does).

    Args:
        flow: [B, F, 2, h, w] in pixels, where each place of a frame is found in the portrait.
        points: [B, F, P, 2] in the frames, column and row in pixels; NaN where unknown.
        at_still: [B, P, 2] the same in the portrait.
        side: of the pictures, in pixels.
    """
    true = at_still[:, None] - points
    known = (torch.stack([points, at_still[:, None].expand_as(points)]) / side - 0.5).abs().amax((0, -1)) < 0.5
    grid = (2 * points / side - 1).nan_to_num()
    found = F.grid_sample(flow.flatten(0, 1).float(), grid.flatten(0, 1)[:, None], align_corners=False)
    found = found[:, :, 0].transpose(1, 2).unflatten(0, flow.shape[:2])
    error = F.smooth_l1_loss(found[known], true[known], reduction="sum")
    return error / (2 * known.sum().clamp_min(1))


def picture_error(
    decoded: Tensor, clip: Tensor, reference: Tensor, regions: Mapping[str, Tensor], config: CodecObjectiveConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """How far decoded pictures [B, F, 3, H, W] are from the true ones, weighted by region masks [B, F, H, W]."""
    weight = 1 + (config.eye_weight - 1) * regions["eyes"]
    if "hands" in regions:
        weight = torch.maximum(weight, config.hand_weight * regions["hands"])
    weight = torch.maximum(weight, config.mouth_weight * regions["mouth"])
    error = decoded - clip
    pixel = _weighted(error.abs() + error.square(), weight)
    gradient = _gradient_error(error.flatten(0, 1), weight.flatten(0, 1))
    loss = pixel + config.gradient_weight * gradient
    with torch.no_grad():
        square, everywhere = error.square(), torch.ones_like(weight)
        copy = (reference[:, None] - clip).square()
        metrics = {
            "loss": loss,
            "pixel": pixel,
            "gradient": gradient,
            "psnr": _psnr(square, everywhere),
            "psnr_mouth": _psnr(square, regions["mouth"]),
            "psnr_copy": _psnr(copy, everywhere),
            "psnr_copy_mouth": _psnr(copy, regions["mouth"]),
        }
    return loss, {name: value.detach() for name, value in metrics.items()}


def to_pixels(pictures: Tensor) -> Tensor:
    """uint8 [..., H, W, 3] to float32 [..., 3, H, W] in -1..1."""
    return pictures.movedim(-1, -3).float() / 127.5 - 1


def region_masks(batch: Mapping[str, Tensor], height: int, width: int) -> dict[str, Tensor]:
    """Masks [B, F, H, W] (1 inside) of "mouth", "eyes" and "face" from the boxes of a batch."""
    return {
        "mouth": box_mask(batch["mouth_box"], height, width),
        "eyes": box_mask(batch["eye_boxes"], height, width).amax(2),
        "face": box_mask(batch["face_box"], height, width),
    }


def _arm_mask(motion: Tensor, window: Tensor, side: int) -> Tensor:
    """Masks [B, 4T, side, side] of the arms of motion [B, T, 4, M], seen in a window [B, 3]; soft at the rims."""
    drawn = draw_arms(told_bones(motion, window), side // 4, window, _ARM_WIDER).amax(3).flatten(1, 2)
    return F.interpolate(drawn, scale_factor=4, mode="bilinear", align_corners=False)


def box_mask(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes [..., 4] in pixels to masks [..., H, W]: 1 where a pixel's centre lies inside. A NaN box is empty."""
    x = torch.arange(width, device=boxes.device) + 0.5
    y = torch.arange(height, device=boxes.device) + 0.5
    x0, y0, x1, y1 = boxes[..., None].unbind(-2)
    inside_x = (x >= x0) & (x < x1)
    inside_y = (y >= y0) & (y < y1)
    return (inside_y[..., :, None] & inside_x[..., None, :]).float()


def _to_latent_grid(mask: Tensor, times: int) -> Tensor:
    """[B, 4T, H, W] to the covered share of each latent cell [B, T, h, w]."""
    quads = mask.unflatten(1, (times, FRAMES_PER_LATENT)).mean(2)
    return F.avg_pool2d(quads, SPATIAL_FACTOR)


def _weighted(error: Tensor, weight: Tensor) -> Tensor:
    return (error.mean(-3) * weight).sum() / weight.sum()


def _gradient_error(error: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 of the error's differences along x and y, at full and half resolution; sharpens edges."""
    total = error.new_zeros(())
    for _ in range(2):
        total = total + _weighted((error[..., 1:] - error[..., :-1]).abs(), weight[..., 1:])
        total = total + _weighted((error[..., 1:, :] - error[..., :-1, :]).abs(), weight[..., 1:, :])
        error, weight = F.avg_pool2d(error, 2), F.avg_pool2d(weight[:, None], 2)[:, 0]
    return total


def _psnr(square: Tensor, mask: Tensor) -> Tensor:
    """PSNR in dB inside a mask, for pixels in -1..1 (peak 2)."""
    mse = (square.mean(-3) * mask).sum() / mask.sum().clamp_min(1)
    return 10 * torch.log10(4 / mse.clamp_min(1e-10))

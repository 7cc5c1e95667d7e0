"""From rendered shards to a latent store: codec, audio encoder and text encoder run once over every clip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from flowact.core.clock import FPS, FRAMES_PER_LATENT
from flowact.core.device import choose_precision
from flowact.core.errors import ConfigError
from flowact.core.motion import aim_hands, pack_motion
from flowact.models.anchor import small_colours
from flowact.models.audio.encoder import AudioEncoder
from flowact.models.text.encoder import TextEncoder
from flowact.models.video_vae.config import SPATIAL_FACTOR
from flowact.models.video_vae.model import VideoVAE
from flowact.studio.clipfile import Sample
from flowact.studio.performance import LANDMARKS
from flowact.train.data.latents import LatentStore

MOUTH_WEIGHT = 12.0
EYE_WEIGHT = 4.0
HAND_WEIGHT = 5.0
_HAND_REACH_PX = 32
STILLS = 1
"""Portraits of each clip. The first frame is what a stream begins with; each further one costs as much again."""


def encode_shards(
    samples: Iterable[Sample],
    codec: VideoVAE,
    hearing: AudioEncoder,
    text: TextEncoder,
    out: Path,
    clips: int | None = None,
) -> LatentStore:
    """Encode every clip of one split and save the store in `out`.

    Raises:
        ConfigError: there is no clip, or the clips differ in length.
    """
    device = next(codec.parameters()).device
    words: dict[str, int] = {}
    latents, rests, looks, colours, shown = [], [], [], [], []
    audio, weight, motion, captions = [], [], [], []
    meta: list[dict[str, object]] = []
    for number, sample in enumerate(track(samples, "encoding clips", total=clips)):
        pixels = torch.from_numpy(sample.frames).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        shown.append(torch.from_numpy(still_frames(number, len(pixels), STILLS)))
        stills = pixels[shown[-1]]
        coded, rest, look = encode_clip(codec, pixels, stills)
        latents.append(coded.half().cpu())
        rests.append(rest.half().cpu())
        looks.append(look.half().cpu())
        colours.append(small_colours(stills, look.shape[-1]).half().cpu())
        heard = hearing.encode_all(torch.from_numpy(sample.audio)[None].to(device))[0]
        audio.append(heard.unflatten(0, (-1, FRAMES_PER_LATENT)).half().cpu())
        weight.append(torch.from_numpy(cell_weights(sample.tracks, sample.frames.shape[1])).half())
        motion.append(
            motion_on_picture(sample.tracks, sample.frames.shape[1]).unflatten(0, (-1, FRAMES_PER_LATENT)).half()
        )
        captions.append(captions_by_latent(sample.meta["captions"], words, latents[-1].shape[1]))
        meta.append({k: sample.meta[k] for k in ("identity", "kind", "split", "segments", "voice") if k in sample.meta})
        meta[-1]["key"] = sample.key
    if not latents or len({x.shape[1] for x in latents}) != 1:
        raise ConfigError(
            f"A latent store needs clips of one length; got {len(latents)} clips of lengths "
            f"{sorted({x.shape[1] for x in latents})}. Render a data set with: flowact studio render"
        )
    store = LatentStore(
        torch.stack(latents),
        torch.stack(rests),
        torch.stack(looks),
        torch.stack(colours),
        torch.stack(shown),
        torch.stack(audio),
        torch.stack(weight),
        torch.stack(motion),
        read_captions(words, text),
        captions,
        meta,
    )
    store.save(out)
    return store


@torch.inference_mode()
def encode_clip(codec: VideoVAE, pixels: Tensor, stills: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A clip [F, 3, H, W], given each of R stills [R, 3, H, W].

    Returns:
        Its latents [R, F / 4, C, h, w]; the stills' latents at rest and their looks, [R, C, h, w] both.
    """
    precision = choose_precision(pixels.device)
    with torch.autocast(pixels.device.type, precision, enabled=precision != torch.float32):
        again = pixels[None].expand(len(stills), -1, -1, -1, -1)
        latents, _ = codec.encode(again, codec.initial_encode_state(stills))
        return latents.float(), codec.rest(stills).float(), codec.look(stills).float()


def still_frames(number: int, frames: int, stills: int) -> np.ndarray:
    """Which frames of clip `number` of a store are its stills: the first, and some random ones. [stills]."""
    pick = np.random.default_rng(number).choice(frames - 1, stills - 1, replace=False) + 1
    return np.concatenate(([0], pick))


def cell_weights(tracks: dict[str, Any], size: int) -> np.ndarray:
    """Importance of each latent cell, [T, h, w] float32 with mean 1: the mouth counts most, then hands, then eyes."""
    frames, grid = len(tracks["mouth_box"]), size // SPATIAL_FACTOR
    weight = np.ones((frames // FRAMES_PER_LATENT, grid, grid), np.float32)
    hands = [(box, HAND_WEIGHT) for box in _hand_boxes(tracks)]
    for boxes, value in (*hands, (_eye_boxes(tracks["face_box"]), EYE_WEIGHT), (tracks["mouth_box"], MOUTH_WEIGHT)):
        low = np.floor(boxes[:, :2] / SPATIAL_FACTOR).clip(0, grid).astype(int)
        high = np.ceil(boxes[:, 2:] / SPATIAL_FACTOR).clip(0, grid).astype(int)
        for f in range(frames):
            (x0, y0), (x1, y1) = low[f], high[f]
            weight[f // FRAMES_PER_LATENT, y0:y1, x0:x1] = value
    return weight / weight.mean((1, 2), keepdims=True)


def motion_on_picture(tracks: Mapping[str, Any], size: int) -> Tensor:
    """Motion [F, M] of a clip of `size` pixels, with hands where the pictures show them (docs/decisions/0013)."""
    points = [[f"{point}_{side}" for point in ("wrist", "knuckle")] for side in ("left", "right")]
    seen = tracks["landmarks"][:, [[LANDMARKS.index(name) for name in hand] for hand in points]]
    return aim_hands(torch.from_numpy(pack_motion(tracks)), torch.from_numpy(seen) / size)


def _hand_boxes(tracks: dict[str, Any]) -> list[np.ndarray]:
    """Around the left and the right wrist; an empty box where the hand is not in the picture."""
    boxes = []
    for side, name in enumerate(("left", "right")):
        wrist = tracks["landmarks"][:, LANDMARKS.index(f"wrist_{name}")]
        shown = (tracks["hand_visible"][:, side] > 0.5) & np.isfinite(wrist).all(1)
        box = np.concatenate([wrist - _HAND_REACH_PX, wrist + _HAND_REACH_PX], 1)
        boxes.append(np.where(shown[:, None], box, 0.0))
    return boxes


def _eye_boxes(face: np.ndarray) -> np.ndarray:
    """Where the eyes are in a box from brow to chin: its upper 40 %."""
    boxes = face.copy()
    boxes[:, 3] = face[:, 1] + 0.4 * (face[:, 3] - face[:, 1])
    return boxes


def read_captions(words: Mapping[str, int], text: TextEncoder) -> Tensor:
    """Tokens [K, L, D] float16 of the captions that `captions_by_latent` numbered."""
    known = list(words)
    return torch.cat([text.encode(known[i : i + 64]).half().cpu() for i in range(0, len(known), 64)])


def captions_by_latent(
    captions: list[dict[str, Any]], words: dict[str, int], latents: int
) -> list[tuple[int, int, int]]:
    """Captions by latent frame, (first, last, number); together they cover the clip, so that every chunk has one.

    `words` holds the number of each caption, and new ones are added.
    """
    rate = FPS / FRAMES_PER_LATENT
    found = []
    for caption in captions:
        number = words.setdefault(caption["text"], len(words))
        last = latents if caption["end_s"] * rate >= latents - 1 else round(caption["end_s"] * rate)
        found.append((round(caption["start_s"] * rate), last, number))
    return found

"""How well the codec shows people it never saw: PSNR, lips in the latents and after decoding, time, pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowact.core.clock import FRAMES_PER_CHUNK, FRAMES_PER_LATENT, LATENTS_PER_CHUNK
from flowact.core.device import choose_device, choose_precision
from flowact.evaluate.judge_data import Entry, choose, index_shards
from flowact.evaluate.judges import Judges
from flowact.evaluate.looking import Float, Frames
from flowact.evaluate.metrics.latent_reader import MouthSamples, read_latents
from flowact.evaluate.metrics.lips import score_lips
from flowact.evaluate.metrics.psnr import psnr, psnr_in_box
from flowact.evaluate.report import Line, write_report
from flowact.evaluate.sheet import write_sheet
from flowact.evaluate.subjects import take_evenly
from flowact.models.video_vae.model import VideoVAE
from flowact.stream.session import to_frames, to_pixels
from flowact.studio.dataset import find_shards
from flowact.train.data.encode import motion_on_picture

_SHEET_CLIPS, _COLUMNS = 6, 6
_READ_FRAMES = 20 * FRAMES_PER_LATENT
"""Of each clip that the reader of mouths learns from: more people tell more than longer clips."""


@dataclass(frozen=True)
class _Coded:
    """One clip through the codec: measures per frame, pictures for the sheet, seconds per chunk."""

    whole: Float
    mouth: Float
    copy: Float
    copy_mouth: Float
    seen: Float
    seen_true: Float
    opening: Float
    seconds: list[float]
    rows: list[tuple[str, list[Frames]]]


def evaluate_codec(
    codec: VideoVAE,
    data: Path,
    judges: Judges,
    out: Path,
    clips: int,
    split: str,
    note: Callable[[str], None],
    learners: int = 0,
) -> str:
    """Code held-out clips, chunk by chunk as a stream does; writes report.json, report.md and codec.png.

    With `learners` a reader of mouths learns from the latents of so many clips of the split "train" first, and is
    judged on those that are coded: the gate that a codec must pass before anything is trained on its latents.

    Raises:
        ConfigError: the data lacks a split.
    """
    chosen = choose(index_shards(find_shards(data, split)), clips)
    reading: list[Line] = []
    if learners:
        seen = choose(index_shards(find_shards(data, "train")), learners)
        note(f"latents of {len(seen)} clips for the reader of mouths")
        read = read_latents(_mouths(codec, seen, _READ_FRAMES), _mouths(codec, chosen))
        reading = [Line("mouth opening read off the latents: correlation with the truth", read, low=0.9)]
    coded = []
    for i, entry in enumerate(chosen):
        note(f"{i + 1}/{clips} {entry.key}")
        sample = entry.sample()
        coded.append(_measure(codec, judges, entry.key, sample.frames, sample.tracks))
    lines = [*_lines(coded), *reading]
    rows = [row for c in coded[:_SHEET_CLIPS] for row in c.rows]
    write_sheet(out / "codec.png", rows, [f"{i}" for i in range(_COLUMNS)], 192)
    details = {"psnr_by_clip": [float(c.whole.mean()) for c in coded]}
    return write_report(out, f"codec on {len(coded)} clips of split {split}", lines, details)


def code(codec: VideoVAE, frames: Frames, tracks: dict[str, Float]) -> tuple[Frames, list[float]]:
    """Encode a clip [F, H, W, 3] with its first frame as portrait, decode it by chunks; F is cut to whole chunks. A
    decoder that can be told what the body does is told the truth of the clip's `tracks`, and how its portrait stands.

    Returns:
        The decoded frames, and the seconds that decoding each chunk took.
    """
    device = choose_device()
    precision = choose_precision(device)
    latents = encode(codec, frames[: len(frames) // FRAMES_PER_CHUNK * FRAMES_PER_CHUNK])
    motion = motion_on_picture(tracks, frames.shape[1])[: FRAMES_PER_LATENT * latents.shape[1]]
    motion = motion.unflatten(0, (-1, FRAMES_PER_LATENT))[None].to(device)
    made: list[Frames] = []
    seconds: list[float] = []
    with torch.inference_mode(), torch.autocast(device.type, precision, enabled=precision != torch.float32):
        state = codec.initial_decode_state(to_pixels(frames[None, :1], device)[:, 0])
        state = state._replace(stance=motion[:, 0, 0, : state.stance.shape[1]])
        for chunk, told in zip(latents.split(LATENTS_PER_CHUNK, 1), motion.split(LATENTS_PER_CHUNK, 1)):
            begun = time.perf_counter()
            clip, state = codec.decode(chunk.float(), state, told)
            made.append(to_frames(clip[0]))
            seconds.append(time.perf_counter() - begun)
    return np.concatenate(made), seconds


def encode(codec: VideoVAE, frames: Frames) -> Tensor:
    """Latents [1, T, C, h, w] of a clip [F, H, W, 3] of whole latent frames."""
    device = choose_device()
    precision = choose_precision(device)
    codec.to(device).eval()
    pixels = to_pixels(frames[None], device)
    with torch.inference_mode(), torch.autocast(device.type, precision, enabled=precision != torch.float32):
        latents, _ = codec.encode(pixels, codec.initial_encode_state(pixels[:, 0]))
    return latents.float()


def _mouths(codec: VideoVAE, entries: Sequence[Entry], frames: int | None = None) -> MouthSamples:
    """Latents of clips, or of their first `frames`, and what their mouths do."""
    latents, boxes, opening = [], [], []
    for entry in entries:
        sample = entry.sample()
        count = min(len(sample.frames), frames or len(sample.frames)) // FRAMES_PER_LATENT * FRAMES_PER_LATENT
        latents.append(encode(codec, sample.frames[:count])[0].cpu())
        boxes.append(torch.from_numpy(sample.tracks["mouth_box"][:count]).unflatten(0, (-1, FRAMES_PER_LATENT)))
        opening.append(torch.from_numpy(sample.tracks["mouth_open"][:count]).unflatten(0, (-1, FRAMES_PER_LATENT)))
    return MouthSamples(torch.cat(latents), torch.cat(boxes), torch.cat(opening))


def _measure(codec: VideoVAE, judges: Judges, key: str, frames: Frames, tracks: dict[str, Float]) -> _Coded:
    made, seconds = code(codec, frames, tracks)
    true, boxes = frames[: len(made)], tracks["mouth_box"][: len(made)]
    still = np.broadcast_to(frames[0], true.shape)
    shown = take_evenly(len(made), _COLUMNS)
    return _Coded(
        whole=psnr(made, true),
        mouth=psnr_in_box(made, true, boxes),
        copy=psnr(still, true)[1:],
        copy_mouth=psnr_in_box(still, true, boxes)[1:],
        seen=judges.observe(made).mouth_open,
        seen_true=judges.observe(true).mouth_open,
        opening=tracks["mouth_open"][: len(made)],
        seconds=seconds,
        rows=[(f"{key}\ntrue", list(true[shown])), ("decoded", list(made[shown]))],
    )


def _lines(coded: Sequence[_Coded]) -> list[Line]:
    def mean(parts: Sequence[NDArray[np.float32]]) -> float:
        return float(np.nanmean(np.concatenate(list(parts))))

    opening = [c.opening for c in coded]
    lips, ceiling = score_lips([c.seen for c in coded], opening), score_lips([c.seen_true for c in coded], opening)
    return [
        Line("PSNR, dB, mean over frames", mean([c.whole for c in coded]), low=30),
        Line("PSNR in the mouth box, dB", mean([c.mouth for c in coded]), low=30),
        Line("PSNR of the still portrait, dB", mean([c.copy for c in coded])),
        Line("PSNR of the still portrait in the mouth box, dB", mean([c.copy_mouth for c in coded])),
        Line(
            "lips after decoding: correlation with the true opening",
            lips.correlation if lips else None,
            ceiling.correlation if ceiling else None,
            is_capped=True,
        ),
        Line("seconds to decode 12 frames, median", float(np.median([s for c in coded for s in c.seconds[1:]]))),
    ]

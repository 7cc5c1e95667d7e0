"""How well the codec shows people it never saw: PSNR whole and in the mouth, lips after decoding, time, pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from flowact.core.clock import FRAMES_PER_CHUNK, LATENTS_PER_CHUNK
from flowact.core.device import choose_device, choose_precision
from flowact.evaluate.judge_data import choose, index_shards
from flowact.evaluate.judges import Judges
from flowact.evaluate.looking import Float, Frames
from flowact.evaluate.metrics.lips import score_lips
from flowact.evaluate.metrics.psnr import psnr, psnr_in_box
from flowact.evaluate.report import Line, write_report
from flowact.evaluate.sheet import write_sheet
from flowact.evaluate.subjects import take_evenly
from flowact.models.video_vae.model import VideoVAE
from flowact.stream.session import to_frames, to_pixels
from flowact.studio.dataset import find_shards

_SHEET_CLIPS, _COLUMNS = 6, 6


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
    codec: VideoVAE, data: Path, judges: Judges, out: Path, clips: int, split: str, note: Callable[[str], None]
) -> str:
    """Code held-out clips, chunk by chunk as a stream does; writes report.json, report.md and codec.png.

    Raises:
        ConfigError: the data lacks the split.
    """
    coded = []
    for i, entry in enumerate(choose(index_shards(find_shards(data, split)), clips)):
        note(f"{i + 1}/{clips} {entry.key}")
        sample = entry.sample()
        coded.append(_measure(codec, judges, entry.key, sample.frames, sample.tracks))
    lines = _lines(coded)
    rows = [row for c in coded[:_SHEET_CLIPS] for row in c.rows]
    write_sheet(out / "codec.png", rows, [f"{i}" for i in range(_COLUMNS)], 192)
    details = {"psnr_by_clip": [float(c.whole.mean()) for c in coded]}
    return write_report(out, f"codec on {len(coded)} clips of split {split}", lines, details)


def code(codec: VideoVAE, frames: Frames) -> tuple[Frames, list[float]]:
    """Encode a clip [F, H, W, 3] with its first frame as portrait, decode it by chunks; F is cut to whole chunks.

    Returns:
        The decoded frames, and the seconds that decoding each chunk took.
    """
    device = choose_device()
    precision = choose_precision(device)
    codec = codec.to(device).eval()
    whole = len(frames) // FRAMES_PER_CHUNK * FRAMES_PER_CHUNK
    pixels = to_pixels(frames[None, :whole], device)
    made: list[Frames] = []
    seconds: list[float] = []
    with torch.inference_mode(), torch.autocast(device.type, precision, enabled=precision != torch.float32):
        latents, _ = codec.encode(pixels, codec.initial_encode_state(1, *pixels.shape[-2:]))
        state = codec.initial_decode_state(pixels[:, 0])
        for chunk in latents.split(LATENTS_PER_CHUNK, 1):
            begun = time.perf_counter()
            clip, state = codec.decode(chunk.float(), state)
            made.append(to_frames(clip[0]))
            seconds.append(time.perf_counter() - begun)
    return np.concatenate(made), seconds


def _measure(codec: VideoVAE, judges: Judges, key: str, frames: Frames, tracks: dict[str, Float]) -> _Coded:
    made, seconds = code(codec, frames)
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

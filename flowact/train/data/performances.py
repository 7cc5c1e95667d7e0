"""Performances without pictures, as a latent store: what the network for motion learns from.

A score costs a hundredth of its pictures, so there are many more of them than there are rendered people.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.core.motion import MOTION_WIDTH, pack_motion
from flowact.models.audio.encoder import AudioEncoder
from flowact.models.text.encoder import TextEncoder
from flowact.studio.score import make_performance
from flowact.train.data.encode import captions_by_latent, read_captions
from flowact.train.data.latents import LatentStore

_FIRST_SEED = 5_000_000
"""Apart from the scores of rendered clips."""


@dataclass(frozen=True)
class Heard:
    """A performance as the network for motion meets it.

    Attributes:
        motion: [F, M] float16.
        audio: [F, Da] float16 voice features.
        captions, meta: as in the shards.
    """

    motion: NDArray[np.float16]
    audio: NDArray[np.float16]
    captions: list[dict[str, Any]]
    meta: dict[str, Any]


def perform(
    clips: int, frames: int, split: str, hearing: AudioEncoder, text: TextEncoder, workers: int = 1
) -> LatentStore:
    """Compose `clips` performances of `frames` frames; `split` is "train", or "heldout" for a voice kept out of it.

    Raises:
        ConfigError: an argument is unknown, or the synthesiser is not installed.
    """
    numbers = range(_FIRST_SEED, _FIRST_SEED + clips)
    compose = partial(hear_performance, frames=frames, split=split, hearing=hearing)
    # Spawned: a forked child inherits the locks of PyTorch's threads.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        made = pool.map(compose, numbers, chunksize=8)
        return store_performances(list(track(made, f"composing {split}", total=clips)), text)


def hear_performance(seed: int, frames: int, split: str, hearing: AudioEncoder) -> Heard:
    """Compose the performance of `seed` and hear its voice."""
    score = make_performance(seed, frames, split)
    with torch.inference_mode():
        audio = hearing.encode_all(torch.from_numpy(score.audio)[None])[0]
    meta = {
        "split": split,
        "voice": score.voice,
        "segments": [asdict(s) for s in score.segments],
        "key": f"score{seed}",
    }
    return Heard(
        pack_motion(vars(score)).astype(np.float16),
        audio.half().numpy(),
        [asdict(caption) for caption in score.captions],
        meta,
    )


def store_performances(performances: Sequence[Heard], text: TextEncoder) -> LatentStore:
    """A store whose latents are the motion itself: one cell of 4 M channels. There is no portrait, so it is zero."""
    clips = len(performances)
    motion = torch.from_numpy(np.stack([p.motion for p in performances]))
    audio = torch.from_numpy(np.stack([p.audio for p in performances])).unflatten(1, (-1, FRAMES_PER_LATENT))
    latents = motion.unflatten(1, (-1, FRAMES_PER_LATENT)).flatten(2)[:, None, :, :, None, None]
    time, width = latents.shape[2], FRAMES_PER_LATENT * MOTION_WIDTH
    nothing = torch.zeros(clips, 1, width, 1, 1, dtype=torch.float16)
    words: dict[str, int] = {}
    captions = [captions_by_latent(p.captions, words, time) for p in performances]
    return LatentStore(
        latents=latents,
        rests=nothing,
        looks=nothing,
        colours=torch.zeros(clips, 1, 3, 2, 2, dtype=torch.float16),
        stills=torch.zeros(clips, 1, dtype=torch.long),
        audio=audio,
        weight=torch.ones(clips, time, 1, 1, dtype=torch.float16),
        motion=torch.zeros(clips, time, FRAMES_PER_LATENT, 0, dtype=torch.float16),
        text=read_captions(words, text),
        captions=captions,
        meta=[p.meta for p in performances],
    )

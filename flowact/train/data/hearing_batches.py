"""Endless batches of degraded speech for the audio encoder: rooms, noise, other talkers, bumps, quiet microphones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowact.core.clock import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from flowact.core.errors import ConfigError
from flowact.models.audio.config import MelConfig
from flowact.models.audio.mel import mel_filters
from flowact.studio.augment import degrade
from flowact.studio.performance import Float
from flowact.train.data.hearing import HearingCorpus
from flowact.train.stage import Batch, MakeBatches, Place


@dataclass(frozen=True)
class HearingAugment:
    """How the sound of a training clip is changed; shares are probabilities per clip.

    Attributes:
        rows: clips per batch.
        frames: video frames cut out of each clip.
        clean_share: left as synthesised.
        babble_share: another clip is heard 6 to 26 dB below.
        bump_share: a few short bursts (keys, claps, a knocked microphone).
        quieter_db: largest extra attenuation.
        warp: the mel axis is stretched by a factor between `1 / warp` and `warp`: other throats.
        tilt_db: the spectrum is tilted and bent by about so much: other voices and microphones.
    """

    rows: int = 16
    frames: int = 200
    clean_share: float = 0.15
    babble_share: float = 0.15
    bump_share: float = 0.15
    quieter_db: float = 20.0
    warp: float = 1.25
    tilt_db: float = 6.0


def hearing_batches(corpus: HearingCorpus, augment: HearingAugment, mel: MelConfig) -> MakeBatches:
    """Open the stream of batches: audio [B, S], visemes [B, F, 15], cues [B, F, 5] and mel filters [B, bins, bands].

    Raises:
        ConfigError: the corpus has fewer clips than a batch has rows, or shorter ones than asked for.
    """
    clips, frames = corpus.visemes.shape[:2]
    if clips < augment.rows or frames < augment.frames:
        raise ConfigError(
            f"the speech corpus has {clips} clips of {frames} frames; expected at least {augment.rows} of "
            f"{augment.frames}: make a larger one or lower HearingAugment.rows and .frames"
        )

    def open_stream(place: Place) -> Iterator[Batch]:
        step = place.step
        while True:
            yield _draw_batch(corpus, augment, mel, np.random.default_rng((place.seed, place.rank, step)))
            step += 1

    return open_stream


def _draw_batch(corpus: HearingCorpus, augment: HearingAugment, mel: MelConfig, rng: np.random.Generator) -> Batch:
    chosen = rng.choice(len(corpus.audio), augment.rows, replace=False)
    starts = rng.integers(0, corpus.visemes.shape[1] - augment.frames + 1, augment.rows)
    spans = [slice(start, start + augment.frames) for start in starts]
    voices = [_cut(corpus, clip, span) for clip, span in zip(chosen, spans)]
    heard = [_change(voice, voices[i - 1], augment, rng) for i, voice in enumerate(voices)]
    return {
        "audio": torch.from_numpy(np.stack(heard)),
        "visemes": torch.from_numpy(np.stack([corpus.visemes[c, s] for c, s in zip(chosen, spans)])).float() / 255,
        "cues": torch.from_numpy(np.stack([corpus.cues[c, s] for c, s in zip(chosen, spans)])).float(),
        "filters": torch.stack([_draw_filters(augment, mel, rng) for _ in voices]),
    }


def _draw_filters(augment: HearingAugment, mel: MelConfig, rng: np.random.Generator) -> Tensor:
    warp = float(np.exp(rng.uniform(-1, 1) * np.log(augment.warp)))
    place = np.linspace(0, np.pi, mel.bands)
    curve_db = sum(rng.normal() * augment.tilt_db / wave**0.5 * np.cos(wave * place) for wave in (1, 2, 3, 4))
    return mel_filters(mel, warp) * torch.from_numpy(10 ** (curve_db / 10)).float()


def _cut(corpus: HearingCorpus, clip: int, span: slice) -> Float:
    samples = corpus.audio[clip, span.start * SAMPLES_PER_FRAME : span.stop * SAMPLES_PER_FRAME]
    return np.asarray(samples / np.float32(32768), np.float32)


def _change(voice: Float, other: Float, augment: HearingAugment, rng: np.random.Generator) -> Float:
    if rng.random() < augment.clean_share:
        return voice
    if voice.any() and rng.random() < augment.babble_share:
        voice = voice + other[::-1] * np.float32(10 ** (-rng.uniform(6.0, 26.0) / 20))
    if rng.random() < augment.bump_share:
        voice = voice + _bumps(len(voice), rng)
    heard = degrade(voice, rng)
    return (heard * 10 ** (-rng.uniform(0.0, augment.quieter_db) / 20)).astype(np.float32)


def _bumps(length: int, rng: np.random.Generator) -> Float:
    """One to twelve bursts of noise that die away within 5 to 80 ms."""
    out = np.zeros(length, np.float32)
    for start in rng.integers(0, length, int(rng.integers(1, 13))):
        decay_samples = rng.uniform(0.005, 0.08) * SAMPLE_RATE_HZ
        span = min(length - start, int(4 * decay_samples))
        burst = rng.standard_normal(span) * np.exp(-np.arange(span) / decay_samples)
        out[start : start + span] += (burst * rng.uniform(0.02, 0.3)).astype(np.float32)
    return out

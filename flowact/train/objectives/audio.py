"""What the audio encoder learns: to tell lips, speech, loudness, jaw, stress and pitch from degraded sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from flowact.core.clock import SAMPLES_PER_FRAME
from flowact.models.audio.config import CUES
from flowact.models.audio.encoder import AudioEncoder, Heard
from flowact.studio.augment import degrade
from flowact.train.data.hearing import JAW_OF_VISEME, HearingCorpus
from flowact.train.stage import Batch, Values

_NEAR_WEIGHT = 0.3


@dataclass(frozen=True)
class HearingWeights:
    """Weight of each part of the loss; the visemes weigh 1."""

    speech: float = 0.5
    loudness: float = 0.5
    jaw: float = 1.0
    accent: float = 0.3
    pitch: float = 0.5


class HearingObjective:
    """Cross-entropy to the soft visemes and the cues; the first `lookahead_frames` outputs belong to no frame.

    With `known`, the encoder that others have learnt to understand, features are held near its own: they may become
    surer and must not move.
    """

    def __init__(
        self, encoder: AudioEncoder, weights: HearingWeights | None = None, known: AudioEncoder | None = None
    ) -> None:
        self.encoder, self.known = encoder, known
        self.weights = weights or HearingWeights()

    def __call__(self, batch: Batch, train_step: int) -> tuple[Tensor, Values]:
        """Batch of `hearing_batches` -> (loss, values to log)."""
        audio: Tensor = batch["audio"]
        heard, _ = self.encoder.listen(audio, self.encoder.initial_state(len(audio)), batch["filters"])
        late = self.encoder.lookahead_frames
        frames = audio.shape[1] // SAMPLES_PER_FRAME - late
        parts = self._parts(heard, late, batch["visemes"][:, :frames], batch["cues"][:, :frames])
        loss = parts["visemes"] + torch.stack([parts[cue] * getattr(self.weights, cue) for cue in CUES]).sum()
        if self.known is not None:
            with torch.no_grad():
                was, _ = self.known.listen(audio, self.known.initial_state(len(audio)), batch["filters"])
            parts["away"] = (heard.bottleneck - was.bottleneck).square().mean()
            loss = loss + _NEAR_WEIGHT * parts["away"]
        return loss, {name: part.detach() for name, part in parts.items()}

    def _parts(self, heard: Heard, late: int, visemes: Tensor, cues: Tensor) -> dict[str, Tensor]:
        logits, cue_logits = heard.viseme_logits[:, late:], heard.cue_logits[:, late:]
        wanted = visemes / visemes.sum(dim=-1, keepdim=True)
        parts = {"visemes": functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(0, 1))}
        for i, cue in enumerate(CUES[:-1]):
            parts[cue] = functional.binary_cross_entropy_with_logits(cue_logits[..., i], cues[..., i])
        voiced = ~cues[..., -1].isnan()
        error = (cue_logits[..., -1].tanh() - cues[..., -1].nan_to_num()).abs() * voiced
        parts[CUES[-1]] = error.sum() / voiced.sum().clamp(min=1)
        return parts


@torch.no_grad()
def measure_hearing(encoder: AudioEncoder, corpus: HearingCorpus, degraded: bool, seed: int = 0) -> dict[str, float]:
    """How well the encoder hears a corpus, as it is or through rooms, noise and cheap microphones.

    Returns:
        viseme_accuracy: share of frames whose strongest viseme is right; `_spoken` only counts frames of speech.
        viseme_correlation: mean of the correlation of a viseme's weight over time, over the visemes that occur.
        jaw_correlation, loudness_correlation, accent_correlation, pitch_correlation (voiced frames only).
        jaw_from_visemes_correlation: of the jaw read off the viseme posteriors.
        speech_accuracy: of the speech flag at 0.5.
    """
    rng = np.random.default_rng(seed)
    audio = corpus.audio.astype(np.float32) / 32768
    if degraded:
        audio = np.stack([degrade(clip, rng) for clip in audio])
    features = encoder.encode_all(torch.from_numpy(audio)).numpy()
    start = encoder.config.bottleneck
    guess, cues = features[..., start : start + encoder.config.visemes], features[..., -len(CUES) :]
    truth, true_cues = corpus.visemes.astype(np.float32) / 255, corpus.cues.astype(np.float32)
    spoken = true_cues[..., 0] > 0.5
    right = guess.argmax(-1) == truth.argmax(-1)
    found = {
        "viseme_accuracy": float(right.mean()),
        "viseme_accuracy_spoken": float(right[spoken].mean()),
        "viseme_correlation": float(
            np.mean([_correlation(guess[..., i], truth[..., i]) for i in range(truth.shape[-1]) if truth[..., i].any()])
        ),
        "jaw_from_visemes_correlation": _correlation(guess @ JAW_OF_VISEME, true_cues[..., CUES.index("jaw")]),
        "speech_accuracy": float(((cues[..., 0] > 0.5) == spoken).mean()),
    }
    for i, cue in enumerate(CUES[1:], start=1):
        known = ~np.isnan(true_cues[..., i])
        found[f"{cue}_correlation"] = _correlation(cues[..., i][known], true_cues[..., i][known])
    return found


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])

"""Speech with exact labels for the audio encoder: clean sound and, for each video frame, lips and cues. No pictures."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flowact.core.clock import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from flowact.core.errors import ConfigError
from flowact.models.audio.config import CUES
from flowact.studio.performance import VISEMES, Float, Phone
from flowact.studio.sentences import make_sentence
from flowact.studio.speech import HELDOUT_SPEAKER, SILENCE, TRAIN_SPEAKERS, Voice, draw_voice, loudness, speak
from flowact.studio.visemes import accents, viseme_track

_JAW = {"aa": 1.0, "O": 0.75, "E": 0.6, "I": 0.35, "U": 0.3, "RR": 0.3, "kk": 0.25, "SS": 0.1, "FF": 0.05}
_JAW |= dict.fromkeys(("DD", "nn", "TH", "CH"), 0.2)
JAW_OF_VISEME: Float = np.array([_JAW.get(name, 0.0) for name in VISEMES], np.float32)
"""How far each viseme opens the jaw, 0..1: lips closed for sil and PP."""


@dataclass(frozen=True)
class HearingCorpus:
    """Labelled clips of equal length.

    Attributes:
        audio: [N, F * 640] int16, clean voice.
        visemes: [N, F, 15] uint8, 255 = 1.
        cues: [N, F, len(CUES)] float16; pitch is NaN where there is none.
    """

    audio: NDArray[np.int16]
    visemes: NDArray[np.uint8]
    cues: NDArray[np.float16]

    @property
    def hours(self) -> float:
        """Length of all clips together."""
        return self.audio.size / SAMPLE_RATE_HZ / 3600

    def save(self, path: Path) -> None:
        """Write one uncompressed npz."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, audio=self.audio, visemes=self.visemes, cues=self.cues)

    @staticmethod
    def load(path: Path) -> HearingCorpus:
        """Read what `save` wrote.

        Raises:
            ConfigError: the file does not exist.
        """
        if not path.is_file():
            raise ConfigError(f"no speech corpus at {path}; make it with: python -m recipes.audio corpus {path.parent}")
        with np.load(path) as stored:
            return HearingCorpus(stored["audio"], stored["visemes"], stored["cues"])


@dataclass(frozen=True)
class CorpusConfig:
    """Which clips to make.

    Attributes:
        clips: how many.
        frames: video frames per clip.
        seed: first seed; clip i uses `seed + i`.
        heldout_voice: speak with the speaker that training never hears.
        heldout_sentences: speak sentences that training never hears.
        silent_share: share of clips without any speech.
    """

    clips: int
    frames: int = 250
    seed: int = 0
    heldout_voice: bool = False
    heldout_sentences: bool = False
    silent_share: float = 0.06


def make_corpus(config: CorpusConfig, processes: int = 1) -> HearingCorpus:
    """Synthesise and label all clips; the result depends on the settings alone, not on `processes`."""
    seeds = range(config.seed, config.seed + config.clips)
    if processes == 1:
        clips = [_make_clip(config, seed) for seed in seeds]
    else:
        with ProcessPoolExecutor(processes) as pool:
            clips = list(pool.map(_make_clip, [config] * config.clips, seeds, chunksize=8))
    audio, visemes, cues = zip(*clips)
    return HearingCorpus(np.stack(audio), np.stack(visemes), np.stack(cues))


def _make_clip(config: CorpusConfig, seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.float16]]:
    rng = np.random.default_rng((seed, config.heldout_voice, config.heldout_sentences))
    samples = np.zeros(config.frames * SAMPLES_PER_FRAME, np.float32)
    phones: list[Phone] = []
    if rng.random() >= config.silent_share:
        samples, phones = _fill(samples, _draw_voice(rng, config.heldout_voice), config, rng)
    level = loudness(samples)
    visemes = viseme_track(phones or [Phone(SILENCE, 0.0, config.frames / FPS)], level, config.frames)
    cues = _cues(samples, phones, visemes, level)
    return (
        (samples * 32767).astype(np.int16),
        (visemes * 255).round().astype(np.uint8),
        cues.astype(np.float16),
    )


def _draw_voice(rng: np.random.Generator, heldout: bool) -> Voice:
    """The studio's voices, with the speakers drawn evenly: an ear should not know one of them best."""
    speaker = HELDOUT_SPEAKER if heldout else str(rng.choice(TRAIN_SPEAKERS))
    while (voice := draw_voice(rng, heldout)).speaker != speaker:
        pass
    return voice


def _fill(samples: Float, voice: Voice, config: CorpusConfig, rng: np.random.Generator) -> tuple[Float, list[Phone]]:
    """Speak sentences with pauses between them until the clip is full; the last one may be cut off."""
    length_s = len(samples) / SAMPLE_RATE_HZ
    phones: list[Phone] = []
    now_s = 0.0
    while now_s < length_s:
        pause_s = float(rng.exponential(0.5)) if rng.random() < 0.85 else float(rng.uniform(1.0, 3.5))
        phones.append(Phone(SILENCE, now_s, min(now_s + pause_s, length_s)))
        start = round((now_s + pause_s) * SAMPLE_RATE_HZ)
        if start >= len(samples):
            break
        speech = speak(make_sentence(rng, config.heldout_sentences), voice)
        room = len(samples) - start
        samples[start : start + len(speech.samples)] = speech.samples[:room]
        now_s = start / SAMPLE_RATE_HZ
        phones += [Phone(p.label, now_s + p.start_s, min(now_s + p.end_s, length_s)) for p in speech.phones]
        now_s += speech.length_s
    return samples, [phone for phone in phones if phone.start_s < length_s and phone.end_s > phone.start_s]


def _cues(samples: Float, phones: list[Phone], visemes: Float, level: Float) -> Float:
    """Return [F, len(CUES)] in the order of CUES; pitch is NaN where the voice has none."""
    frames = len(visemes)
    time = (np.arange(frames) + 0.5) / FPS
    speech = np.zeros(frames)
    for phone in phones:
        # A hush shorter than 0.15 s belongs to the speech around it.
        if phone.label != SILENCE or phone.end_s - phone.start_s < 0.15:
            speech[(time >= phone.start_s) & (time < phone.end_s)] = 1.0
    loud_db = 20 * np.log10(np.maximum(level.reshape(frames, -1).mean(axis=1), 1e-4))
    accent = np.zeros(frames)
    for at_s, strength in accents(phones, level):
        accent = np.maximum(accent, strength * np.exp(-0.5 * ((time - at_s) / 0.07) ** 2))
    loud = np.clip(1.0 + loud_db / 40.0, 0.0, 1.0)
    tracks = {"speech": speech, "loudness": loud, "jaw": visemes @ JAW_OF_VISEME, "accent": accent}
    tracks["pitch"] = _pitch(samples, loud > 0.5)
    return np.stack([tracks[name] for name in CUES], axis=1).astype(np.float32)


def _pitch(samples: Float, loud: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Octaves above the clip's median pitch, clipped to -1..1, by autocorrelation; NaN where unvoiced."""
    window = np.hanning(1024)
    padded = np.pad(samples, 1024)
    centres = np.arange(len(loud)) * SAMPLES_PER_FRAME + SAMPLES_PER_FRAME // 2 + 512
    power = np.abs(np.fft.rfft(padded[centres[:, None] + np.arange(1024)] * window, 2048)) ** 2
    shape = np.fft.irfft(np.abs(np.fft.rfft(window, 2048)) ** 2)
    correlation = np.fft.irfft(power)[:, :260] / shape[:260]
    correlation /= np.maximum(correlation[:, :1], 1e-9)
    lags = np.arange(40, 260)
    best = correlation[:, 40:].argmax(axis=1)
    voiced = loud & (correlation[np.arange(len(loud)), lags[best]] > 0.5)
    octaves = np.log2(SAMPLE_RATE_HZ / lags[best])
    if not voiced.any():
        return np.full(len(loud), np.nan)
    return np.where(voiced, np.clip(octaves - np.median(octaves[voiced]), -1.0, 1.0), np.nan)

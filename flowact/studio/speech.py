"""Speech with exact phone times, from the small free synthesiser `flite` (an external program)."""

from __future__ import annotations

import io
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from flowact.core.clock import SAMPLE_RATE_HZ
from flowact.core.errors import ConfigError
from flowact.studio.performance import Float, Phone

TRAIN_SPEAKERS = ("slt", "rms", "kal16")
HELDOUT_SPEAKER = "awb"
SILENCE = "pau"

# flite's rms keeps its own pitch whatever it is asked: only `size` changes it.
_PITCH_HZ = {"slt": (150.0, 235.0), "rms": (101.0, 101.0), "kal16": (80.0, 140.0), "awb": (105.0, 175.0)}


@dataclass(frozen=True)
class Voice:
    """One way of speaking.

    Attributes:
        speaker: flite voice: slt, rms, kal16 or awb.
        pitch_hz: mean pitch asked of the synthesiser, before `size` is applied.
        stretch: length of every sound; 1 is the speaker's own tempo, more is slower.
        size: pitch and formants are multiplied by this: above 1 is a smaller speaker.
    """

    speaker: str
    pitch_hz: float
    stretch: float = 1.0
    size: float = 1.0

    @property
    def name(self) -> str:
        """Readable name, unique per setting."""
        return f"{self.speaker}-{self.pitch_hz:.0f}hz-x{self.size:.2f}-t{self.stretch:.2f}"


@dataclass(frozen=True)
class Speech:
    """What was spoken: `samples` [S] at 16 kHz in -1..1, and `phones` that cover them without gap."""

    samples: Float
    phones: tuple[Phone, ...]
    text: str

    @property
    def length_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ


def draw_voice(rng: np.random.Generator, heldout: bool = False) -> Voice:
    """Draw a voice: the held-out speaker is never drawn for training, and for testing it is the only one."""
    speaker = HELDOUT_SPEAKER if heldout else str(rng.choice(TRAIN_SPEAKERS, p=(0.5, 0.35, 0.15)))
    low, high = _PITCH_HZ[speaker]
    size = float(np.exp(rng.normal(0.0, 0.09)).clip(0.82, 1.25))
    return Voice(
        speaker, round(float(rng.uniform(low, high)), 1), round(float(rng.uniform(0.85, 1.3)), 3), round(size, 3)
    )


def speak(text: str, voice: Voice) -> Speech:
    """Synthesise `text`. The result's phones start at 0, touch each other and end with the last sample.

    Raises:
        ConfigError: flite is not installed, or it could not speak the text.
    """
    # Playing the sound faster by `size` raises pitch and formants; a slower synthesis beforehand keeps the tempo.
    samples, ends = _run_flite(text, voice.speaker, voice.pitch_hz, voice.stretch * voice.size)
    if voice.size != 1.0:
        samples = soxr.resample(samples, SAMPLE_RATE_HZ * voice.size, SAMPLE_RATE_HZ).astype(np.float32)
        ends = [(label, end / voice.size) for label, end in ends]
    length_s = len(samples) / SAMPLE_RATE_HZ
    if all(label == SILENCE for label, _ in ends):
        raise ConfigError(f"flite spoke nothing for {text!r} with voice {voice.name}; give text with words in it")
    phones: list[Phone] = []
    start = 0.0
    for label, end in ends:
        end = min(end, length_s)
        if end > start:
            phones.append(Phone(label, start, end))
            start = end
    if start < length_s:
        phones.append(Phone(SILENCE, start, length_s))
    return Speech(samples * np.float32(0.5 / np.abs(samples).max()), tuple(phones), text)


def _run_flite(text: str, speaker: str, pitch_hz: float, stretch: float) -> tuple[Float, list[tuple[str, float]]]:
    """Return samples at 16 kHz and (phone, end time) pairs."""
    with tempfile.TemporaryDirectory(prefix="flowact-") as folder:
        path = Path(folder) / "speech.wav"
        command = ["flite", "-voice", speaker, "-psdur"]
        command += ["--setf", f"duration_stretch={stretch:.4f}", "--setf", f"int_f0_target_mean={pitch_hz:.2f}"]
        try:
            done = subprocess.run([*command, "-t", text, "-o", str(path)], capture_output=True, timeout=60, check=True)
        except FileNotFoundError as error:
            raise ConfigError(
                "speech needs the program 'flite', which was not found on PATH; install it with: apt-get install flite"
            ) from error
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise ConfigError(
                f"flite could not speak {text!r} with voice {speaker}: {error}; try other text"
            ) from error
        return _read_wav(path.read_bytes()), _parse_phones(done.stdout.decode("utf-8", "replace"))


def _read_wav(data: bytes) -> Float:
    with wave.open(io.BytesIO(data)) as sound:
        rate_hz = sound.getframerate()
        samples = np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2").astype(np.float32) / 32768.0
    return samples if rate_hz == SAMPLE_RATE_HZ else soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ).astype(np.float32)


def _parse_phones(report: str) -> list[tuple[str, float]]:
    pairs = (item.rpartition(":") for item in report.split())
    return [(label, float(end)) for label, _, end in pairs if label]


def loudness(samples: Float, rate_hz: int = 100) -> Float:
    """Root-mean-square level of `samples` [S] over 40 ms, `rate_hz` values a second; 1 is the clip's loud vowels."""
    hop = SAMPLE_RATE_HZ // rate_hz
    power = np.convolve(samples**2, np.ones(4 * hop, np.float32) / (4 * hop), mode="same")[hop // 2 :: hop]
    level = np.sqrt(np.maximum(power, 0.0))
    reference = np.quantile(level, 0.95) if level.size else 0.0
    return (level / max(float(reference), 1e-4)).astype(np.float32)

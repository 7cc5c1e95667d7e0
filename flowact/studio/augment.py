"""A voice as a cheap microphone in a room hears it, so that a real speaker moves the mouth as well.

Nothing here moves sound in time: the direct path always arrives first and at full strength, so phone times hold.
"""

from __future__ import annotations

import numpy as np
from scipy import signal

from flowact.core.clock import SAMPLE_RATE_HZ
from flowact.studio.performance import Float


def degrade(samples: Float, rng: np.random.Generator) -> Float:
    """Return `samples` [S] (16 kHz) with a random room, band, noise, level, light clipping and drop-outs."""
    voice = samples.astype(np.float32)
    if rng.random() < 0.6:
        voice = _add_room(voice, rng)
    if rng.random() < 0.5:
        voice = _limit_band(voice, rng)
    peak = float(np.abs(voice).max())
    # Without speech there is no level to relate the noise to: assume the speech that could have been there.
    speech_rms = float(np.sqrt(np.mean(voice**2))) if peak > 1e-3 else 0.07
    if rng.random() < 0.8:
        voice = voice + _noise(len(voice), rng) * speech_rms * 10 ** (-rng.uniform(5.0, 40.0) / 20)
    if rng.random() < 0.15:
        voice = voice + _hum(len(voice), rng) * speech_rms * 10 ** (-rng.uniform(15.0, 35.0) / 20)
    if rng.random() < 0.15:
        voice = _drop_out(voice, rng)
    voice = voice * 10 ** (rng.uniform(-22.0, 4.0) / 20)
    if rng.random() < 0.15:
        limit = max(1e-3, float(np.abs(voice).max()) * rng.uniform(0.5, 0.9))
        voice = np.clip(voice, -limit, limit)
    return np.clip(voice, -1.0, 1.0).astype(np.float32)


def _add_room(voice: Float, rng: np.random.Generator) -> Float:
    """Convolve with a direct path followed by exponentially decaying noise (60 dB within 0.12 to 0.7 s)."""
    decay_s = rng.uniform(0.12, 0.7)
    length = int(decay_s * SAMPLE_RATE_HZ)
    time = np.arange(length) / SAMPLE_RATE_HZ
    tail = rng.standard_normal(length) * np.exp(-6.9 * time / decay_s)
    tail[: int(rng.uniform(0.001, 0.008) * SAMPLE_RATE_HZ)] = 0.0
    tail = signal.lfilter([1.0], [1.0, -rng.uniform(0.0, 0.6)], tail)
    tail *= 10 ** (-rng.uniform(2.0, 16.0) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return signal.fftconvolve(voice, tail)[: len(voice)].astype(np.float32)


def _limit_band(voice: Float, rng: np.random.Generator) -> Float:
    """Low and high cut of a telephone, laptop or headset; first order keeps the delay below a millisecond."""
    band = (rng.uniform(50.0, 350.0), rng.uniform(2800.0, 7600.0))
    return signal.sosfilt(signal.butter(1, band, "bandpass", fs=SAMPLE_RATE_HZ, output="sos"), voice).astype(np.float32)


def _noise(length: int, rng: np.random.Generator) -> Float:
    """Unit-power noise whose power falls as 1/f**slope (white to brown), its level wandering slowly."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ), 30.0)
    noise = np.fft.irfft(spectrum * frequency ** (-rng.uniform(0.0, 2.0) / 2), length)
    knots = max(2, length // SAMPLE_RATE_HZ + 2)
    level = np.interp(np.linspace(0, knots - 1, length), np.arange(knots), rng.uniform(0.4, 1.0, knots))
    noise *= level
    return (noise / np.sqrt(np.mean(noise**2) + 1e-12)).astype(np.float32)


def _hum(length: int, rng: np.random.Generator) -> Float:
    time = np.arange(length) / SAMPLE_RATE_HZ
    base = rng.choice((50.0, 60.0, rng.uniform(80.0, 400.0)))
    waves = [rng.uniform(0.2, 1.0) * np.sin(2 * np.pi * (base * k * time + rng.random())) for k in range(1, 5)]
    hum = np.sum(waves, axis=0)
    return (hum / np.sqrt(np.mean(hum**2))).astype(np.float32)


def _drop_out(voice: Float, rng: np.random.Generator) -> Float:
    """One lost packet of 10 to 40 ms, short enough that the mouth rightly goes on."""
    length = int(rng.uniform(0.01, 0.04) * SAMPLE_RATE_HZ)
    at = int(rng.integers(0, max(1, len(voice) - length)))
    out = voice.copy()
    out[at : at + length] = 0.0
    return out

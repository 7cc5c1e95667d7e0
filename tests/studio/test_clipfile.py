from __future__ import annotations

import io

import numpy as np
import pytest

from flowact.core.errors import ConfigError
from flowact.studio.clipfile import decode_labels, decode_sound, decode_video, encode_sound, encode_video, read_clip


def test_video_keeps_length_and_sharp_colour():
    y, x = np.mgrid[:64, :64]
    frames = np.stack([np.stack([x * 3, y * 3, (x + y + 3 * t) % 120 + 60], -1) for t in range(13)]).astype(np.uint8)
    frames[:, 20:30, 20:44] = (180, 40, 60)
    back = decode_video(encode_video(frames))
    assert back.shape == frames.shape
    error = back.astype(float) - frames
    assert 10 * np.log10(255**2 / (error**2).mean()) > 36
    assert abs(error.mean()) < 0.6


@pytest.mark.parametrize("samples", [640, 12_345])
def test_sound_comes_back_to_the_sample(samples):
    audio = np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32)
    back = decode_sound(encode_sound(audio))
    assert back.shape == audio.shape
    assert np.abs(back - audio).max() < 1e-4


def test_labels_of_an_older_studio_are_refused():
    buffer = io.BytesIO()
    np.savez(buffer, landmarks=np.zeros((5, 22, 2), np.float32))
    with pytest.raises(ConfigError, match="22 landmarks, expected 24: render"):
        decode_labels(buffer.getvalue())


def test_an_incomplete_clip_is_refused():
    with pytest.raises(ConfigError, match="id00001-take00 lacks flac, npz, json"):
        read_clip("id00001-take00", {"mp4": b""})

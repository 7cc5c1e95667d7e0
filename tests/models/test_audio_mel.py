from __future__ import annotations

import pytest
import torch

from flowact.core.errors import ShapeError
from flowact.models.audio.config import MelConfig
from flowact.models.audio.mel import LogMel, mel_filters


@pytest.fixture(scope="module")
def mel() -> LogMel:
    return LogMel(MelConfig())


def voice(seconds: float) -> torch.Tensor:
    """A hummed tone that comes and goes over faint noise."""
    time = torch.arange(int(seconds * 16_000)) / 16_000
    tone = sum(torch.sin(2 * torch.pi * 150 * k * time) / k for k in range(1, 12))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(time), generator=generator) * 0.002
    return ((tone * (torch.sin(4 * time).clamp(min=0)) * 0.1) + noise)[None]


def test_one_frame_per_hop_and_silence_is_zero(mel: LogMel) -> None:
    frames, _ = mel(torch.zeros(2, 1600), mel.initial_state(2))
    assert frames.shape == (2, 10, 65)
    assert (frames[..., :-1] == 0).all()


def test_loud_and_quiet_microphones_sound_the_same(mel: LogMel) -> None:
    samples = voice(4.0)
    loud, _ = mel(samples, mel.initial_state(1))
    quiet, _ = mel(samples * 0.05, mel.initial_state(1))
    settled = slice(100, None)
    assert (loud[:, settled] - quiet[:, settled]).abs().mean() < 0.02
    assert loud[..., :-1].max() > 1.5


def test_steady_noise_stays_below_speech(mel: LogMel) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 64_000, generator=generator) * 0.05
    frames, _ = mel(noise, mel.initial_state(1))
    speech, _ = mel(voice(4.0), mel.initial_state(1))
    assert frames[:, 200:, :-1].amax(-1).mean() < speech[..., :-1].amax() - 0.5


def test_speech_is_loud_again_soon_after_a_bang(mel: LogMel) -> None:
    samples = voice(9.0)
    banged = samples.clone()
    banged[:, 16_000:16_400] = 0.9
    plain, _ = mel(samples, mel.initial_state(1))
    after, _ = mel(banged, mel.initial_state(1))
    assert (plain[:, 101:104] - after[:, 101:104]).abs().mean() > 0.1
    assert (plain[:, 600:] - after[:, 600:]).abs().max() < 0.01


def test_hours_of_sound_do_not_drift(mel: LogMel) -> None:
    samples = voice(1.0)
    state = mel.initial_state(1)
    for _ in range(50):
        frames, state = mel(samples, state)
    later, _ = mel(samples, state)
    torch.testing.assert_close(frames, later, rtol=0, atol=1e-4)


def test_partial_hops_are_refused(mel: LogMel) -> None:
    with pytest.raises(ShapeError, match="multiple of 160"):
        mel(torch.zeros(1, 161), mel.initial_state(1))


def test_filters_cover_every_band_and_warp_moves_them() -> None:
    plain, warped = mel_filters(MelConfig()), mel_filters(MelConfig(), warp=1.15)
    assert (plain.sum(0) > 0).all()
    assert warped[:, 30].argmax() > plain[:, 30].argmax()

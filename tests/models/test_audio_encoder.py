from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch

from flowact.core.errors import ConfigError, ShapeError
from flowact.models.audio.config import CUES, AudioConfig, MelConfig
from flowact.models.audio.encoder import AudioEncoder


@pytest.fixture(scope="module")
def encoder() -> AudioEncoder:
    torch.manual_seed(0)
    return AudioEncoder().eval()


def speechlike(rows: int, samples: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    swell = torch.sin(torch.arange(samples) / 4000).abs()
    return torch.randn(rows, samples, generator=generator) * swell * 0.2


def push(encoder: AudioEncoder, samples: torch.Tensor, cuts: list[int]) -> torch.Tensor:
    state, parts, at = encoder.initial_state(len(samples)), [], 0
    for cut in [*cuts, samples.shape[1]]:
        features, state = encoder.encode(samples[:, at : at + cut], state)
        parts.append(features)
        at += cut
    return torch.cat([*parts, encoder.flush(state)[0]], dim=1)


@pytest.mark.parametrize("cuts", [[1, 639, 640, 0, 641, 7], [160] * 150, [5000, 3, 12_000], [0]])
def test_streaming_equals_offline_for_any_cut(encoder: AudioEncoder, cuts: list[int]) -> None:
    samples = speechlike(2, 40_123)
    whole = encoder.encode_all(samples)
    assert whole.shape == (2, 63, encoder.width)
    torch.testing.assert_close(push(encoder, samples, cuts), whole, rtol=0, atol=2e-5)


def test_training_view_equals_streaming(encoder: AudioEncoder) -> None:
    samples = speechlike(1, 640 * 40)
    heard, _ = encoder.listen(samples, encoder.initial_state(1))
    late = encoder.lookahead_frames
    whole = encoder.encode_all(samples)[:, : 40 - late]
    torch.testing.assert_close(heard.features()[:, late:], whole, rtol=0, atol=2e-5)


def test_rows_do_not_know_each_other(encoder: AudioEncoder) -> None:
    samples = speechlike(3, 20_000)
    alone = encoder.encode_all(samples[1:2])
    torch.testing.assert_close(encoder.encode_all(samples)[1:2], alone, rtol=0, atol=2e-5)


def test_feature_comes_with_its_lookahead_and_not_before(encoder: AudioEncoder) -> None:
    late = encoder.lookahead_frames
    state = encoder.initial_state(1)
    samples = speechlike(1, 640 * (late + 1))
    none, state = encoder.encode(samples[:, :-1], state)
    one, state = encoder.encode(samples[:, -1:], state)
    assert (none.shape[1], one.shape[1]) == (0, 1)
    assert encoder.flush(state)[0].shape[1] == late


def test_feature_hears_its_lookahead_and_nothing_later(encoder: AudioEncoder) -> None:
    samples = speechlike(1, 640 * 40)
    frame, late = 20, encoder.lookahead_frames
    changed = samples.clone()
    changed[:, 640 * (frame + late + 1) :] += 0.3
    before, after = encoder.encode_all(samples), encoder.encode_all(changed)
    torch.testing.assert_close(before[:, : frame + 1], after[:, : frame + 1], rtol=0, atol=2e-5)
    assert (before[:, frame + 1] - after[:, frame + 1]).abs().max() > 1e-3


def test_old_state_can_be_used_again(encoder: AudioEncoder) -> None:
    samples = speechlike(1, 12_000)
    _, state = encoder.encode(samples[:, :5000], encoder.initial_state(1))
    first, _ = encoder.encode(samples[:, 5000:], state)
    again, _ = encoder.encode(samples[:, 5000:], state)
    torch.testing.assert_close(first, again, rtol=0, atol=0)


def test_feature_layout(encoder: AudioEncoder) -> None:
    config = encoder.config
    features = encoder.encode_all(speechlike(1, 16_000))
    assert features.shape[-1] == config.bottleneck + config.visemes + len(CUES) == 96
    visemes = features[..., config.bottleneck : config.bottleneck + config.visemes]
    torch.testing.assert_close(visemes.sum(-1), torch.ones(visemes.shape[:-1]))
    assert (features[..., -5:-1] >= 0).all()
    assert (features[..., -5:-1] <= 1).all()
    assert sum(p.numel() for p in encoder.parameters()) <= 1_000_000


def test_empty_recording_gives_no_features(encoder: AudioEncoder) -> None:
    assert encoder.encode_all(torch.zeros(1, 0)).shape == (1, 0, 96)


@pytest.mark.parametrize("samples", [torch.zeros(100), torch.zeros(3, 100), torch.zeros(2, 100, dtype=torch.int16)])
def test_wrong_samples_are_refused(encoder: AudioEncoder, samples: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match="expected floats"):
        encoder.encode(samples, encoder.initial_state(2))


def test_config_survives_json_and_refuses_what_cannot_be_live() -> None:
    stored = json.loads(json.dumps(asdict(AudioConfig(width=96))))
    assert AudioConfig(**{**stored, "mel": MelConfig(**stored["mel"])}) == AudioConfig(width=96)
    with pytest.raises(ConfigError, match="200 ms"):
        AudioConfig(lookahead_frames=6)
    with pytest.raises(ConfigError, match="divide"):
        MelConfig(hop_samples=150)

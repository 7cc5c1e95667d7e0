from __future__ import annotations

import builtins
from typing import Any

import pytest
import torch

from flowact.core.errors import ConfigError
from flowact.models.audio.whisper import WhisperConfig, WhisperHearing, load_whisper


@pytest.fixture(scope="module")
def hearing() -> WhisperHearing:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    settings = transformers.WhisperConfig(
        d_model=32, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=64, decoder_layers=1, num_mel_bins=80
    )
    encoder = transformers.models.whisper.modeling_whisper.WhisperEncoder(settings)
    return WhisperHearing(WhisperConfig(window_s=1), encoder, transformers.WhisperFeatureExtractor(chunk_length=1))


def test_streaming_equals_offline_and_flush_pays_all_frames(hearing: WhisperHearing) -> None:
    samples = torch.randn(2, 640 * 13 + 100, generator=torch.Generator().manual_seed(0)) * 0.1
    whole = hearing.encode_all(samples)
    assert whole.shape == (2, 14, hearing.width)
    state, parts = hearing.initial_state(2), []
    for piece in samples.split(1111, dim=1):
        features, state = hearing.encode(piece, state)
        parts.append(features)
    parts.append(hearing.flush(state)[0])
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-5)


def test_block_comes_with_its_lookahead(hearing: WhisperHearing) -> None:
    needed = (hearing.block_frames + hearing.lookahead_frames) * 640
    early, state = hearing.encode(torch.zeros(1, needed - 1), hearing.initial_state(1))
    ready, _ = hearing.encode(torch.zeros(1, 1), state)
    assert (early.shape[1], ready.shape[1]) == (0, hearing.block_frames)


def test_missing_package_and_missing_model_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "transformers":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "__import__", without)
        with pytest.raises(ConfigError, match=r"flowact\[hub\]"):
            load_whisper(WhisperConfig())
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="download"):
        load_whisper(WhisperConfig(name="/nowhere/whisper"))


def test_window_must_hold_the_block() -> None:
    with pytest.raises(ConfigError, match="window_s"):
        WhisperConfig(window_s=1, block_frames=24)

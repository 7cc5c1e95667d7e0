"""A Whisper encoder as hearing (FlowAct-R1's own choice), from the hub or from a folder (extra `hub`).

Whisper reads a window, not a stream: every block of video frames is read from the window of sound that ends one
look-ahead after the block, so a feature never depends on how the samples were pushed. 50 features a second are
averaged in pairs to 25.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from flowact.core.clock import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from flowact.core.errors import ConfigError
from flowact.models.audio.hearing import check_samples


@dataclass(frozen=True)
class WhisperConfig:
    """Which Whisper and how it is cut into a stream.

    Attributes:
        name: hub name or folder.
        window_s: seconds of sound read for each block, whole and at most 30.
        block_frames: video frames per block; fewer cost more passes.
        lookahead_frames: video frames heard after a block.
        download: ask the hub when the model is not on this machine.
    """

    name: str = "openai/whisper-tiny"
    window_s: int = 8
    block_frames: int = 4
    lookahead_frames: int = 5
    download: bool = False

    def __post_init__(self) -> None:
        frames = self.window_s * FPS
        if not 1 <= self.window_s <= 30 or not 1 <= self.block_frames <= frames - self.lookahead_frames:
            raise ConfigError(
                f"Whisper window of {self.window_s} s with blocks of {self.block_frames} and {self.lookahead_frames} "
                "frames of look-ahead does not fit; window_s must be 1..30 and hold a block and its look-ahead"
            )


@dataclass(frozen=True)
class WhisperState:
    """The samples of the current window [B, S] that are still needed; silence stands before the beginning."""

    samples: Tensor


class WhisperHearing(nn.Module):
    """A frozen Whisper encoder behind the `Hearing` interface.

    Args:
        config: how to cut the stream.
        encoder: `WhisperModel.encoder`; it is cut to the window's positions in place.
        extractor: list of [S] arrays of one window each -> object with `input_features` [B, mels, 100 per second].
    """

    def __init__(self, config: WhisperConfig, encoder: Any, extractor: Callable[..., Any]) -> None:
        super().__init__()
        self.config = config
        positions = 2 * config.window_s * FPS
        table = encoder.embed_positions.weight.detach()
        if len(table) < positions:
            raise ConfigError(
                f"this Whisper encoder reads {len(table) // (2 * FPS)} s, but window_s is {config.window_s}; lower it"
            )
        encoder.embed_positions = nn.Embedding.from_pretrained(table[:positions].clone())
        encoder.config.max_source_positions = positions
        self.encoder = encoder.requires_grad_(False).eval()
        self.extractor = extractor

    @property
    def width(self) -> int:
        """Number of values per feature vector."""
        return int(self.encoder.config.d_model)

    @property
    def lookahead_frames(self) -> int:
        """Video frames heard after each block."""
        return self.config.lookahead_frames

    @property
    def block_frames(self) -> int:
        """Video frames that are always given together."""
        return self.config.block_frames

    def initial_state(self, rows: int) -> WhisperState:
        """State of `rows` streams that have heard nothing."""
        past = self._window - (self.block_frames + self.lookahead_frames) * SAMPLES_PER_FRAME
        return WhisperState(self.encoder.embed_positions.weight.new_zeros(rows, past))

    @torch.no_grad()
    def encode(self, samples: Tensor, state: WhisperState) -> tuple[Tensor, WhisperState]:
        """Push samples [B, S >= 0]; return the blocks that are complete [B, F, D] and the next state."""
        check_samples(samples, rows=state.samples.shape[0])
        waiting = torch.cat([state.samples, samples.to(state.samples)], dim=1)
        block = self.block_frames * SAMPLES_PER_FRAME
        parts = [waiting.new_zeros(len(waiting), 0, self.width)]
        while waiting.shape[1] >= self._window:
            parts.append(self._read(waiting[:, : self._window]))
            waiting = waiting[:, block:]
        return torch.cat(parts, dim=1), WhisperState(waiting.clone())

    def flush(self, state: WhisperState) -> tuple[Tensor, WhisperState]:
        """End the stream: complete it with silence and return the frames still owed and a fresh state."""
        rows, held = state.samples.shape
        past = self._window - (self.block_frames + self.lookahead_frames) * SAMPLES_PER_FRAME
        owed = -(-(held - past) // SAMPLES_PER_FRAME)
        blocks = -(-owed // self.block_frames)
        missing = max(0, past + (blocks * self.block_frames + self.lookahead_frames) * SAMPLES_PER_FRAME - held)
        features, _ = self.encode(state.samples.new_zeros(rows, missing), state)
        return features[:, :owed], self.initial_state(rows)

    def encode_all(self, samples: Tensor) -> Tensor:
        """Whole recordings [B, S] at once -> [B, ceil(S / 640), D]; the end is padded with silence."""
        check_samples(samples)
        features, state = self.encode(samples, self.initial_state(len(samples)))
        return torch.cat([features, self.flush(state)[0]], dim=1)

    @property
    def _window(self) -> int:
        return self.config.window_s * SAMPLE_RATE_HZ

    def _read(self, window: Tensor) -> Tensor:
        """One window [B, S] -> features of its block [B, block_frames, D]."""
        sound = list(window.cpu().numpy())
        mel = self.extractor(sound, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_features
        hidden = self.encoder(mel.to(window)).last_hidden_state
        pairs = hidden.unflatten(1, (-1, 2)).mean(dim=2)
        end = pairs.shape[1] - self.lookahead_frames
        return pairs[:, end - self.block_frames : end]


def load_whisper(config: WhisperConfig) -> WhisperHearing:
    """Open a Whisper encoder and its feature extractor.

    Raises:
        ConfigError: `transformers` is not installed, or the model is neither on this machine nor could be fetched.
    """
    try:
        from transformers import WhisperFeatureExtractor, WhisperModel
    except ImportError as error:
        raise ConfigError(
            "Whisper needs the package 'transformers'; install it with: pip install 'flowact[hub]'"
        ) from error
    offline = not config.download
    try:
        encoder = WhisperModel.from_pretrained(config.name, local_files_only=offline).encoder
        extractor = WhisperFeatureExtractor.from_pretrained(
            config.name, local_files_only=offline, chunk_length=config.window_s
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"Whisper model {config.name!r} could not be opened (download={config.download}): {error}; give a folder "
            "that holds it, or set download=True on a machine with network"
        ) from error
    return WhisperHearing(config, encoder, extractor)

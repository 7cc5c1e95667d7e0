"""Streaming log-mel that sounds the same from a loud and a quiet microphone.

Mel frame m ends with sample `(m + 1) * hop`; nothing later is heard. The level that is subtracted is the largest of
a peak follower (instant attack, slow release), a background follower plus a contrast, and an absolute quiet limit,
so speech is brought to full scale while steady noise stays low.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flowact.core.clock import SAMPLE_RATE_HZ
from flowact.core.errors import ShapeError
from flowact.models.audio.config import MelConfig

_SILENT_DB = -125.0
_LOUDEST_DB = 20.0


@dataclass(frozen=True)
class MelState:
    """What the front end remembers: the last samples [B, window - hop], peak [B, 1] and background [B, 1] in dB."""

    tail: Tensor
    peak_db: Tensor
    floor_db: Tensor


def mel_filters(config: MelConfig, warp: float = 1.0) -> Tensor:
    """Triangular filters [fft_size / 2 + 1, bands]; `warp` stretches the frequency axis as a longer throat would."""

    def to_mel(hz: float) -> float:
        return 2595.0 * math.log10(1.0 + hz / 700.0)

    mels = torch.linspace(to_mel(config.low_hz), to_mel(config.high_hz), config.bands + 2, dtype=torch.float64)
    edges_hz = (700.0 * (10.0 ** (mels / 2595.0) - 1.0)) * warp
    bins_hz = torch.linspace(0, SAMPLE_RATE_HZ / 2, config.fft_size // 2 + 1, dtype=torch.float64)[:, None]
    rising = (bins_hz - edges_hz[:-2]) / (edges_hz[1:-1] - edges_hz[:-2])
    falling = (edges_hz[2:] - bins_hz) / (edges_hz[2:] - edges_hz[1:-1])
    weights = torch.minimum(rising, falling).clamp(min=0.0)
    # Low bands are narrower than one bin: without this they could be empty.
    nearest = (bins_hz - edges_hz[1:-1]).abs().argmin(dim=0)
    weights[nearest, torch.arange(config.bands)] = weights[nearest, torch.arange(config.bands)].clamp(min=0.5)
    return weights.float()


class LogMel(nn.Module):
    """Samples to levelled log-mel frames [B, M, bands + 1]; silence is exactly 0, the loudest speech about 2.

    The extra last column is how far the level stands above the background (1 = `range_db`).
    """

    window: Tensor
    filters: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        window = torch.hann_window(config.window_samples)
        self.register_buffer("window", window / (window.sum() / 2), persistent=False)
        self.register_buffer("filters", mel_filters(config), persistent=False)

    def initial_state(self, rows: int) -> MelState:
        """State before the first sample: silence was heard, nothing is known of the background."""
        like = self.window
        return MelState(
            tail=like.new_zeros(rows, self.config.window_samples - self.config.hop_samples),
            peak_db=like.new_full((rows, 1), self.config.quietest_db),
            floor_db=like.new_full((rows, 1), _LOUDEST_DB),
        )

    def forward(self, samples: Tensor, state: MelState, filters: Tensor | None = None) -> tuple[Tensor, MelState]:
        """Samples [B, M * hop] -> (frames [B, M, bands + 1], next state).

        Args:
            samples: 16 kHz in -1..1, a whole number of hops.
            state: from `initial_state` or the last call.
            filters: filterbank to use instead of the own one (training with other voices).

        Raises:
            ShapeError: the samples are not a whole number of hops.
        """
        config = self.config
        if samples.shape[1] % config.hop_samples:
            raise ShapeError(f"log-mel got {samples.shape[1]} samples; expected a multiple of {config.hop_samples}")
        heard = torch.cat([state.tail, samples], dim=1)
        tail = heard[:, heard.shape[1] - state.tail.shape[1] :].clone()
        if samples.shape[1] == 0:
            return samples.new_zeros(samples.shape[0], 0, config.bands + 1), state
        windows = heard.unfold(1, config.window_samples, config.hop_samples) * self.window
        # Sound spans ten orders of magnitude, so half precision would drown the quiet bands.
        with torch.autocast(samples.device.type, enabled=False):
            power = torch.fft.rfft(windows, n=config.fft_size).abs().square()
            bands = power @ (self.filters if filters is None else filters)
        bands_db = 10.0 * torch.log10(bands + 10.0 ** (_SILENT_DB / 10.0))
        total_db = 10.0 * torch.log10(bands.sum(dim=2) + 10.0 ** (_SILENT_DB / 10.0))
        peak_db, floor_db = self._follow(total_db, state)
        level_db = torch.maximum(peak_db, floor_db + config.contrast_db).clamp(min=config.quietest_db)
        relative = (bands_db - level_db[:, :, None]) / config.range_db + 1.0
        headroom = (level_db - floor_db)[:, :, None] / config.range_db
        frames = torch.cat([relative.clamp(min=0.0) * 2.0, headroom], dim=2)
        return frames, MelState(tail, peak_db[:, -1:], floor_db[:, -1:])

    def _follow(self, total_db: Tensor, state: MelState) -> tuple[Tensor, Tensor]:
        """Peak and background [B, M]: a follower with a constant slope is a running maximum on a slanted axis."""
        config = self.config
        hops = torch.arange(total_db.shape[1] + 1, device=total_db.device, dtype=total_db.dtype)
        seconds = hops * (config.hop_samples / SAMPLE_RATE_HZ)
        fall, rise = seconds * config.release_db_per_s, seconds * config.floor_rise_db_per_s
        peak = torch.cummax(torch.cat([state.peak_db, total_db], dim=1) + fall, dim=1).values - fall
        floor = torch.cummin(torch.cat([state.floor_db, total_db], dim=1) - rise, dim=1).values + rise
        return peak[:, 1:], floor[:, 1:]

"""Settings of the default audio encoder."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowact.core.clock import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from flowact.core.errors import ConfigError

CUES = ("speech", "loudness", "jaw", "accent", "pitch")
"""The last five features: is someone speaking, how loud, how open the jaw, how stressed, pitch against the usual."""


@dataclass(frozen=True)
class MelConfig:
    """Log-mel front end: windows of `window_samples` every `hop_samples`, levelled by two causal followers.

    Attributes:
        bands: mel bands between `low_hz` and `high_hz`.
        release_db_per_s: how fast the remembered peak falls, so a quieter speaker is soon heard as loudly.
        floor_rise_db_per_s: how fast the remembered background rises.
        contrast_db: a peak counts as full level only if it stands this far above the background.
        quietest_db: a peak below this level (dB of full scale) is never amplified.
        range_db: what lies this far below the level is silence.
    """

    bands: int = 64
    window_samples: int = 400
    hop_samples: int = 160
    fft_size: int = 512
    low_hz: float = 60.0
    high_hz: float = 7600.0
    release_db_per_s: float = 6.0
    floor_rise_db_per_s: float = 3.0
    contrast_db: float = 25.0
    quietest_db: float = -65.0
    range_db: float = 60.0

    def __post_init__(self) -> None:
        if SAMPLES_PER_FRAME % self.hop_samples or self.window_samples < self.hop_samples:
            raise ConfigError(
                f"mel hop {self.hop_samples} and window {self.window_samples} do not fit: the hop must divide "
                f"{SAMPLES_PER_FRAME} samples (one video frame) and not exceed the window; use 160 and 400"
            )
        if self.fft_size < self.window_samples or self.high_hz > SAMPLE_RATE_HZ / 2:
            raise ConfigError(
                f"mel fft_size {self.fft_size} must be at least the window ({self.window_samples}) and high_hz "
                f"{self.high_hz} at most {SAMPLE_RATE_HZ // 2}; use 512 and 7600"
            )

    @property
    def hops_per_frame(self) -> int:
        """Mel frames per video frame."""
        return SAMPLES_PER_FRAME // self.hop_samples


@dataclass(frozen=True)
class AudioConfig:
    """The default audio encoder: mel at 100 Hz, causal convolutions at 50 and 25 Hz, a bottleneck and lip cues.

    Attributes:
        mel: the front end.
        width: channels inside.
        fast_blocks: residual blocks at 50 Hz.
        slow_blocks: residual blocks at 25 Hz, dilated 1, 2, 4, 8 in turn.
        bottleneck: free features; the 15 viseme posteriors and the CUES follow them.
        visemes: number of viseme posteriors.
        lookahead_frames: video frames of audio heard after a frame before its feature is given (40 ms each).
    """

    mel: MelConfig = field(default_factory=MelConfig)
    width: int = 128
    fast_blocks: int = 2
    slow_blocks: int = 4
    bottleneck: int = 76
    visemes: int = 15
    lookahead_frames: int = 4

    def __post_init__(self) -> None:
        if not 0 <= self.lookahead_frames <= 5:
            raise ConfigError(
                f"audio lookahead_frames {self.lookahead_frames} is outside 0..5: above 200 ms is not live; use 4"
            )
        if self.mel.hops_per_frame != 4:
            raise ConfigError(
                f"the audio encoder halves the rate twice, so it needs 4 mel hops per video frame, got "
                f"{self.mel.hops_per_frame}; use hop_samples=160"
            )

    @property
    def features(self) -> int:
        """Width of one feature vector: bottleneck, viseme posteriors, cues."""
        return self.bottleneck + self.visemes + len(CUES)

"""Sizes of the MMDiT."""

from __future__ import annotations

from dataclasses import dataclass

from flowact.core.errors import ConfigError
from flowact.core.motion import MOTION_WIDTH


@dataclass(frozen=True)
class MMDiTConfig:
    """Configuration of `MMDiT`.

    Attributes:
        width, depth, heads, mlp_ratio: transformer sizes.
        dual_blocks: how many of the first blocks keep separate weights for condition and video tokens (the figure's
            two streams); later blocks share one set of weights, which costs a third of the parameters.
        latent_channels, grid: shape of a latent frame, [latent_channels, grid, grid].
        patch: side of the square of latent cells that makes one video token.
        audio_dim, text_dim: widths of the encoders' features.
        audio_tokens, text_tokens: condition tokens per latent frame.
        sees_colours: whether it is shown the portrait itself, small, besides its look.
        motion_dim: numbers that say what the body does in a video frame: those of `core.motion`, or 0 for none.
    """

    width: int = 320
    depth: int = 8
    heads: int = 5
    mlp_ratio: int = 4
    dual_blocks: int = 2
    latent_channels: int = 16
    grid: int = 16
    patch: int = 4
    audio_dim: int = 96
    text_dim: int = 128
    audio_tokens: int = 2
    text_tokens: int = 2
    sees_colours: bool = False
    motion_dim: int = 0

    def __post_init__(self) -> None:
        if self.width % self.heads or self.grid % self.patch or self.dual_blocks > self.depth:
            raise ConfigError(
                f"MMDiT sizes do not fit: width {self.width} must divide by heads {self.heads}, grid {self.grid} by "
                f"patch {self.patch}, and dual_blocks {self.dual_blocks} may not exceed depth {self.depth}."
            )
        if self.motion_dim not in (0, MOTION_WIDTH):
            raise ConfigError(f"motion_dim is {self.motion_dim}; expected {MOTION_WIDTH} (core.motion), or 0 for none.")

    @property
    def video_tokens(self) -> int:
        """Video tokens per latent frame."""
        return (self.grid // self.patch) ** 2

    @property
    def condition_tokens(self) -> int:
        """Condition tokens per latent frame."""
        return self.audio_tokens + self.text_tokens


SIZES: dict[str, MMDiTConfig] = {
    "nano": MMDiTConfig(),
    "small": MMDiTConfig(width=512, depth=12, heads=8, patch=2, dual_blocks=4),
    "base": MMDiTConfig(width=1024, depth=16, heads=16, patch=2, dual_blocks=8),
    "1.3b": MMDiTConfig(
        width=1536,
        depth=28,
        heads=12,
        patch=2,
        dual_blocks=10,
        latent_channels=48,
        grid=32,
        audio_dim=384,
        text_dim=4096,
        audio_tokens=4,
        text_tokens=64,
    ),
    "14b": MMDiTConfig(
        width=5120,
        depth=40,
        heads=40,
        patch=2,
        dual_blocks=5,
        latent_channels=48,
        grid=32,
        audio_dim=1280,
        text_dim=4096,
        audio_tokens=4,
        text_tokens=64,
    ),
}
"""Named shapes. Only `nano` has weights; the large ones can be built on the meta device and counted."""

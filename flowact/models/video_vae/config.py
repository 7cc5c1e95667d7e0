"""Sizes of the video codec."""

from __future__ import annotations

from dataclasses import dataclass

from flowact.core.errors import ConfigError
from flowact.core.motion import MOTION_WIDTH

SPATIAL_FACTOR = 16
_MAY_BE_NONE = ("motion_dim", "eyes", "mouth", "hand")


@dataclass(frozen=True)
class CloseupConfig:
    """Sizes of what draws a part of the picture once more: see `closeup`.

    Attributes:
        side_px: side of the square, a multiple of 4, for pictures of 256 pixels.
        width_4, blocks_4: channels and residual blocks at a quarter of the resolution.
        width_2, blocks_2: the same at half of it.
    """

    side_px: int = 64
    width_4: int = 48
    blocks_4: int = 2
    width_2: int = 32
    blocks_2: int = 1

    def __post_init__(self) -> None:
        """Raise ConfigError for what is not a positive number, and a side that is not a multiple of four."""
        bad = {name: value for name, value in vars(self).items() if value <= 0}
        if bad or self.side_px % 4:
            raise ConfigError(f"CloseupConfig: got {vars(self)}; expected positive numbers, side_px a multiple of 4.")


@dataclass(frozen=True)
class VideoVAEConfig:
    """Widths (channels) and depths (residual blocks) by place; `_8` means at one eighth of the picture's side.

    Attributes:
        latent_channels: channels of a latent frame, which has 1/16 of the side and a quarter of the rate.
        encoder_width_8, encoder_blocks_8: first half of the encoder, at latent rate.
        encoder_width_16, encoder_blocks_16: second half of the encoder; each block looks one latent frame back.
        trunk_width, trunk_blocks: the decoder at 1/16, latent rate; each block looks one latent frame back.
        frame_width_8, frame_blocks_8: the decoder at 1/8, once per frame.
        frame_width_4, frame_blocks_4: the decoder at 1/4, once per frame.
        reference_width_8, reference_width_16, reference_blocks: features of the portrait, made once per session.
        flow_reach_px: picture pixels of motion per unit of the flow heads.
        motion_dim: numbers that tell the decoder what the body does in a frame: those of `core.motion`, or 0 for none.
        field_grid: side of the field that says where average bodies go.
        told_width_16, told_width_8: hidden widths of what tells it, per latent frame at 1/16 and per frame at 1/8.
        eyes, mouth, hand: the close-ups of them, or None; only a decoder that is told what the body does can have
            these.
    """

    latent_channels: int = 8
    encoder_width_8: int = 128
    encoder_blocks_8: int = 2
    encoder_width_16: int = 192
    encoder_blocks_16: int = 3
    trunk_width: int = 192
    trunk_blocks: int = 3
    frame_width_8: int = 80
    frame_blocks_8: int = 2
    frame_width_4: int = 48
    frame_blocks_4: int = 2
    reference_width_8: int = 64
    reference_width_16: int = 96
    reference_blocks: int = 2
    flow_reach_px: float = 4.0
    motion_dim: int = 0
    told_width_16: int = 512
    told_width_8: int = 160
    field_grid: int = 32
    eyes: CloseupConfig | None = None
    mouth: CloseupConfig | None = None
    hand: CloseupConfig | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for a width or depth that is not a positive number."""
        bad = {name: value for name, value in vars(self).items() if name not in _MAY_BE_NONE and value <= 0}
        if bad:
            raise ConfigError(f"VideoVAEConfig: got {bad}, expected positive numbers; correct these fields.")
        if self.motion_dim not in (0, MOTION_WIDTH):
            raise ConfigError(f"motion_dim is {self.motion_dim}; expected {MOTION_WIDTH} (core.motion), or 0 for none.")
        if (self.eyes or self.mouth or self.hand) and not self.motion_dim:
            raise ConfigError(f"motion_dim is 0; expected {MOTION_WIDTH}: close-ups are drawn by what a body does.")

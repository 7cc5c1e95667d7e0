"""What every audio encoder offers to the rest of the house, whatever network is inside."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from flowact.core.errors import ShapeError


class Hearing(Protocol):
    """Streaming audio encoder: 16 kHz samples in, one feature vector per video frame out, state explicit.

    Features come in blocks of `block_frames` (1 for the default encoder): block b holds the frames from
    `b * block_frames` and is given by the push that completes `((b + 1) * block_frames + lookahead_frames) * 640`
    samples. What a feature is does not depend on how the samples were cut into pushes. All rows advance together.
    """

    @property
    def width(self) -> int:
        """Number of values per feature vector."""

    @property
    def lookahead_frames(self) -> int:
        """Video frames of audio after a frame that its feature may have heard."""

    @property
    def block_frames(self) -> int:
        """Video frames that are always given together."""

    def initial_state(self, rows: int) -> Any:
        """State of `rows` streams that have heard nothing."""

    def encode(self, samples: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Push samples [B, S] of any S >= 0; return ready features [B, F, D] and the next state."""

    def flush(self, state: Any) -> tuple[Tensor, Any]:
        """End the stream: complete it with silence and return the features still owed [B, F, D]."""

    def encode_all(self, samples: Tensor) -> Tensor:
        """Whole recordings [B, S] at once -> [B, ceil(S / 640), D]; the end is padded with silence."""


def check_samples(samples: Tensor, rows: int | None = None) -> None:
    """Raise ShapeError unless `samples` is a floating tensor [B, S], B equal to `rows` where given."""
    if samples.ndim != 2 or not samples.is_floating_point() or (rows is not None and samples.shape[0] != rows):
        wanted = "[B, S]" if rows is None else f"[{rows}, S]"
        raise ShapeError(
            f"audio samples have shape {tuple(samples.shape)} and kind {samples.dtype}; expected floats {wanted} at "
            f"16 kHz in -1..1, one row per stream of the state"
        )

"""The bit rates of the WebRTC encoders, by picture size: aiortc's own limits are for small webcams."""

from __future__ import annotations

from aiortc.codecs import h264, vpx

from flowact.core.clock import FPS

_START_BITS_PER_PIXEL = 0.6
_LEAST_BITS_PER_PIXEL = 0.15
_MOST_BITS_PER_PIXEL = 1.2
_LOWEST = 200_000


def limits(width: int, height: int) -> tuple[int, int, int]:
    """Lowest, first and highest rate in bits per second for pictures of this size at 25 fps."""
    pixels_per_s = width * height * FPS
    lowest = max(_LOWEST, round(_LEAST_BITS_PER_PIXEL * pixels_per_s))
    return lowest, max(lowest, round(_START_BITS_PER_PIXEL * pixels_per_s)), round(_MOST_BITS_PER_PIXEL * pixels_per_s)


def set_limits(width: int, height: int) -> None:
    """Set them for every encoder of this process: aiortc knows no other place, and a server has one picture size."""
    lowest, first, highest = limits(width, height)
    for codec in (vpx, h264):
        for name, rate in (("MIN", lowest), ("DEFAULT", first), ("MAX", highest)):
            setattr(codec, f"{name}_BITRATE", rate)

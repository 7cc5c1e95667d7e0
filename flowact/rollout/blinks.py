"""Blinks come by chance, whatever is said and done, and are over in a quarter of a second.

A network that imagines motion draws the mean of all moments at which one may come, lids that are a little lower and
hardly ever shut: 6 half blinks a minute where people blink 16 times (docs/log.md). So chance is asked, not the network.
"""

from __future__ import annotations

import torch
from torch import Tensor

from flowact.core.clock import FPS
from flowact.core.motion import LIDS, MOTION_SCALE, motion_slice

_A_MINUTE = 13.0
"""What the network draws by itself comes on top."""
_CLOSE_S, _SHUT_S, _OPEN_S = 0.07, 0.035, 0.165
"""Lids fall faster than they rise: the means of the blinks of the studio."""
_FRAMES = 8
"""A blink is over after so many frames; it ends in the chunk in which it began, so that a chunk need know no other."""


def blinking(motion: Tensor, noise: Tensor) -> Tensor:
    """Motion of a chunk [B, T, 4, M] whose lids blink now and then, at most once.

    Args:
        motion: lids that are lower already stay so.
        noise: [B, T, K, 1, 1] standard normal, what the motion was made of: equal noise gives equal blinks.
    """
    lids = motion.flatten(1, 2)[..., motion_slice("face")][..., list(LIDS)] / MOTION_SCALE["face"]
    frames = lids.shape[1]
    comes, when = (_uniform(noise.flatten(1)[:, first::2]) for first in (0, 1))
    begins = when * (frames - _FRAMES) / FPS
    since = torch.arange(frames, device=motion.device) / FPS - begins[:, None]
    shut = _eased(since / _CLOSE_S) * (1 - _eased((since - _CLOSE_S - _SHUT_S) / _OPEN_S))
    shut = shut * (comes < _A_MINUTE / 60 * frames / FPS)[:, None]
    blinked = motion.clone()
    face = blinked[..., motion_slice("face")]
    lowered = lids + shut[..., None] * (1 - lids).clamp(min=0)
    face[..., list(LIDS)] = (MOTION_SCALE["face"] * lowered).unflatten(1, motion.shape[1:3])
    return blinked


def _uniform(noise: Tensor) -> Tensor:
    """Standard normal [B, n] to a number in 0..1 each, [B]."""
    return torch.special.ndtr(noise.float().sum(1) / noise.shape[1] ** 0.5)


def _eased(x: Tensor) -> Tensor:
    """A step from 0 to 1 without a jerk."""
    x = x.clamp(0, 1)
    return x**3 * (10 - 15 * x + 6 * x**2)

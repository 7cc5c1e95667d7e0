"""How the judges misread: what they err on people they never saw, borrowed to spoil tracks that are exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowact.evaluate.judge_tracks import HAND_COLUMNS, HANDS_SEEN, as_left
from flowact.evaluate.looking import Float
from flowact.evaluate.probes import TRACK_WIDTH

_LEAST_STEPS = 6
_SEEN = 0.5
_BODY = np.setdiff1d(np.arange(TRACK_WIDTH), np.concatenate(HAND_COLUMNS))
_HAND = len(HAND_COLUMNS[0])


@dataclass(frozen=True)
class ReadingErrors:
    """A reader shrinks what it is unsure of, and errs the same way for a while: read = slope * true + offset + error.

    Attributes:
        slope, offset: [TRACK_WIDTH]; of hands as for a left one, in the left hand's columns.
        body: errors [T, TRACK_WIDTH] in stretches without and with a hand in the picture; columns of hands are unused.
        hand: errors [T, 14] of single hands in the picture, each as a left one's.
    """

    slope: Float
    offset: Float
    body: tuple[tuple[Float, ...], tuple[Float, ...]]
    hand: tuple[Float, ...]

    @staticmethod
    def measure(true: Sequence[Float], read: Sequence[Float]) -> ReadingErrors:
        """Compare tracks [T, TRACK_WIDTH], in steps of the action probe, with the same as they were read."""
        pairs = [(t, r) for t, r in zip(true, read, strict=True) if len(t) >= _LEAST_STEPS]
        slope, offset = np.ones(TRACK_WIDTH, np.float32), np.zeros(TRACK_WIDTH, np.float32)
        hands = [pair for t, r in pairs for side in range(2) if (pair := _seen_hand(t, r, side)) is not None]
        for columns, known in ((_BODY, [(t[:, _BODY], r[:, _BODY]) for t, r in pairs]), (HAND_COLUMNS[0], hands)):
            if known:
                slope[columns], offset[columns] = _line(*(np.concatenate(part) for part in zip(*known)))
        left = slope[HAND_COLUMNS[0]], offset[HAND_COLUMNS[0]]
        body: tuple[list[Float], list[Float]] = ([], [])
        for t, r in pairs:
            body[int(t[:, HANDS_SEEN].max() > _SEEN)].append(r - slope * t - offset)
        return ReadingErrors(
            slope,
            offset,
            (tuple(body[0]), tuple(body[1])),
            tuple(np.asarray(r - left[0] * t - left[1], np.float32) for t, r in hands),
        )

    def spoil(self, tracks: Float, rng: np.random.Generator) -> Float:
        """Exact tracks [T, TRACK_WIDTH] as the judges might read them."""
        steps = len(tracks)
        alike = self.body[int(tracks[:, HANDS_SEEN].max() > _SEEN)] or self.body[0] + self.body[1]
        read = self.slope * tracks + self.offset + _borrow(alike, steps, TRACK_WIDTH, rng)
        left = self.slope[HAND_COLUMNS[0]], self.offset[HAND_COLUMNS[0]]
        for side, columns in enumerate(HAND_COLUMNS):
            hand = left[0] * as_left(tracks[:, columns], side) + left[1] + _borrow(self.hand, steps, _HAND, rng)
            seen = np.clip(read[:, HANDS_SEEN.start + side], 0, 1)[:, None]
            read[:, columns] = as_left(hand, side) * seen
        return np.asarray(read, np.float32)


def _seen_hand(true: Float, read: Float, side: int) -> tuple[Float, Float] | None:
    """One hand's columns where it is in the picture and was found, as a left one's; None where that is too rare."""
    at = HANDS_SEEN.start + side
    known = (true[:, at] > _SEEN) & (read[:, at] > _SEEN)
    if known.sum() < _LEAST_STEPS:
        return None
    seen = np.clip(read[known, at], 0, 1)[:, None]
    return as_left(true[known][:, HAND_COLUMNS[side]], side), as_left(read[known][:, HAND_COLUMNS[side]] / seen, side)


def _line(true: Float, read: Float) -> tuple[Float, Float]:
    """Slope in 0..1.2 and offset [D] of the straight line from true to read."""
    centre = true.mean(0)
    spread = ((true - centre) ** 2).mean(0)
    slope = np.clip(((true - centre) * read).mean(0) / np.maximum(spread, 1e-6), 0, 1.2)
    return slope.astype(np.float32), (read.mean(0) - slope * centre).astype(np.float32)


def _borrow(errors: Sequence[Float], steps: int, width: int, rng: np.random.Generator) -> Float:
    """One of the errors from a random moment on, run forth and back until it is `steps` long."""
    if not errors:
        return np.zeros((steps, width), np.float32)
    chosen = errors[int(rng.integers(len(errors)))]
    last = len(chosen) - 1
    at = (np.arange(steps) + int(rng.integers(2 * last))) % (2 * last)
    return chosen[np.where(at > last, 2 * last - at, at)]

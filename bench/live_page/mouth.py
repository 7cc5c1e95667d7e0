"""When a mouth begins to speak and when it rests, read from pictures as the browser showed them.

The mouth *speaks* from the first of two consecutive pictures whose lip gap, as the judges read it, is outside the band
of rest: the median of the pictures before the speech was sent, plus or minus four robust deviations of them, at least
0.04 mouth widths. It *rests* from the first picture after which the gap stays within that band for 0.3 s. The judges
saw no picture of the avatar in training, and the avatar was not trained on them. As a check that does not need them,
`Mouth.change` is how much the mouth region changes from picture to picture.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.live_page.notes import Float
from flowact.evaluate.judges import Judges

_LEAST_BAND = 0.04
_DEVIATIONS = 4.0
_MAD = 1.4826
"""From the median absolute deviation to the standard deviation of a normal distribution."""
_REST_MS = 300.0
_BOX = (5 / 16, 7 / 16, 11 / 16, 11 / 16)
"""Left, top, right, bottom of the mouth region, in shares of the picture, as portraits are framed."""
_TIMES_REST = 3.0
_LEAST_CHANGE = 0.5


@dataclass(frozen=True)
class Mouth:
    """One mouth over time.

    Attributes:
        at_ms: [F] when each picture was shown.
        opening: [F] lip gap in mouth widths, as the judges read it.
        change: [F] mean absolute change of the mouth region from the picture before, in grey levels; 0 for the first.
    """

    at_ms: Float
    opening: Float
    change: Float

    def speaks_from(self, sent_ms: float) -> float | None:
        """When the first picture is shown that speaks, after speech was sent; None if none does."""
        outside = self._outside(sent_ms) & (self.at_ms >= sent_ms)
        return self._first(outside[:-1] & outside[1:])

    def changes_from(self, sent_ms: float) -> float | None:
        """The same by change alone: the first picture that changes three times as much as nine of ten at rest."""
        before = self.at_ms < sent_ms
        usual = float(np.quantile(self.change[before][1:], 0.9))
        return self._first((self.change > max(_TIMES_REST * usual, _LEAST_CHANGE)) & ~before)

    def rests_from(self, stopped_ms: float, sent_ms: float) -> float | None:
        """When the mouth rests after speech was stopped; None if it did so already, or never does."""
        outside, after = self._outside(sent_ms), np.flatnonzero(self.at_ms >= stopped_ms)
        if not outside[after].any():
            return None
        for i in after:
            if outside[i - 1] and not outside[i] and self.at_ms[-1] >= self.at_ms[i] + _REST_MS:
                soon = (self.at_ms >= self.at_ms[i]) & (self.at_ms < self.at_ms[i] + _REST_MS)
                if not outside[soon].any():
                    return float(self.at_ms[i])
        return None

    def _outside(self, sent_ms: float) -> NDArray[np.bool_]:
        rest = self.opening[self.at_ms < sent_ms]
        middle = np.median(rest)
        band = max(_LEAST_BAND, _DEVIATIONS * _MAD * float(np.median(np.abs(rest - middle))))
        return np.abs(self.opening - middle) > band

    def _first(self, true: NDArray[np.bool_]) -> float | None:
        return float(self.at_ms[np.argmax(true)]) if true.any() else None


def read_mouth(judges: Judges, kept: list[tuple[float, str]]) -> Mouth:
    """Let the judges look at pictures: when each was shown, and a JPEG in base64."""
    frames = np.stack([_decode(data) for _, data in kept])
    height, width = frames.shape[1:3]
    left, top, right, bottom = (round(share * side) for share, side in zip(_BOX, (width, height, width, height)))
    region = frames[:, top:bottom, left:right].mean(axis=3)
    change = np.abs(np.diff(region, axis=0, prepend=region[:1])).mean(axis=(1, 2))
    return Mouth(
        np.array([shown_ms for shown_ms, _ in kept]), judges.observe(frames).mouth_open.astype(np.float64), change
    )


def _decode(data: str) -> NDArray[np.uint8]:
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert picture is not None, "the browser sent a picture that cannot be read"
    return picture.astype(np.uint8)

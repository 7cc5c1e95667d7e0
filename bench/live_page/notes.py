"""What the probe noted, as arrays on one clock: when pictures were shown and what was heard when.

All times are milliseconds of the browser's `performance.now()`.

- A picture is shown at `expectedDisplayTime` of `requestVideoFrameCallback`.
- A sound is heard when it leaves the jitter buffer for the sound card (`timestamp` of the `AudioData` that
  `MediaStreamTrackProcessor` gives, which Chromium takes in the call that pulls the sound), plus the delay of the
  sound card as WebRTC itself reports it (`media-playout`: `totalPlayoutDelay / totalSamplesCount`). Nothing else is
  corrected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

BLOCK_MS = 10.0
PEAK_MS = 1.0
"""The loudest sample of each millisecond is known."""
_FULL_SCALE = 32767
_MOST_HOP_MS = 20.0


@dataclass(frozen=True)
class Heard:
    """Sound.

    Attributes:
        at_ms: [N] when each millisecond of it is heard.
        peak: [N] its loudest sample, 0..1.
        playout_ms: the delay of the sound card in `at_ms`.
    """

    at_ms: Float
    peak: Float
    playout_ms: float

    def onsets(self, loud: float, quiet_ms: int) -> Float:
        """When it gets louder than `loud` after at least `quiet_ms` of being less loud."""
        is_loud = self.peak > loud
        last, onsets = -quiet_ms, []
        for i in np.flatnonzero(is_loud):
            if i - last > quiet_ms:
                onsets.append(self.at_ms[i])
            last = int(i)
        return np.array(onsets)

    def first_loud(self, from_ms: float, loud: float) -> float | None:
        """When it is louder than `loud` for the first time from `from_ms` on; None if it never is."""
        times = self.at_ms[(self.at_ms >= from_ms) & (self.peak > loud)]
        return float(times[0]) if len(times) else None

    def last_loud(self, from_ms: float, loud: float) -> float | None:
        """The end of the last millisecond louder than `loud` from `from_ms` on; None if there is none."""
        times = self.at_ms[(self.at_ms >= from_ms) & (self.peak > loud)]
        return float(times[-1]) + PEAK_MS if len(times) else None


@dataclass(frozen=True)
class Shown:
    """Pictures.

    Attributes:
        at_ms: [N] when each is shown.
        number: [N] the browser's count of pictures shown.
        brightness: [N] mean, 0..255.
    """

    at_ms: Float
    number: NDArray[np.int64]
    brightness: Float

    @property
    def missed(self) -> float:
        """Share of the pictures which the browser showed that the probe was not told of: it was too busy."""
        shown = int(self.number[-1] - self.number[0]) + 1 if len(self.number) else 0
        return 1 - len(self.number) / shown if shown else 0.0

    def onsets(self, bright: float) -> tuple[Float, NDArray[np.bool_]]:
        """When the picture gets brighter than `bright`, and whether the probe saw the picture before each onset too:
        else the onset may have been a picture earlier.
        """
        is_bright = self.brightness > bright
        begins = np.flatnonzero(is_bright[1:] & ~is_bright[:-1]) + 1
        return self.at_ms[begins], self.number[begins] - self.number[begins - 1] == 1


@dataclass(frozen=True)
class Notes:
    """All that was noted in a stretch of time.

    Attributes:
        shown: pictures.
        heard: sound.
        steps_ms: when each step of the last start happened first, see `probe.js`.
    """

    shown: Shown
    heard: Heard
    steps_ms: dict[str, float]

    @staticmethod
    def read(takes: Iterable[dict[str, Any]]) -> Notes:
        """Join what `LivePage.take` gave, in order.

        Raises:
            RuntimeError: the sound is not on the clock of the page, so nothing could be compared.
        """
        takes = list(takes)
        pictures = [row for take in takes for row in take["pictures"]]
        sounds = [row for take in takes for row in take["sounds"]]
        shown = Shown(
            np.array([row[0] for row in pictures]),
            np.array([row[2] for row in pictures], np.int64),
            np.array([row[4] for row in pictures]),
        )
        return Notes(shown, _read_sounds(sounds, _playout_ms(takes[-1]["stats"])), takes[-1]["steps"])


def _read_sounds(rows: list[tuple[float, float, list[int]]], playout_ms: float) -> Heard:
    if not rows:
        return Heard(np.zeros(0), np.zeros(0), playout_ms)
    left, arrived = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    hop_ms = float((arrived - left).min())
    if not 0 <= hop_ms < _MOST_HOP_MS:
        raise RuntimeError(
            f"The sound is stamped {hop_ms:.1f} ms before performance.now(); expected 0 to {_MOST_HOP_MS:.0f} ms. "
            "This Chromium keeps another clock: look at listen() in probe.js."
        )
    # The sound card pulls several blocks at once now and then, but plays them one after the other.
    begin = np.empty_like(left)
    begin[0] = left[0]
    for i in range(1, len(left)):
        begin[i] = max(left[i], begin[i - 1] + BLOCK_MS)
    peaks = np.array([row[2] for row in rows], np.float64) / _FULL_SCALE
    at_ms = begin[:, None] + PEAK_MS * np.arange(peaks.shape[1]) + playout_ms
    return Heard(at_ms.ravel(), peaks.ravel(), playout_ms)


def _playout_ms(stats: list[dict[str, Any]]) -> float:
    """Mean delay of the sound card; 0 before it has played anything."""
    rows = [row for row in stats if row["type"] == "media-playout" and row["totalSamplesCount"]]
    return 1000 * rows[0]["totalPlayoutDelay"] / rows[0]["totalSamplesCount"] if rows else 0.0

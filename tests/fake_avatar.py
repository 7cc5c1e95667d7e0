"""A stand-in for a loaded model: it paints the portrait and lets the sound through, so the doors need no weights."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray


class FakeAvatar:
    """Answers like `flowact.Avatar`; remembers the arguments of the last stream."""

    def __init__(self, size: int = 64, chunk_s: float = 0.0, fail_at: int | None = None) -> None:
        self.config = SimpleNamespace(name="fake", size=size, passes_per_chunk=3)
        self.asked: SimpleNamespace | None = None
        self._chunk_s, self._fail_at = chunk_s, fail_at

    def networks(self) -> dict[str, object]:
        return {}

    def use_runtime(self, name: str, again: bool = False) -> SimpleNamespace:
        return SimpleNamespace(lines=lambda: [f"{name} is used", "torch: 0.100 s a chunk"])

    def stream(
        self,
        image: NDArray[np.uint8],
        audio: Iterable[NDArray[np.float32]] | None = None,
        prompt: object = None,
        seed: int = 0,
        seconds: float | None = None,
    ) -> Iterator[SimpleNamespace]:
        self.asked = SimpleNamespace(image=image, prompt=prompt, seed=seed, seconds=seconds)
        blocks = iter(audio if audio is not None else ())
        silence = np.zeros(12 * 640, np.float32)
        for index in range(-(-round((seconds or 1) * 25) // 12)):
            if index == self._fail_at:
                raise RuntimeError("the engine broke")
            time.sleep(self._chunk_s)
            block = next(blocks, silence)
            sound = np.pad(block, (0, len(silence) - len(block)))
            yield SimpleNamespace(index=index, frames=np.repeat(image[None], 12, 0), audio=sound, seconds=0.01)

"""A stand-in for the avatar whose pictures are white in the ticks that carry a beep.

`python -m bench.live_page.stand_in --port N` serves the page with it. Engine, pacer, server and page around it are the
real ones; only the networks are missing.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Annotated, Any, cast

import numpy as np
import typer
from numpy.typing import NDArray

from flowact.core.clock import FRAMES_PER_CHUNK, FRAMES_PER_LATENT, LATENTS_PER_CHUNK, SAMPLES_PER_FRAME
from flowact.diffusion.guidance import Guidance, NoGuidance
from flowact.serve.app import create_app
from flowact.serve.config import ServeConfig
from flowact.serve.server import DrainingServer
from flowact.stream.avatar import Avatar
from flowact.stream.engine import Engine

LOUD = 0.1
"""A tick with a louder sample flashes."""
_WHITE = 255
_LOOKAHEAD_TICKS = 4


class FlashSession:
    """Answers like `flowact.stream.session.Session`; a chunk is the list of its ticks' brightness."""

    def __init__(self, avatar: FlashAvatar, portrait: NDArray[np.uint8]) -> None:
        self.point, self._avatar, self._portrait = 0, avatar, portrait
        self._heard: deque[bool] = deque()
        self._in_flight: deque[list[bool]] = deque()
        self._past_ticks = 0

    @property
    def frames_wanted(self) -> int:
        """Ticks of sound to hear before the next chunk."""
        return max(0, FRAMES_PER_CHUNK + _LOOKAHEAD_TICKS - len(self._heard))

    def hear(self, samples: NDArray[np.float32]) -> None:
        """Take in whole ticks of sound."""
        loud = np.abs(samples.reshape(-1, SAMPLES_PER_FRAME)).max(axis=1) > LOUD
        self._heard.extend(loud[self._past_ticks :].tolist())
        self._past_ticks = max(0, self._past_ticks - len(loud))

    def condition(self, prompt: str) -> list[bool]:
        """The oldest ticks that were heard."""
        return [self._heard.popleft() for _ in range(FRAMES_PER_CHUNK)]

    def generate(
        self, conditions: list[bool], is_unwanted: Callable[[], bool], guidance: Guidance
    ) -> list[bool] | None:
        """A chunk enters; the oldest one leaves once the stream is full. Nothing takes so long that it is given up."""
        self._in_flight.append(conditions)
        return self._in_flight.popleft() if len(self._in_flight) == self._avatar.plan.chunks else None

    def decode_stepwise(self, chunk: list[bool], every: int) -> Iterator[tuple[NDArray[np.uint8], int]]:
        """The pictures of each latent frame, and how many there were so far."""
        for i in range(LATENTS_PER_CHUNK):
            flashes = chunk[i * FRAMES_PER_LATENT : (i + 1) * FRAMES_PER_LATENT]
            self.point += 1
            pictures = [np.full_like(self._portrait, _WHITE) if on else self._portrait for on in flashes]
            yield np.stack(pictures), self.point

    def resume(self, point: int, voice: NDArray[np.float32]) -> None:
        """Go back; the pictures do not depend on what was before them."""
        self._in_flight.clear()
        self._heard.clear()
        self.point, self._past_ticks = point, len(voice) // SAMPLES_PER_FRAME
        self.hear(voice)


class FlashAvatar:
    """Answers like `flowact.stream.avatar.Avatar`. Its person is dark and still."""

    def __init__(self, size: int = 256) -> None:
        self.config = SimpleNamespace(name="flash", size=size, passes_per_chunk=3)
        self.plan, self.guidance = SimpleNamespace(chunks=3), NoGuidance()

    def check_portrait(self, portrait: NDArray[np.uint8]) -> None:
        """Any portrait is good."""

    def open(self, portrait: NDArray[np.uint8], seed: int = 0) -> FlashSession:
        """Begin a stream; the portrait is shown darkened."""
        return FlashSession(self, portrait // 4)


def main(port: Annotated[int, typer.Option(help="TCP port on loopback.")]) -> None:
    """Serve the page with the stand-in behind it."""
    logging.basicConfig(level=logging.WARNING)
    avatar: Any = FlashAvatar()
    engine = Engine(cast(Avatar, avatar))
    engine.start()
    config = ServeConfig(port=port)
    try:
        DrainingServer(create_app(engine, cast(Avatar, avatar), config), config).run()
    finally:
        engine.stop()


if __name__ == "__main__":
    typer.run(main)

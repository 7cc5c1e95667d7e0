"""The portraits a session can begin with: samples that ship, and uploads that live in memory for a while."""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowact.media.portrait import Portrait, load_portrait
from flowact.serve.errors import RequestError


@dataclass
class _Kept:
    portrait: Portrait
    used_s: float
    is_sample: bool


class PortraitShelf:
    """Portraits by id. Uploads are decoded at once, never written, and forgotten `ttl_s` after their last use.

    Args:
        size: side of the pictures in pixels.
        samples: folder of PNG files that are always there; their ids are the names of the files.
        now: the clock, in seconds.
        ttl_s: how long an unused upload is kept.
        most: uploads kept at once; the one that was unused longest makes room.
    """

    def __init__(self, size: int, samples: Path, now: Callable[[], float], ttl_s: float, most: int) -> None:
        self._size, self._now, self._ttl_s, self._most = size, now, ttl_s, most
        self._kept = {
            path.stem: _Kept(load_portrait(path, size), now(), True) for path in sorted(samples.glob("*.png"))
        }
        # A picture of the largest allowed size takes several hundred megabytes while it is framed.
        self._one_at_a_time = asyncio.Semaphore(1)

    @property
    def samples(self) -> list[str]:
        """Ids of the portraits that ship."""
        return [name for name, kept in self._kept.items() if kept.is_sample]

    async def add(self, picture: bytes, crop: str) -> tuple[str, Portrait]:
        """Frame an uploaded picture and keep it.

        Raises:
            ConfigError: it is no picture, or shows no face.
        """
        async with self._one_at_a_time:
            portrait = await asyncio.to_thread(load_portrait, picture, self._size, crop)
        self.sweep()
        uploads = [name for name, kept in self._kept.items() if not kept.is_sample]
        if len(uploads) >= self._most:
            del self._kept[min(uploads, key=lambda name: self._kept[name].used_s)]
        name = secrets.token_urlsafe(12)
        self._kept[name] = _Kept(portrait, self._now(), False)
        return name, portrait

    def get(self, name: str) -> NDArray[np.uint8]:
        """The pixels of a portrait, [size, size, 3] RGB; counts as a use.

        Raises:
            RequestError: 404.
        """
        self.sweep()
        kept = self._kept.get(name)
        if kept is None:
            raise RequestError(404, "no_such_portrait", "this portrait is not there, or no longer; upload it again")
        kept.used_s = self._now()
        return kept.portrait.pixels

    def png(self, name: str) -> bytes:
        """The same as a PNG file."""
        file = io.BytesIO()
        Image.fromarray(self.get(name)).save(file, "png")
        return file.getvalue()

    def touch(self, name: str) -> None:
        """Note that a session still shows it."""
        if name in self._kept:
            self._kept[name].used_s = self._now()

    def sweep(self) -> None:
        """Forget the uploads whose time is over."""
        oldest = self._now() - self._ttl_s
        for name in [n for n, kept in self._kept.items() if not kept.is_sample and kept.used_s < oldest]:
            del self._kept[name]

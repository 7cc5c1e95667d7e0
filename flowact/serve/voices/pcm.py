"""16-bit sound on its way through HTTP: raw or WAV in pieces of any size in, whole WAV out."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
from numpy.typing import NDArray

from flowact.serve.voices.errors import ServiceError

_MOST_HEADER_BYTES = 65_536


class PcmReader:
    """Turns a stream of bytes into mono float32; a WAV header is recognised and obeyed, else it is raw 16-bit mono.

    The result does not depend on how the bytes are cut.
    """

    def __init__(self, rate_hz: int = 24_000) -> None:
        """`rate_hz` is that of raw sound."""
        self.rate_hz = rate_hz
        self._channels = 1
        self._rest = b""
        self._has_begun = False

    def feed(self, data: bytes) -> NDArray[np.float32]:
        """Samples [S] in -1..1 that are complete now.

        Raises:
            ServiceError: the header announces something other than 16-bit PCM.
        """
        self._rest += data
        if not self._has_begun:
            if len(self._rest) < 4:
                return np.zeros(0, np.float32)
            self._has_begun = self._rest[:4] != b"RIFF" or self._read_header()
            if not self._has_begun:
                return np.zeros(0, np.float32)
        size = 2 * self._channels
        whole = len(self._rest) - len(self._rest) % size
        body, self._rest = self._rest[:whole], self._rest[whole:]
        samples = np.frombuffer(body, "<i2").reshape(-1, self._channels)
        return (samples / np.float32(32768)).mean(1, dtype=np.float32).astype(np.float32)

    def _read_header(self) -> bool:
        """Read up to the samples; False until all of the header is there."""
        at = 12
        while len(self._rest) >= at + 8:
            name, size = self._rest[at : at + 4], struct.unpack_from("<I", self._rest, at + 4)[0]
            if name == b"data":
                self._rest = self._rest[at + 8 :]
                return True
            if name == b"fmt " and len(self._rest) >= at + 24:
                kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", self._rest, at + 8)
                if kind not in (1, 0xFFFE) or bits != 16 or not 1 <= channels <= 8:
                    raise ServiceError(
                        f"the voice came as WAV of kind {kind} with {bits} bits and {channels} channels; "
                        "expected 16-bit PCM: set the service to pcm or wav"
                    )
                self.rate_hz, self._channels = rate, channels
            at += 8 + size + size % 2
        if len(self._rest) > _MOST_HEADER_BYTES:
            raise ServiceError("the voice came as WAV without sound in it; set the service to pcm or wav")
        return False


def to_wav(sound: NDArray[np.float32], rate_hz: int) -> bytes:
    """A whole WAV file, 16-bit mono, of sound [S] in -1..1."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()

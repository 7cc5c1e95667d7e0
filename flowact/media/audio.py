"""Any sound file in, mono float32 at 16 kHz out: at once for short ones, block by block for hours of speech."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soxr
from av.audio.frame import AudioFrame
from av.container import InputContainer
from numpy.typing import NDArray

from flowact.core.clock import SAMPLE_RATE_HZ, SAMPLES_PER_CHUNK
from flowact.core.errors import ConfigError

LONGEST_IN_MEMORY_S = 1800.0

_SILENT_PEAK = 1e-3
_CLIPPED_SHARE = 1e-3
# These containers guess their length from the bit rate, so it says nothing about missing bytes.
_GUESSED_LENGTH = {"mp3", "aac", "amr", "mpeg"}


@dataclass(frozen=True)
class AudioInfo:
    """What a sound file holds: its true length, and rate and channels before conversion."""

    seconds: float
    rate_hz: int
    channels: int


class LevelMeter:
    """Watches samples pass by and says afterwards whether they were silent or clipped."""

    def __init__(self) -> None:
        self._peak = 0.0
        self._clipped = 0
        self._samples = 0

    def add(self, block: NDArray[np.float32]) -> None:
        """Count the next block, float32 in -1..1, any length."""
        if len(block):
            size = np.abs(block)
            self._peak = max(self._peak, float(size.max()))
            self._clipped += int((size >= 0.995).sum())
            self._samples += len(block)

    def warnings(self) -> list[str]:
        """One sentence for each thing that is wrong with what was heard."""
        if self._samples and self._peak < _SILENT_PEAK:
            return ["the audio is silent: the person will not speak"]
        if self._clipped > _CLIPPED_SHARE * self._samples:
            share = 100 * self._clipped / self._samples
            return [f"the audio is clipped ({share:.1f} % of the samples): record it at a lower level for better lips"]
        return []


def probe_audio(path: Path | str) -> AudioInfo:
    """Read through a sound file without decoding it: its true length, and whether anything is missing.

    Raises:
        ConfigError: missing, empty, no sound, damaged or truncated.
    """
    path = Path(path)
    with _opened(path) as container:
        _check_riff(path)
        stream = container.streams.audio[0]
        declared = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        ticks = sum(packet.duration or 0 for packet in container.demux(stream))
        seconds = float(ticks * stream.time_base) if stream.time_base else 0.0
        if seconds == 0:
            raise ConfigError(f"audio {path} has no samples; give a file with sound")
        guessed = bool(_GUESSED_LENGTH & set(container.format.name.split(",")))
        if not guessed and declared > 1.02 * seconds + 0.25:
            raise ConfigError(
                f"audio {path} is truncated: {seconds:.1f} s of the announced {declared:.1f} s are there; "
                "copy or export it again"
            )
        return AudioInfo(seconds, stream.rate, stream.channels)


def stream_audio(path: Path | str, samples_per_block: int = SAMPLES_PER_CHUNK) -> Iterator[NDArray[np.float32]]:
    """Decode a sound file block by block, so that hours of speech need no more memory than a second.

    Args:
        path: any container, codec, rate and number of channels.
        samples_per_block: samples at 16 kHz per block; the last block may be shorter.

    Yields:
        float32 mono blocks at 16 kHz; joined they equal `load_audio(path)` for any block length.

    Raises:
        ConfigError: missing, empty, no sound, damaged.
    """
    if samples_per_block < 1:
        raise ConfigError(f"samples_per_block is {samples_per_block}; expected at least 1")
    rest = np.zeros(0, np.float32)
    for piece in _resampled(Path(path)):
        rest = np.concatenate([rest, piece])
        whole = len(rest) - len(rest) % samples_per_block
        for start in range(0, whole, samples_per_block):
            yield rest[start : start + samples_per_block]
        rest = rest[whole:]
    if len(rest):
        yield rest


def load_audio(path: Path | str) -> NDArray[np.float32]:
    """Decode a whole sound file: float32 [S] mono at 16 kHz.

    Raises:
        ConfigError: missing, empty, no sound, damaged, truncated, or longer than half an hour (use `stream_audio`).
    """
    info = probe_audio(path)
    if info.seconds > LONGEST_IN_MEMORY_S:
        raise ConfigError(
            f"audio {path} lasts {info.seconds / 60:.0f} minutes, more than the {LONGEST_IN_MEMORY_S / 60:.0f} "
            "that are loaded at once; read it with stream_audio"
        )
    return np.concatenate(list(stream_audio(path)))


def _check_riff(path: Path) -> None:
    """FFmpeg shortens a cut wav to what is there, so its announced size is compared here."""
    with path.open("rb") as file:
        head = file.read(8)
    announced, found = int.from_bytes(head[4:8], "little") + 8, path.stat().st_size
    # Programs that write to a pipe leave the size at zero or at its maximum.
    is_known = head[:4] == b"RIFF" and 8 < announced < 0xFFFF_FF00
    if is_known and found + 1 < announced:
        raise ConfigError(f"audio {path} is truncated: {found} of {announced} bytes are there; copy or export it again")


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    if not path.is_file():
        raise ConfigError(f"audio {path} does not exist or is not a file; give the path of a sound file")
    if path.stat().st_size == 0:
        raise ConfigError(f"audio {path} is empty (0 bytes); give a sound file")
    try:
        # A playlist must not make us read other files or the network.
        with av.open(str(path), metadata_errors="ignore", options={"protocol_whitelist": "file"}) as container:
            if not container.streams.audio:
                raise ConfigError(f"{path} holds no sound ({container.format.long_name}); give WAV, FLAC, MP3, M4A ...")
            yield container
    except av.error.FFmpegError as error:
        raise ConfigError(f"audio {path} is damaged or not audio ({error.strerror}); export it again as WAV") from error


def _decoded(path: Path) -> Iterator[AudioFrame]:
    with _opened(path) as container:
        stream = container.streams.audio[0]
        heard = False
        for frame in container.decode(stream):
            heard = True
            yield frame
        if not heard:
            raise ConfigError(f"audio {path} has no samples; give a file with sound")


def _resampled(path: Path) -> Iterator[NDArray[np.float32]]:
    to_float: av.AudioResampler | None = None
    to_rate: soxr.ResampleStream | None = None
    rate = 0
    for frame in _decoded(path):
        if to_float is None or to_rate is None:
            rate = frame.sample_rate
            to_float = av.AudioResampler("fltp", frame.layout, rate)
            to_rate = soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, dtype="float32")
        elif frame.sample_rate != rate:
            raise ConfigError(f"audio {path} changes from {rate} to {frame.sample_rate} Hz midway; export it again")
        for part in to_float.resample(frame):
            mono = part.to_ndarray().mean(axis=0, dtype=np.float32)
            yield to_rate.resample_chunk(mono)
    if to_rate is not None:
        yield to_rate.resample_chunk(np.zeros(0, np.float32), last=True)

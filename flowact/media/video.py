"""Clips in, one signed mp4 out: H.264 and AAC on one clock, written beside its name and renamed when it is whole."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
import soxr
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from flowact.core.clock import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from flowact.core.errors import ConfigError, ShapeError
from flowact.media.credentials import sign_film
from flowact.media.provenance import Provenance
from flowact.media.signing_key import load_signing_key

AUDIO_RATE_HZ = 48_000
"""AAC at 48 kHz starts with 21 ms of padding (64 ms at 16 kHz) and every player and site takes it."""

_FREE_BYTES = 16 << 20
_BYTES_PER_SECOND = 100_000
_COPIES = 2  # the film, and its signed copy until the first is deleted


def check_output(path: Path | str, seconds: float = 0.0) -> Path:
    """Find out before any work whether a film of `seconds` can be written to `path` and signed.

    Raises:
        ConfigError: not an mp4 name, the folder is missing, read-only or full, or the signing key cannot be used.
    """
    path = Path(path)
    folder = path.parent
    if path.suffix.lower() != ".mp4":
        raise ConfigError(f"output {path} does not end in .mp4; only mp4 is written, name it {path.stem or 'out'}.mp4")
    if path.is_dir():
        raise ConfigError(f"output {path} is a folder; give the name of a file")
    if not folder.is_dir():
        raise ConfigError(f"output folder {folder} does not exist; make it first: mkdir -p {folder}")
    probe = _unfinished(path)
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise _cannot_write(path, error) from error
    free, needed = shutil.disk_usage(folder).free, _FREE_BYTES + _COPIES * round(seconds * _BYTES_PER_SECOND)
    if free < needed:
        raise ConfigError(
            f"only {free >> 20} MB are free in {folder}; {needed >> 20} MB may be needed: free some or write elsewhere"
        )
    load_signing_key()
    return path


class VideoWriter:
    """Writes frames and their sound to an mp4. Use it in a `with` block.

    Leaving the block normally, or by Ctrl-C after the first frame, gives a whole, signed film under `path`; leaving
    it by any other error leaves nothing there, and what was there before stays. A film that cannot be signed is kept
    as `NAME.unsigned.mp4`, with an error. A killed process leaves a fragmented, playable, unsigned `.NAME.PID.part`
    file.

    Args:
        path: final name, ending in .mp4; replaced if it exists.
        width: in pixels, even.
        height: in pixels, even.
        provenance: what the metadata and the signed credentials say.

    Raises:
        ConfigError: the file cannot be written or not be signed.
        ShapeError: width or height is odd.
    """

    def __init__(self, path: Path | str, width: int, height: int, provenance: Provenance) -> None:
        if width % 2 or height % 2 or min(width, height) < 2:
            raise ShapeError(f"a film of {width}x{height} cannot be encoded; width and height must be even")
        self.path = check_output(path)
        self.frames = 0
        self._size = (width, height)
        self._part = _unfinished(self.path)
        self._samples = 0
        self._to_48k = soxr.ResampleStream(SAMPLE_RATE_HZ, AUDIO_RATE_HZ, 1, dtype="float32")
        self._provenance = provenance
        self._key = load_signing_key()

    def __enter__(self) -> Self:
        # Safe against a crash while it grows, an ordinary mp4 once closed; only a delayed moov carries the edit lists
        # that keep picture and sound together.
        options = {"movflags": "hybrid_fragmented+delay_moov"}
        try:
            self._file = av.open(str(self._part), "w", format="mp4", container_options=options)
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        self._file.metadata.update(self._provenance.tags())
        self._video = self._file.add_stream("libx264", rate=FPS, options={"crf": "18", "preset": "veryfast"})
        self._video.width, self._video.height = self._size
        self._video.pix_fmt = "yuv420p"
        self._video.time_base = Fraction(1, FPS)
        context = self._video.codec_context
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        context.color_range = ColorRange.MPEG
        self._sound = self._file.add_stream("aac", rate=AUDIO_RATE_HZ, layout="mono")
        self._sound.bit_rate = 96_000
        return self

    def write(self, frames: NDArray[np.uint8], audio: NDArray[np.float32]) -> None:
        """Append frames [F, H, W, 3] RGB and the sound heard meanwhile, float32 [F * 640] at 16 kHz.

        Raises:
            ShapeError: the two do not fit together or not to the film.
            ConfigError: the disk is full or fails.
        """
        width, height = self._size
        if frames.shape[1:] != (height, width, 3) or frames.dtype != np.uint8:
            raise ShapeError(f"frames are {frames.dtype} {frames.shape}; expected uint8 [F, {height}, {width}, 3]")
        if audio.shape != (len(frames) * SAMPLES_PER_FRAME,):
            raise ShapeError(f"audio has shape {audio.shape}; expected [{len(frames) * SAMPLES_PER_FRAME}]")
        try:
            # Frame by frame, so that Ctrl-C in the middle leaves picture and sound of one length.
            for pixels, sound in zip(frames, audio.reshape(len(frames), SAMPLES_PER_FRAME)):
                self._write_sound(self._to_48k.resample_chunk(sound.astype(np.float32)))
                self._write_frame(pixels)
        except (OSError, av.error.FFmpegError) as error:
            raise _cannot_write(self.path, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        keep = self.frames > 0 and (kind is None or issubclass(kind, KeyboardInterrupt))
        try:
            if keep:
                with _interrupts_wait():
                    self._close()
                    self._publish()
            else:
                self._file.close()
        except (OSError, av.error.FFmpegError) as failure:
            if kind is None:
                raise _cannot_write(self.path, failure) from failure
        finally:
            self._part.unlink(missing_ok=True)

    def _publish(self) -> None:
        """Sign the film and give it its name."""
        signed = self._part.with_suffix(".signed")
        try:
            sign_film(self._part, signed, self._provenance, self._key)
            os.replace(signed, self.path)
        except ConfigError as error:
            kept = self.path.with_name(f"{self.path.stem}.unsigned.mp4")
            os.replace(self._part, kept)
            raise ConfigError(f"{error} The film itself is whole and kept without credentials as {kept}") from error
        finally:
            signed.unlink(missing_ok=True)

    def _close(self) -> None:
        self._write_sound(self._to_48k.resample_chunk(np.zeros(0, np.float32), last=True))
        self._file.mux(self._video.encode(None))
        self._file.mux(self._sound.encode(None))
        self._file.close()

    def _write_frame(self, pixels: NDArray[np.uint8]) -> None:
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = rgb.reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation="AREA",
        )
        frame.pts, frame.time_base = self.frames, Fraction(1, FPS)
        self.frames += 1
        self._file.mux(self._video.encode(frame))

    def _write_sound(self, samples: NDArray[np.float32]) -> None:
        if len(samples) == 0:
            return
        block = av.AudioFrame.from_ndarray(np.clip(samples, -1, 1)[None], format="fltp", layout="mono")
        block.sample_rate = AUDIO_RATE_HZ
        block.pts, block.time_base = self._samples, Fraction(1, AUDIO_RATE_HZ)
        self._samples += len(samples)
        self._file.mux(self._sound.encode(block))


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Let a Ctrl-C wait until the block is done.

    The signing library reads and writes through callbacks; an interrupt in one of them would be lost and would look to
    the library like the end of the file. Only the main thread meets interrupts.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)
    if came and callable(before):
        before(came[0], None)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _cannot_write(path: Path, error: BaseException) -> ConfigError:
    folder = path.parent
    code = getattr(error, "errno", None)
    if code == errno.ENOSPC:
        return ConfigError(f"the disk that holds {folder} is full: {path.name} was not written; free space, run again")
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ConfigError(f"output folder {folder} is read-only: {path.name} cannot be written; choose another folder")
    return ConfigError(f"{path} cannot be written ({error}); choose another folder")

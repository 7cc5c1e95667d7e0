from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import pytest

from flowact.core.errors import ConfigError, ShapeError
from flowact.media import video as door
from flowact.media.provenance import Provenance, VisibleMark
from flowact.media.video import VideoWriter, check_output
from tests.media.samples import tone

SIDE = 64
MADE = Provenance("nano", 7, "1.2", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


def clip(frames: int = 12, colour: tuple[int, int, int] = (90, 120, 150)) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.empty((frames, SIDE, SIDE, 3), np.uint8)
    pixels[:] = colour
    return pixels, tone(frames / 25, 16_000)


def write(path: Path, chunks: int = 2) -> Path:
    with VideoWriter(path, SIDE, SIDE, MADE) as writer:
        for _ in range(chunks):
            writer.write(*clip())
    return path


def read(path: Path) -> tuple[list[tuple[float, np.ndarray]], np.ndarray, float]:
    """Frames with their times, sound at 48 kHz, and the time the sound begins."""
    with av.open(str(path)) as file:
        frames = [(float(f.time or 0), f.to_ndarray(format="rgb24")) for f in file.decode(video=0)]
    with av.open(str(path)) as file:
        parts = [(float(f.time or 0), f.to_ndarray()[0]) for f in file.decode(audio=0)]
    return frames, np.concatenate([samples for _, samples in parts]), parts[0][0]


def test_flash_and_click_stay_together(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", SIDE, SIDE, MADE) as writer:
        for chunk in range(10):
            frames, _ = clip()
            audio = np.zeros(12 * 640, np.float32)
            if chunk in (1, 8):
                frames[5] = 255
                audio[5 * 640 : 6 * 640] = tone(0.04, 16_000, 0.9, 1000)
            writer.write(frames, audio)
    frames, sound, begin = read(tmp_path / "a.mp4")
    assert [round(time * 25) for time, _ in frames] == list(range(120))
    flashes = [time for time, pixels in frames if pixels.mean() > 230]
    assert flashes == pytest.approx([17 / 25, 101 / 25])
    loud = np.flatnonzero(np.abs(sound) > 0.3) / 48_000 + begin
    clicks = [loud[0], *loud[1:][np.diff(loud) > 1]]
    assert clicks == pytest.approx(flashes, abs=0.004)


@pytest.mark.parametrize("colour", [(200, 30, 40), (30, 160, 60), (235, 235, 235), (12, 12, 12), (224, 172, 150)])
def test_colours_survive(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    with VideoWriter(tmp_path / "a.mp4", SIDE, SIDE, MADE) as writer:
        writer.write(*clip(12, colour))
    with av.open(str(tmp_path / "a.mp4")) as file:
        context = file.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        frame = next(file.decode(video=0))
        got = frame.reformat(format="rgb24", src_colorspace="ITU709", dst_color_range="JPEG").to_ndarray()
    assert np.abs(got[32, 32].astype(int) - colour).max() <= 4


def test_replaces_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"before")

    def fail() -> None:
        with VideoWriter(path, SIDE, SIDE, MADE) as writer:
            writer.write(*clip())
            assert path.read_bytes() == b"before"
            raise RuntimeError("engine")

    with pytest.raises(RuntimeError, match="engine"):
        fail()
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.mp4"]
    assert len(read(write(path))[0]) == 24


def test_interrupt_keeps_what_there_is(tmp_path: Path) -> None:
    def interrupt(chunks: int, path: Path) -> None:
        with VideoWriter(path, SIDE, SIDE, MADE) as writer:
            for _ in range(chunks):
                writer.write(*clip())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt(3, tmp_path / "some.mp4")
    with pytest.raises(KeyboardInterrupt):
        interrupt(0, tmp_path / "none.mp4")
    assert os.listdir(tmp_path) == ["some.mp4"]
    frames, sound, _ = read(tmp_path / "some.mp4")
    assert len(frames) == 36
    assert len(sound) / 48_000 == pytest.approx(36 / 25, abs=0.03)


def test_film_without_frames_leaves_nothing(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", SIDE, SIDE, MADE):
        pass
    assert os.listdir(tmp_path) == []


def test_shapes_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="must be even"):
        VideoWriter(tmp_path / "a.mp4", 63, 64, MADE)
    frames, audio = clip()

    def put(frames: np.ndarray, audio: np.ndarray) -> None:
        with VideoWriter(tmp_path / "a.mp4", SIDE, SIDE, MADE) as writer:
            writer.write(frames, audio)

    with pytest.raises(ShapeError, match="frames are"):
        put(frames[:, :32], audio)
    with pytest.raises(ShapeError, match="audio has shape"):
        put(frames, audio[:-1])
    assert os.listdir(tmp_path) == []


def test_output_is_checked_before_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, words in (
        (tmp_path / "a.avi", "does not end in .mp4"),
        (tmp_path / "no" / "a.mp4", "does not exist"),
        (tmp_path / "dir.mp4", "is a folder"),
    ):
        (tmp_path / "dir.mp4").mkdir(exist_ok=True)
        with pytest.raises(ConfigError, match=words):
            check_output(path)
    assert check_output(tmp_path / "a.mp4") == tmp_path / "a.mp4"
    monkeypatch.setattr(door, "_FREE_BYTES", 1 << 60)
    with pytest.raises(ConfigError, match="MB are free"):
        check_output(tmp_path / "a.mp4")
    assert os.listdir(tmp_path) == ["dir.mp4"]


def test_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(ConfigError, match="read-only"):
        check_output(tmp_path / "a.mp4")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_disk_that_fills_up(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_FREE_BYTES", 0)
    rng = np.random.default_rng(0)

    def fill() -> None:
        with VideoWriter(small_disk / "a.mp4", SIDE, SIDE, MADE) as writer:
            for _ in range(40):
                writer.write(rng.integers(0, 255, (12, SIDE, SIDE, 3), dtype=np.uint8), clip()[1])

    with pytest.raises(ConfigError, match="is full"):
        fill()
    assert os.listdir(small_disk) == []


def test_disk_error_anywhere_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(VideoWriter, "_write_frame", full)
    with pytest.raises(ConfigError, match="is full"):
        write(tmp_path / "a.mp4")
    assert os.listdir(tmp_path) == []


def test_file_says_that_a_machine_made_it(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", SIDE, SIDE, MADE) as writer:
        writer.write(*clip())
    with av.open(str(tmp_path / "a.mp4")) as file:
        tags = file.metadata
    assert "AI-generated" in tags["title"]
    record = json.loads(tags["comment"])
    assert record["ai_generated"] is True
    del record["ai_generated"]
    expected = {"software": "FlowAct", "version": "1.2", "model": "nano", "seed": 7}
    assert record == expected | {"made": "2026-01-02T03:04:05+00:00"}


@pytest.mark.parametrize("size", [(256, 256), (480, 832), (128, 128)])
def test_mark_is_seen_in_the_corner_only(size: tuple[int, int]) -> None:
    width, height = size
    mark = VisibleMark(width, height)
    for shade in (0, 128, 255):
        frames = np.full((2, height, width, 3), shade, np.uint8)
        marked = mark.draw(frames)
        changed = np.abs(marked.astype(int) - shade).max(axis=(0, 3)) > 40
        rows, columns = np.nonzero(changed)
        assert len(rows) > 0.002 * width * height
        assert rows.min() > 0.7 * height
        assert columns.min() > 0.15 * width
        assert (frames == shade).all()

from __future__ import annotations

import tracemalloc
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from flowact.core.errors import ConfigError
from flowact.media import audio as door
from flowact.media.audio import LevelMeter, load_audio, probe_audio, stream_audio
from tests.media.samples import tone, write_wav


def encode(path: Path, samples: np.ndarray, rate_hz: int, codec: str) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate_hz, layout="mono")
        layout = stream.codec_context.format.name
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        for part in av.AudioResampler(layout, "mono", rate_hz).resample(frame):
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 96_000])
def test_any_rate_becomes_16_khz_in_time(tmp_path: Path, rate_hz: int) -> None:
    path = write_wav(tmp_path / "a.wav", tone(1.0, rate_hz), rate_hz)
    got = load_audio(path)
    assert got.dtype == np.float32
    assert len(got) == pytest.approx(16_000, abs=2)
    middle = slice(2000, 14_000)
    assert np.abs(got[middle] - tone(1.0, 16_000)[middle]).max() < 0.01


def test_stereo_is_averaged(tmp_path: Path) -> None:
    both = np.stack([tone(0.5, 16_000, 0.6), tone(0.5, 16_000, 0.2)], axis=1)
    got = load_audio(write_wav(tmp_path / "a.wav", both))
    assert np.abs(got - tone(0.5, 16_000, 0.4)).max() < 0.001


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.m4a", "aac"), ("a.flac", "flac")])
def test_compressed_formats(tmp_path: Path, name: str, codec: str) -> None:
    path = encode(tmp_path / name, tone(1.0, 44_100), 44_100, codec)
    got = load_audio(path)
    assert probe_audio(path).rate_hz == 44_100
    assert len(got) / 16_000 == pytest.approx(1.0, abs=0.1)
    assert np.sqrt((got[4000:12_000] ** 2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("block", [1, 97, 640, 7680, 10**6])
def test_streaming_equals_loading_for_any_cut(tmp_path: Path, block: int) -> None:
    path = write_wav(tmp_path / "a.wav", tone(0.3, 44_100), 44_100)
    pieces = list(stream_audio(path, block))
    assert all(len(piece) == block for piece in pieces[:-1])
    assert 0 < len(pieces[-1]) <= block
    assert np.array_equal(np.concatenate(pieces), load_audio(path))


def test_long_speech_streams_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    minutes = 4
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        for _ in range(minutes):
            file.writeframes(bytes(2 * 16_000 * 60))
    tracemalloc.start()
    samples = sum(len(block) for block in stream_audio(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert samples == minutes * 60 * 16_000
    assert peak < samples * 4 / 10


def test_absurdly_long_file_points_to_streaming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "LONGEST_IN_MEMORY_S", 0.1)
    with pytest.raises(ConfigError, match="stream_audio"):
        load_audio(write_wav(tmp_path / "a.wav", tone(0.5, 16_000)))


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(8000, np.float32), "silent"),
        (np.clip(tone(1, 16_000, 3.0), -1, 1), "clipped"),
        (tone(1, 16_000, 0.9), None),
    ],
)
def test_meter(samples: np.ndarray, words: str | None) -> None:
    meter = LevelMeter()
    for block in np.array_split(samples, 7):
        meter.add(block)
    found = meter.warnings()
    assert (words is None and not found) or (words is not None and words in found[0])


def test_meter_that_heard_nothing_says_nothing() -> None:
    meter = LevelMeter()
    meter.add(np.zeros(0, np.float32))
    assert meter.warnings() == []


@pytest.mark.parametrize(
    ("content", "words"), [(None, "does not exist"), (b"", "is empty"), (b"just words\n" * 30, "not audio|no sound")]
)
def test_bad_file(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "bad.wav"
    if content is not None:
        path.write_bytes(content)
    for use in (load_audio, probe_audio, lambda p: list(stream_audio(p))):
        with pytest.raises(ConfigError, match=words):
            use(path)


def test_picture_is_not_sound(tmp_path: Path) -> None:
    Image.new("RGB", (80, 80)).save(tmp_path / "p.png")
    with pytest.raises(ConfigError, match="no sound"):
        load_audio(tmp_path / "p.png")


def test_playlist_cannot_reach_other_files(tmp_path: Path) -> None:
    write_wav(tmp_path / "secret.wav", tone(1, 16_000))
    (tmp_path / "list.txt").write_text("ffconcat version 1.0\nfile /etc/../" + str(tmp_path / "secret.wav") + "\n")
    with pytest.raises(ConfigError):
        load_audio(tmp_path / "list.txt")


def test_wav_without_samples(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "none.wav", np.zeros(0, np.float32))
    with pytest.raises(ConfigError, match=r"no samples|no sound|not audio"):
        load_audio(path)


@pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.m4a", "aac")])
def test_truncated_file(tmp_path: Path, name: str, codec: str) -> None:
    path = encode(tmp_path / name, tone(3.0, 16_000), 16_000, codec)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match=r"truncated|damaged"):
        load_audio(path)


def test_block_length_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="samples_per_block"):
        next(stream_audio(tmp_path / "a.wav", 0))

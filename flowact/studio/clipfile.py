"""One clip as files: video, sound, labels and words, written to bytes and read back."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from flowact.core.clock import FPS, SAMPLE_RATE_HZ
from flowact.core.errors import ConfigError
from flowact.studio.performance import LANDMARKS, Performance, RenderedClip

VIDEO, SOUND, LABELS, WORDS = "mp4", "flac", "npz", "json"
SUFFIXES = (VIDEO, SOUND, LABELS, WORDS)

SCORE_TRACKS = (
    "visemes",
    "face",
    "head",
    "torso",
    "sway",
    "shoulders",
    "breath",
    "gaze",
    "hand_active",
    "wrist",
    "palm",
    "fingers",
    "curl",
)
PIXEL_LABELS = ("mouth_box", "face_box", "mouth_open", "landmarks", "eye_open", "hand_visible", "points")

_CRF = 10
_KEYFRAME_EVERY_FRAMES = 12
_X264 = {"crf": str(_CRF), "preset": "ultrafast", "threads": "1", "bf": "0"}


@dataclass(frozen=True)
class Sample:
    """A clip read back from a shard.

    Attributes:
        key: unique name of the clip, for example "id00012-take01".
        frames: [F, H, W, 3] uint8 RGB.
        audio: [F * 640] float32 in -1..1 at 16 kHz.
        tracks: the score (`SCORE_TRACKS`, see Performance) and the pixel labels (`PIXEL_LABELS`, see RenderedClip),
            all float32.
        meta: identity, kind ("2d" or "3d"), split, description, captions, segments, phones, voice, sentence, seeds.
    """

    key: str
    frames: NDArray[np.uint8]
    audio: NDArray[np.float32]
    tracks: dict[str, NDArray[np.float32]]
    meta: dict[str, Any]


def write_clip(performance: Performance, clip: RenderedClip, meta: dict[str, Any]) -> dict[str, bytes]:
    """Return the clip's files by suffix. `meta` is stored beside the words of the performance."""
    words = {
        **meta,
        "frames": performance.frames,
        "fps": FPS,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "voice": performance.voice,
        "sentence": performance.sentence,
        "phones": [asdict(phone) for phone in performance.phones],
        "segments": [asdict(segment) for segment in performance.segments],
        "captions": [asdict(caption) for caption in performance.captions],
        "extra": performance.extra,
    }
    return {
        VIDEO: encode_video(clip.frames),
        SOUND: encode_sound(performance.audio),
        LABELS: _pack_labels(performance, clip),
        WORDS: json.dumps(words, ensure_ascii=False).encode(),
    }


def read_clip(key: str, files: dict[str, bytes]) -> Sample:
    """Decode the files of one clip; ConfigError when one is missing or the lengths disagree."""
    missing = [suffix for suffix in SUFFIXES if suffix not in files]
    if missing:
        raise ConfigError(f"clip {key} lacks {', '.join(missing)}; expected {', '.join(SUFFIXES)}: render it again")
    tracks = decode_labels(files[LABELS])
    frames, audio = decode_video(files[VIDEO]), decode_sound(files[SOUND])
    if len(frames) != len(tracks["head"]):
        raise ConfigError(f"clip {key} has {len(frames)} frames but {len(tracks['head'])} labels: render it again")
    return Sample(key, frames, audio, tracks, json.loads(files[WORDS]))


def encode_video(frames: NDArray[np.uint8]) -> bytes:
    """Encode [F, H, W, 3] uint8 RGB as H.264 at full colour resolution, so that lips and irises keep their edges."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options=_X264)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv444p"
        stream.gop_size = _KEYFRAME_EVERY_FRAMES
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def decode_video(data: bytes) -> NDArray[np.uint8]:
    """Decode a video to [F, H, W, 3] uint8 RGB."""
    with av.open(io.BytesIO(data), "r") as container:
        container.streams.video[0].codec_context.thread_count = 1
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def encode_sound(audio: NDArray[np.float32]) -> bytes:
    """Encode [S] float32 in -1..1 at 16 kHz as 16-bit FLAC."""
    whole = np.round(np.clip(audio, -1.0, 1.0) * 32767.0).astype(np.int16)[None]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, 0, Fraction(1, SAMPLE_RATE_HZ)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def decode_sound(data: bytes) -> NDArray[np.float32]:
    """Decode a 16-bit FLAC to [S] float32 in -1..1."""
    with av.open(io.BytesIO(data), "r") as container:
        blocks = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(blocks).astype(np.float32) / np.float32(32767.0)


def decode_labels(data: bytes) -> dict[str, NDArray[np.float32]]:
    """The tracks of a clip: `SCORE_TRACKS` and `PIXEL_LABELS`.

    Raises:
        ConfigError: an older studio wrote them.
    """
    with np.load(io.BytesIO(data)) as packed:
        tracks = {name: packed[name].astype(np.float32) for name in packed.files}
    found = tracks["landmarks"].shape[1]
    if found != len(LANDMARKS):
        raise ConfigError(f"the labels hold {found} landmarks, expected {len(LANDMARKS)}: render the dataset again")
    return tracks


def _pack_labels(performance: Performance, clip: RenderedClip) -> bytes:
    # Tracks are weights, unit vectors and degrees, where half precision is far below what can be seen; pixels are not.
    tracks = {name: getattr(performance, name).astype(np.float16) for name in SCORE_TRACKS}
    labels = {name: getattr(clip, name).astype(np.float32) for name in PIXEL_LABELS}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **tracks, **labels)
    return buffer.getvalue()

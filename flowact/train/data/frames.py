"""Decoded frames on disk, and the batches of moving pictures the codec learns from.

Decoding H.264 costs more than a training step's reading, so the shards are decoded once into one memory-mapped file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowact.core.errors import ConfigError
from flowact.studio.dataset import find_shards, iterate
from flowact.studio.performance import LANDMARKS
from flowact.train.data.labels import LABELS
from flowact.train.stage import Place

Array = NDArray[Any]
BOXES = ("mouth_box", "face_box", "eye_boxes")

_FRAMES, _INDEX = "frames.u8", "index.npz"
_TRACKS = (*LABELS, *BOXES, "landmarks", "points")
_EYE_MARGIN = 0.35


@dataclass(frozen=True)
class FrameStore:
    """All frames of one split.

    Attributes:
        frames: [N, H, W, 3] uint8, memory-mapped.
        tracks: by name of LABELS and BOXES, "landmarks" and "points", arrays [N, ...] float32; boxes, landmarks
            and points in pixels.
        starts: [clips] index of each clip's first frame.
        lengths: [clips] number of frames of each clip.
        identities: [clips] number of the person.
    """

    frames: Array
    tracks: dict[str, Array]
    starts: Array
    lengths: Array
    identities: Array

    @classmethod
    def open(cls, folder: Path) -> FrameStore:
        """Open a store that `build_frame_store` wrote; ConfigError when there is none."""
        if not (folder / _INDEX).exists():
            raise ConfigError(f"no frame store in {folder}: expected {_INDEX}; make it with build_frame_store")
        with np.load(folder / _INDEX) as index:
            named = {name: index[name] for name in index.files}
        shape = tuple(int(n) for n in named.pop("shape"))
        frames = np.memmap(folder / _FRAMES, np.uint8, "r", shape=shape)
        return cls(frames, {name: named.pop(name) for name in _TRACKS}, **named)


def build_frame_store(shards_dir: Path, out_dir: Path, split: str = "train") -> FrameStore:
    """Decode every clip of a split into `out_dir` and open the result. Streams: needs the disk, not the memory.

    Raises:
        ConfigError: there are no shards, one is damaged, or the clips differ in size.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    tracks: dict[str, list[Array]] = {name: [] for name in _TRACKS}
    lengths: list[int] = []
    identities: list[int] = []
    size: tuple[int, ...] = ()
    with (out_dir / _FRAMES).open("wb") as file:
        for sample in iterate(find_shards(shards_dir, split)):
            size = size or sample.frames.shape[1:]
            if sample.frames.shape[1:] != size:
                raise ConfigError(
                    f"clip {sample.key} has frames {sample.frames.shape[1:]}, expected {size} as the clips before it: "
                    "render the dataset in one size"
                )
            if "points" not in sample.tracks:
                raise ConfigError(
                    f"clip {sample.key} has no points of surfaces, an older studio wrote it: render it again"
                )
            file.write(np.ascontiguousarray(sample.frames).data)
            boxes = eye_boxes(sample.tracks["landmarks"])
            for name, kept in tracks.items():
                kept.append(boxes if name == "eye_boxes" else sample.tracks[name])
            lengths.append(len(sample.frames))
            identities.append(int(sample.meta["identity"]))
    # The index comes last: a store whose building was stopped cannot be opened.
    joined: dict[str, Any] = {name: np.concatenate(kept).astype(np.float32) for name, kept in tracks.items()}
    np.savez(
        out_dir / _INDEX,
        shape=np.array([sum(lengths), *size]),
        starts=np.cumsum([0, *lengths[:-1]]),
        lengths=np.array(lengths),
        identities=np.array(identities),
        **joined,
    )
    return FrameStore.open(out_dir)


def eye_boxes(landmarks: Array) -> Array:
    """Boxes [F, 2, 4] around the left and right eye, lids included, from landmarks [F, K, 2]; NaN where unknown."""
    boxes = []
    for side in ("left", "right"):
        corners = landmarks[:, [LANDMARKS.index(f"eye_{side}_{end}") for end in ("inner", "outer")]]
        centre = corners.mean(1)
        half = np.linalg.norm(corners[:, 0] - corners[:, 1], axis=-1, keepdims=True) * (0.5 + _EYE_MARGIN)
        boxes.append(np.concatenate([centre - half, centre + half], -1))
    return np.stack(boxes, 1).astype(np.float32)


@dataclass(frozen=True)
class FrameBatches:
    """Opens endless codec batches (see CodecObjective for what is in one): a `MakeBatches` for a Stage.

    The encoder sees the clip in another light than the portrait, and the decoder must paint it in the portrait's:
    colours are then not worth coding.

    Attributes:
        store: where the frames lie.
        clips: clips in a batch.
        frames: consecutive frames of each, a multiple of 4.
        crop_px: side of the square cut around the face, a multiple of 16; the frame's side takes all of it.
        neutral_share: how often the reference is the clip's first frame, as it is when a portrait is animated;
            otherwise it is any frame of the clip.
        tint: largest change of each colour channel's gain, drawn per clip, once for what the encoder sees and once for
            the portrait; more skins and lights than were rendered.
    """

    store: FrameStore
    clips: int = 4
    frames: int = 8
    crop_px: int = 160
    neutral_share: float = 0.3
    tint: float = 0.15

    def __call__(self, place: Place) -> Iterator[dict[str, Tensor]]:
        """Batches from `place` on; equal places give equal batches."""
        step = place.step
        while True:
            rng = np.random.default_rng([place.seed, place.rank, step])
            yield self.draw(rng)
            step += 1

    def draw(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """One batch."""
        drawn = [self._draw_clip(rng) for _ in range(self.clips)]
        return {name: torch.from_numpy(np.stack([one[name] for one in drawn])) for name in drawn[0]}

    def _draw_clip(self, rng: np.random.Generator) -> dict[str, Array]:
        number = rng.integers(len(self.store.lengths))
        first, length = int(self.store.starts[number]), int(self.store.lengths[number])
        start = first + int(rng.integers(length - self.frames + 1))
        shown = first if rng.random() < self.neutral_share else first + int(rng.integers(length))
        span = slice(start, start + self.frames)
        x, y = self._corner(self.store.tracks["face_box"][span], rng)
        cut = (slice(y, y + self.crop_px), slice(x, x + self.crop_px))
        gains, other = 1 + rng.uniform(-self.tint, self.tint, (2, 3))
        pictures = {
            "clip": tinted(self.store.frames[span, cut[0], cut[1]], gains),
            "seen": tinted(self.store.frames[span, cut[0], cut[1]], other),
            "reference": tinted(self.store.frames[shown, cut[0], cut[1]], gains),
        }
        tracks, still = self._tracks(span, x, y), self._tracks(slice(shown, shown + 1), x, y)
        if rng.random() < 0.5:
            pictures = {name: np.ascontiguousarray(picture[..., ::-1, :]) for name, picture in pictures.items()}
            tracks, still = mirrored(tracks, self.crop_px), mirrored(still, self.crop_px)
        return pictures | tracks | {f"reference_{name}": track for name, track in still.items()}

    def _tracks(self, span: slice, x: int, y: int) -> dict[str, Array]:
        """Labels and boxes of some frames, as seen in a crop whose corner is at x, y."""
        offset = np.array([x, y, x, y], np.float32)
        tracks = {name: self.store.tracks[name][span] for name in LABELS}
        return tracks | {name: self.store.tracks[name][span] - offset for name in BOXES}

    def _corner(self, face_box: Array, rng: np.random.Generator) -> tuple[int, int]:
        """Upper left corner of a crop that is centred on the face, give or take an eighth, and inside the frame."""
        height, width = self.store.frames.shape[1:3]
        x0, y0, x1, y1 = face_box.mean(0)
        jitter = rng.uniform(-self.crop_px / 8, self.crop_px / 8, 2)
        x = (x0 + x1 - self.crop_px) / 2 + jitter[0]
        y = (y0 + y1 - self.crop_px) / 2 + jitter[1]
        return int(np.clip(x, 0, width - self.crop_px)), int(np.clip(y, 0, height - self.crop_px))


def mirrored(item: dict[str, Array], width: int) -> dict[str, Array]:
    """Tracks of pictures of a width seen in a mirror: boxes flipped, left and right exchanged, yaw and roll negated."""
    boxes = {name: np.array([width, 0, width, 0], np.float32) + item[name][..., [2, 1, 0, 3]] * (-1, 1, -1, 1)
             for name in BOXES}  # fmt: skip
    return {
        **item,
        "mouth_box": boxes["mouth_box"].astype(np.float32),
        "face_box": boxes["face_box"].astype(np.float32),
        "eye_boxes": boxes["eye_boxes"][:, ::-1].astype(np.float32),
        "eye_open": np.ascontiguousarray(item["eye_open"][:, ::-1]),
        "gaze": item["gaze"] * np.array([-1, 1], np.float32),
        "head": item["head"] * np.array([-1, 1, -1], np.float32),
    }


def tinted(pictures: Array, gains: Array) -> Array:
    """Pictures [..., 3] uint8 with each colour channel made stronger or weaker by gains [3]."""
    levels = np.arange(256)[:, None] * gains
    table = np.clip(np.round(levels), 0, 255).astype(np.uint8)
    return np.stack([table[pictures[..., channel], channel] for channel in range(3)], -1)

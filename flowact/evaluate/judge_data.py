"""What the judges learn from: small pictures and exact labels out of dataset shards."""

from __future__ import annotations

import io
import json
import tarfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowact.core.clock import FPS
from flowact.core.errors import ConfigError
from flowact.evaluate.judges import hand_mask
from flowact.evaluate.looking import MARGIN, Float, Frames, see_face, see_mouth, see_whole
from flowact.evaluate.metrics.behaviour import asked_action
from flowact.evaluate.probes import FACE_UNITS_READ, HAND_LABELS, SCALE
from flowact.studio.clipfile import LABELS, WORDS, Sample, read_clip
from flowact.studio.performance import FACE_UNITS

_TAKES = 2
EVERY_FRAMES = 2
_UNITS = [FACE_UNITS.index(name) for name in FACE_UNITS_READ]


@dataclass(frozen=True)
class Entry:
    """Where the files of one clip lie: suffix -> (offset, bytes) in its shard."""

    shard: Path
    key: str
    files: dict[str, tuple[int, int]]

    @property
    def identity(self) -> str:
        """Who plays, as the key says it."""
        return self.key.rpartition("-")[0]

    def read(self, suffixes: Sequence[str] | None = None) -> dict[str, bytes]:
        """The bytes of the wanted files; all of them by default."""
        found = {}
        with self.shard.open("rb") as file:
            for suffix in suffixes or list(self.files):
                offset, size = self.files[suffix]
                file.seek(offset)
                found[suffix] = file.read(size)
        return found

    def sample(self) -> Sample:
        """The decoded clip."""
        return read_clip(self.key, self.read())


@dataclass(frozen=True)
class Stretch:
    """One stretch of behaviour: tracks [T, TRACK_WIDTH] over `length_s`, and the action that is seen."""

    tracks: Float
    length_s: float
    action: str


@dataclass(frozen=True)
class Pictures:
    """N frames as the judges look at them, with their labels (see `flowact.evaluate.probes`).

    Attributes:
        whole, mouth, face: uint8 pictures; the crops are wider by MARGIN.
        place: [N, 6] mouth centre and face box in shares of the side.
        pose: [N, 10]. hands: [N, 28]. seen: [N, 28] 1 where the hand is in the picture. labels: [N, 13] of the face.
        opening: [N, 1].
        identity: [N] number of the person.
        clips: (first frame, behind last) and segments of every clip.
    """

    whole: Frames
    mouth: Frames
    face: Frames
    place: Float
    pose: Float
    hands: Float
    seen: Float
    labels: Float
    opening: Float
    identity: NDArray[np.int64]
    clips: list[tuple[int, int, list[dict[str, Any]]]]


def index_shards(shards: Sequence[Path]) -> list[Entry]:
    """Every clip of the shards, without reading it.

    Raises:
        ConfigError: a shard is missing or damaged.
    """
    entries: list[Entry] = []
    for shard in shards:
        files: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        try:
            with tarfile.open(shard) as tar:
                for member in tar:
                    key, _, suffix = member.name.partition(".")
                    files[key][suffix] = (member.offset_data, member.size)
        except (OSError, tarfile.TarError) as error:
            raise ConfigError(f"cannot read shard {shard}: {error}; expected a tar file: render it again") from error
        entries += [Entry(shard, key, parts) for key, parts in files.items()]
    return entries


def choose(entries: Sequence[Entry], clips: int, seed: int = 0) -> list[Entry]:
    """At most so many clips, two of each person before a third of anyone; the same seed chooses the same."""
    people: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        people[entry.identity].append(entry)
    names = sorted(people)
    order = [people[names[i]] for i in np.random.default_rng(seed).permutation(len(names))]
    ranked = [entry for part in order for entry in part[:_TAKES]] + [entry for part in order for entry in part[_TAKES:]]
    return ranked[:clips]


def load_pictures(entries: Sequence[Entry]) -> Pictures:
    """Decode clips and keep every second frame as the judges look at it."""
    parts: dict[str, list[Any]] = defaultdict(list)
    clips, total = [], 0
    for entry in entries:
        sample = entry.sample()
        frames, size = sample.frames[::EVERY_FRAMES], sample.frames.shape[1]
        tracks = {name: track[::EVERY_FRAMES] for name, track in sample.tracks.items()}
        box, face = tracks["mouth_box"] / size, tracks["face_box"] / size
        mouth = (box[:, :2] + box[:, 2:]) / 2
        values = read_labels(tracks)
        parts["whole"].append(see_whole(frames))
        parts["mouth"].append(see_mouth(frames, mouth, face, MARGIN))
        parts["face"].append(see_face(frames, face, MARGIN))
        parts["place"].append(np.concatenate([mouth, face], 1))
        for name, value in values.items():
            parts[name].append(value)
        parts["identity"].append(np.full(len(frames), int(sample.meta["identity"])))
        clips.append((total, total + len(frames), sample.meta["segments"]))
        total += len(frames)
    return Pictures(clips=clips, **{name: np.concatenate(values) for name, values in parts.items()})


def read_labels(tracks: dict[str, Float]) -> dict[str, Float]:
    """The labels of F frames in the judges' order: pose, hands, seen, labels, opening."""
    frames = len(tracks["head"])
    scaled = {name: tracks[name] * factor for name, factor in SCALE.items()}
    return {
        "pose": np.concatenate([scaled["head"], scaled["torso"], tracks["shoulders"], tracks["hand_visible"]], 1),
        "hands": np.concatenate([tracks[name].reshape(frames, -1) for name in HAND_LABELS], 1),
        "seen": hand_mask(tracks["hand_visible"]),
        "labels": np.concatenate([scaled["gaze"], tracks["eye_open"], tracks["face"][:, _UNITS]], 1),
        "opening": tracks["mouth_open"][:, None],
    }


def join_tracks(values: dict[str, Float]) -> Float:
    """What `read_labels` gives as tracks [F, TRACK_WIDTH]; a hand out of the picture is zero, as in `read_whole`."""
    parts = [values["pose"], values["hands"] * values["seen"], values["labels"], values["opening"]]
    return np.concatenate(parts, 1).astype(np.float32)


def load_stretches(entries: Sequence[Entry]) -> list[Stretch]:
    """Every stretch of behaviour with its true tracks; no picture is decoded."""
    stretches: list[Stretch] = []
    for entry in entries:
        files = entry.read((LABELS, WORDS))
        with np.load(io.BytesIO(files[LABELS])) as packed:
            values = read_labels({name: packed[name].astype(np.float32) for name in packed.files})
        stretches += cut_stretches(join_tracks(values), json.loads(files[WORDS])["segments"], FPS)
    return stretches


def cut_stretches(tracks: Float, segments: list[dict[str, Any]], rate_hz: float) -> list[Stretch]:
    """Cut the tracks [F, TRACK_WIDTH] of a clip, `rate_hz` rows a second, at its segments."""
    found = []
    for segment in segments:
        part = tracks[round(segment["start_s"] * rate_hz) : round(segment["end_s"] * rate_hz)]
        if len(part) >= 2:
            found.append(Stretch(part, len(part) / rate_hz, asked_action(segment["state"], segment["gesture"])))
    return found

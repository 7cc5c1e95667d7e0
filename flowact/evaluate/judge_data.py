"""What the judges learn from: small pictures and exact labels out of dataset shards."""

from __future__ import annotations

import json
import os
import tarfile
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowact.core.clock import FPS
from flowact.core.errors import ConfigError
from flowact.evaluate.judge_tracks import as_left, join_tracks, read_labels
from flowact.evaluate.looking import MARGIN, Float, Frames, find_hand, see_face, see_hand, see_mouth, see_whole
from flowact.evaluate.metrics.behaviour import asked_action
from flowact.evaluate.probes import HAND_SHAPE
from flowact.studio.clipfile import LABELS, WORDS, Sample, decode_labels, read_clip
from flowact.studio.performance import LANDMARKS

_TAKES = 2
EVERY_FRAMES = 3
_WRISTS = [LANDMARKS.index(name) for name in ("wrist_left", "wrist_right")]


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
    """One stretch of behaviour: tracks [T, TRACK_WIDTH] at the rate of frames, and the action that is seen."""

    tracks: Float
    action: str


@dataclass(frozen=True)
class Score:
    """The labels of one clip of F frames.

    Attributes:
        tracks: [F, TRACK_WIDTH].
        drivers: [F, 58] weights of visemes and face units, which the render was made from.
        openings: [F, 3] of mouth, left and right eye, which the render shows.
        segments: state, gesture, start_s, end_s.
    """

    tracks: Float
    drivers: Float
    openings: Float
    segments: list[dict[str, Any]]


@dataclass(frozen=True)
class Pictures:
    """N frames as the judges look at them, with their labels (see `flowact.evaluate.probes`), and M hands in them.

    Attributes:
        whole, mouth, face: uint8 pictures; the crops are wider by MARGIN.
        hand: uint8 pictures of the hands in the frames, wider likewise, every right one mirrored.
        place: [N, 10] mouth centre, face box and hand centres in shares of the side.
        pose: [N, 10]. wrist: [N, 6]. seen: [N, 2] 1 where the hand is in the picture. labels: [N, 13] of the face.
        opening: [N, 1].
        shape: [M, 11] palm, fingers and curl of each hand as of a left one.
        identity: [N] number of the person.
        clips: how many clips they are from.
    """

    whole: Frames
    mouth: Frames
    face: Frames
    hand: Frames
    place: Float
    pose: Float
    wrist: Float
    seen: Float
    labels: Float
    opening: Float
    shape: Float
    identity: NDArray[np.int64]
    clips: int


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


def part_people(entries: Sequence[Entry], every: int) -> tuple[list[Entry], list[Entry]]:
    """The clips of most people, and those of every so manieth person."""
    aside = set(sorted({entry.identity for entry in entries})[::every])
    return [e for e in entries if e.identity not in aside], [e for e in entries if e.identity in aside]


def load_pictures(entries: Sequence[Entry]) -> Pictures:
    """Decode clips and keep every third frame as the judges look at it."""
    parts: dict[str, list[Any]] = defaultdict(list)
    # Decoding and scaling leave the interpreter free.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(_look, entries):
            for name, value in found.items():
                parts[name].append(value)
    return Pictures(clips=len(entries), **{name: np.concatenate(values) for name, values in parts.items()})


def _look(entry: Entry) -> dict[str, Any]:
    sample = entry.sample()
    frames, size = sample.frames[::EVERY_FRAMES], sample.frames.shape[1]
    tracks = {name: track[::EVERY_FRAMES] for name, track in sample.tracks.items()}
    box, face = tracks["mouth_box"] / size, tracks["face_box"] / size
    mouth = (box[:, :2] + box[:, 2:]) / 2
    wrists = tracks["landmarks"][:, _WRISTS] / size
    seen = tracks["hand_visible"]
    hands, shapes, centres = [], [], []
    for side in range(2):
        centre = find_hand(wrists[:, side], tracks["fingers"][:, side], face)
        known = seen[:, side] > 0.5
        crops = see_hand(frames[known], centre[known], face[known], MARGIN)
        hands.append(crops[:, :, ::-1] if side else crops)
        hand = np.concatenate([tracks[name][known, side] for name in ("wrist", *HAND_SHAPE)], 1)
        shapes.append(as_left(hand, side)[:, tracks["wrist"].shape[-1] :])
        centres.append(np.nan_to_num(centre))
    values = read_labels(tracks)
    return {
        "whole": see_whole(frames),
        "mouth": see_mouth(frames, mouth, face, MARGIN),
        "face": see_face(frames, face, MARGIN),
        "hand": np.concatenate(hands),
        "place": np.concatenate([mouth, face, *centres], 1).astype(np.float32),
        "pose": values["pose"],
        "wrist": tracks["wrist"].reshape(len(frames), -1),
        "seen": seen,
        "labels": values["labels"],
        "opening": values["opening"],
        "shape": np.concatenate(shapes),
        "identity": np.full(len(frames), int(sample.meta["identity"])),
    }


def load_scores(entries: Sequence[Entry]) -> list[Score]:
    """The labels of clips; no picture is decoded."""
    scores: list[Score] = []
    for entry in entries:
        files = entry.read((LABELS, WORDS))
        tracks = decode_labels(files[LABELS])
        scores.append(
            Score(
                join_tracks(tracks),
                np.concatenate([tracks["visemes"], tracks["face"]], 1),
                np.concatenate([tracks["mouth_open"][:, None], tracks["eye_open"]], 1),
                json.loads(files[WORDS])["segments"],
            )
        )
    return scores


def cut_stretches(tracks: Float, segments: Sequence[dict[str, Any]], rate_hz: float = FPS) -> list[Stretch]:
    """Cut the tracks [F, TRACK_WIDTH] of a clip, `rate_hz` rows a second, at its segments; those that end behind its
    end, or last less than two rows, are left out.
    """
    found = []
    for segment in segments:
        first, last = round(segment["start_s"] * rate_hz), round(segment["end_s"] * rate_hz)
        if last <= len(tracks) and last - first >= 2:
            found.append(Stretch(tracks[first:last], asked_action(segment["state"], segment["gesture"])))
    return found

"""The judges together: they watch pictures as they come and tell what is seen. Weights: a folder of six networks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowact.core.clock import FPS
from flowact.core.errors import CheckpointError
from flowact.evaluate.judge_tracks import HAND_COLUMNS, HANDS_SEEN, as_left, hand_mask, take_steps
from flowact.evaluate.looking import Float, Frames, see_face, see_hand, see_mouth, see_whole
from flowact.evaluate.metrics.motion import MotionMeter
from flowact.evaluate.metrics.sharpness import face_detail
from flowact.evaluate.probes import (
    HAND_LABELS,
    PLACE_LABELS,
    POSE_LABELS,
    ActionProbe,
    IdentityProbe,
    Reader,
)
from flowact.models.weights import load_model, save_model

DEFAULT_JUDGES = Path(__file__).resolve().parents[2] / "weights" / "judges"
IDENTITY_EVERY_FRAMES = 5
FIRST_SECOND, LAST_SECOND = slice(FPS // IDENTITY_EVERY_FRAMES), slice(-(FPS // IDENTITY_EVERY_FRAMES), None)
"""Of the embeddings of an observation."""
_NOTES = "judges.json"
_PLACES = sum(PLACE_LABELS.values())
_POSES = sum(POSE_LABELS.values())
_WRIST = HAND_LABELS["wrist"] // 2
_NETWORKS = ("locator", "hand", "mouth", "face", "identity", "action")
_MAYBE_SEEN = 0.15
"""Below this a hand is not looked at."""


@dataclass(frozen=True)
class Observation:
    """What the judges saw in F consecutive frames.

    Attributes:
        tracks: [F, TRACK_WIDTH] pose, hands, face and mouth opening, as the action probe takes them.
        mouth_open: [F] lip gap in mouth widths, as `RenderedClip.mouth_open`.
        embeddings: [ceil(F / IDENTITY_EVERY_FRAMES), E] who is seen, unit vectors.
        velocity: [F - 1] mean absolute change of the picture from one frame to the next, in grey levels.
        jump: [F - 2] mean absolute change of that change.
        detail: [F] how sharp the face is (`metrics.sharpness`).
    """

    tracks: Float
    mouth_open: Float
    embeddings: Float
    velocity: Float
    jump: Float
    detail: Float


@dataclass(frozen=True)
class Judges:
    """Six trained networks, the identity threshold, and notes on how well they judge true clips."""

    locator: Reader
    hand: Reader
    mouth: Reader
    face: Reader
    identity: IdentityProbe
    action: ActionProbe
    same_person: float
    notes: Mapping[str, Any]

    @staticmethod
    def load(folder: Path | None = None) -> Judges:
        """Load the judges of a folder; without one, those that ship with the project.

        Raises:
            CheckpointError: the folder holds no usable judges.
        """
        folder = folder or DEFAULT_JUDGES
        try:
            notes = json.loads((folder / _NOTES).read_text(encoding="utf-8"))
            threshold = float(notes["same_person_threshold"])
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{folder} holds no judges ({error}); "
                "train them with: flowact evaluate train-judges --data DIR --out DIR"
            ) from error
        return Judges(
            load_model(Reader, folder / "locator"),
            load_model(Reader, folder / "hand"),
            load_model(Reader, folder / "mouth"),
            load_model(Reader, folder / "face"),
            load_model(IdentityProbe, folder / "identity"),
            load_model(ActionProbe, folder / "action"),
            threshold,
            notes,
        )

    def save(self, folder: Path) -> None:
        """Write a folder that `load` reads; half precision keeps it small."""
        for name in _NETWORKS:
            network = getattr(self, name)
            save_model(network, network.config, folder / name, torch.bfloat16 if name != "action" else torch.float32)
        text = json.dumps(dict(self.notes) | {"same_person_threshold": self.same_person}, indent=1)
        (folder / _NOTES).write_text(text + "\n", encoding="utf-8")

    def observe(self, frames: Frames) -> Observation:
        """Watch a whole clip [F, H, W, 3]."""
        watch = Watch(self)
        for start in range(0, len(frames), 64):
            watch.add(frames[start : start + 64])
        return watch.result()

    def name_action(self, tracks: Float) -> Tensor:
        """Scores [actions] of what is done in tracks [F, TRACK_WIDTH] of one stretch of behaviour."""
        with torch.inference_mode():
            steps = torch.from_numpy(take_steps(tracks))
            scores: Tensor = self.action(steps[None], torch.tensor([len(steps)]))[0]
            return scores


class Watch:
    """Watches one stream, any number of frames at a time, and keeps only what was read."""

    def __init__(self, judges: Judges) -> None:
        self._judges = judges
        self._tracks: list[Float] = []
        self._detail: list[Float] = []
        self._embeddings: list[Float] = []
        self._motion = MotionMeter()
        self._seen = 0

    def add(self, frames: Frames) -> None:
        """Watch frames [F, H, W, 3]; F may be anything from 1."""
        judges = self._judges
        with torch.inference_mode():
            places, pose, wrists = read_whole(judges.locator, see_whole(frames))
            mouth_centre, face_box = places[:, :2], places[:, 2:6]
            seen = np.clip(pose[:, HANDS_SEEN], 0, 1)
            hands = read_hands(judges.hand, frames, places, wrists, seen)
            mouth = judges.mouth(to_tensor(see_mouth(frames, mouth_centre, face_box)))
            faces = to_tensor(see_face(frames, face_box))
            face = judges.face(faces)
            chosen = (torch.arange(len(frames)) + self._seen) % IDENTITY_EVERY_FRAMES == 0
            if bool(chosen.any()):
                self._embeddings.append(judges.identity(faces[chosen]).numpy())
        self._tracks.append(np.concatenate([pose, hands, face.numpy(), mouth.numpy()], 1))
        self._detail.append(face_detail(frames, face_box))
        self._motion.add(frames)
        self._seen += len(frames)

    def result(self) -> Observation:
        """What was seen so far."""
        tracks = np.concatenate(self._tracks)
        return Observation(
            tracks,
            tracks[:, -1],
            np.concatenate(self._embeddings),
            self._motion.velocity,
            self._motion.jump,
            np.concatenate(self._detail),
        )


def read_whole(locator: Reader, pictures: Frames) -> tuple[Float, Float, Float]:
    """Places [N, 10], pose [N, 10] and wrists [N, 6] of small whole pictures."""
    values = locator(to_tensor(pictures)).numpy()
    places, pose, wrists = np.split(values, [_PLACES, _PLACES + _POSES], 1)
    return places, pose, wrists


def read_hands(reader: Reader, frames: Frames, places: Float, wrists: Float, seen: Float) -> Float:
    """Tracks [N, 28] of both hands, as far as they are `seen` [N, 2]; a hand out of the picture is zero."""
    both = np.zeros((len(frames), sum(HAND_LABELS.values())), np.float32)
    for side, columns in enumerate(HAND_COLUMNS):
        hand = np.zeros((len(frames), len(columns)), np.float32)
        near = seen[:, side] > _MAYBE_SEEN
        if near.any():
            crops = see_hand(frames[near], places[near, 6 + 2 * side : 8 + 2 * side], places[near, 2:6])
            hand[near, _WRIST:] = reader(to_tensor(crops[:, :, ::-1] if side else crops)).numpy()
        hand = as_left(hand, side)
        hand[:, :_WRIST] = wrists[:, side * _WRIST : (side + 1) * _WRIST]
        both[:, np.asarray(columns) - _POSES] = hand
    return both * hand_mask(seen)


def to_tensor(pictures: Frames) -> Tensor:
    """uint8 [N, H, W, 3] to float [N, 3, H, W] in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255

"""Trains the judges: six small networks, about a quarter of an hour on two processor cores in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F

from flowact.core.errors import ConfigError
from flowact.evaluate.judge_action import train_action
from flowact.evaluate.judge_check import Watched, check_judges, watch
from flowact.evaluate.judge_data import (
    Entry,
    Pictures,
    Stretch,
    choose,
    cut_stretches,
    index_shards,
    load_pictures,
    load_scores,
    part_people,
)
from flowact.evaluate.judge_errors import ReadingErrors
from flowact.evaluate.judge_fit import fit
from flowact.evaluate.judge_scores import Rig, make_stretches
from flowact.evaluate.judge_tracks import HANDS_SEEN, mirror_columns, mirror_places, take_steps
from flowact.evaluate.judge_varying import mirror, take_crops, vary
from flowact.evaluate.judges import FIRST_SECOND, LAST_SECOND, Judges, to_tensor
from flowact.evaluate.looking import FACE_PX, HAND_PX, MOUTH_PX, WHOLE_PX, Float
from flowact.evaluate.metrics.identity import equal_error, mean_direction, pair_similarities
from flowact.evaluate.probes import (
    FACE_LABELS,
    HAND_LABELS,
    HAND_SHAPE,
    PLACE_LABELS,
    POSE_LABELS,
    ActionConfig,
    ActionProbe,
    IdentityProbe,
    Reader,
    ReaderConfig,
)
from flowact.studio.dataset import find_shards

_BATCH = 96
_EMBEDDING = 48
_ASIDE = 6
"""Every sixth training person is not learnt: there the readers' errors and the identity threshold are measured."""
_PLACES, _POSES, _WRISTS = sum(PLACE_LABELS.values()), sum(POSE_LABELS.values()), HAND_LABELS["wrist"]
_HAND_CENTRES = slice(_PLACES - PLACE_LABELS["hand_centres"], _PLACES)
_IDENTITY_SCALE, _IDENTITY_MARGIN = 16.0, 0.2
_OFTENER_WITH_HANDS = 2.0


@dataclass(frozen=True)
class JudgeSettings:
    """How much the judges learn from, and how long.

    Attributes:
        clips: training clips whose pictures are used.
        scores: training clips whose labels are used (for actions); no pictures are needed.
        practice: performances composed for the action probe, since the data shows most actions rarely.
        check_clips: clips of unseen people, of each folder, on which the judges are checked.
        passes: over the pictures, for the locator; the others take fewer.
        seed: of everything random.
    """

    clips: int = 600
    scores: int = 3000
    practice: int = 1200
    check_clips: int = 48
    passes: float = 5.0
    seed: int = 0


def train_judges(
    data: Sequence[Path], out: Path, settings: JudgeSettings | None = None, console: Console | None = None
) -> Judges:
    """Train on the split "train" of datasets, check on the "val" of each, and write a folder for `Judges.load`.

    Raises:
        ConfigError: a dataset lacks a split, or there are too few people.
    """
    settings, console = settings or JudgeSettings(), console or Console()
    torch.manual_seed(settings.seed)
    entries = [entry for folder in data for entry in index_shards(find_shards(folder, "train"))]
    unseen = [choose(index_shards(find_shards(folder, "val")), settings.check_clips, settings.seed) for folder in data]
    learnt, aside = part_people(choose(entries, settings.clips, settings.seed), _ASIDE)
    people = len({entry.identity for entry in learnt})
    if people < _ASIDE:
        raise ConfigError(f"the judges learn from at least {_ASIDE} people, got {people}: render more")
    with console.status(f"decoding {len(learnt)} clips"):
        pictures = load_pictures(learnt)
    console.print(f"{len(learnt)} clips, {len(pictures.whole)} pictures, {len(pictures.hand)} hands, {people} people")
    trainer = _Trainer(pictures, settings, console)
    judges = Judges(
        trainer.locator(),
        trainer.hand(),
        trainer.mouth(),
        trainer.face(),
        trainer.identity(),
        ActionProbe(ActionConfig()).eval(),
        0.0,
        {},
    )
    judges.save(out)  # what follows takes a while, and weights are dear
    with console.status(f"watching {len(aside)} clips of people who were not learnt"):
        watched = watch(judges, aside)
    judges = replace(judges, same_person=_find_threshold(watched))
    judges = replace(judges, action=_train_action(entries, watched, settings, console, trainer.rng))
    judges.save(out)
    notes = []
    for folder, clips in zip(data, unseen):
        with console.status(f"checking on {len(clips)} clips of {folder}"):
            notes.append({"data": folder.name, **check_judges(judges, clips)})
    judges = replace(judges, notes={"unseen_people": notes})
    judges.save(out)
    console.print(judges.notes)
    return judges


def _train_action(
    entries: Sequence[Entry],
    watched: Sequence[Watched],
    settings: JudgeSettings,
    console: Console,
    rng: np.random.Generator,
) -> ActionProbe:
    with console.status(f"composing {settings.practice} performances"):
        scores = load_scores(choose(entries, settings.scores, settings.seed))
        exact = [stretch for s in scores for stretch in cut_stretches(s.tracks, s.segments)]
        exact += make_stretches(settings.practice, Rig.fit(scores), settings.seed)
    true, read = (_cut(watched, [getattr(w, name) for w in watched]) for name in ("tracks", "seen"))
    errors = ReadingErrors.measure(*([take_steps(s.tracks) for s in part] for part in (true, read)))
    console.print(f"{len(exact)} exact stretches of behaviour, {len(read)} as they are read")
    return train_action(exact, read, errors, console, rng)


def _cut(watched: Sequence[Watched], tracks: Sequence[Float]) -> list[Stretch]:
    return [stretch for w, rows in zip(watched, tracks, strict=True) for stretch in cut_stretches(rows, w.segments)]


def _find_threshold(watched: Sequence[Watched]) -> float:
    """The similarity of equal error, between first and last seconds."""
    ends = [np.stack([mean_direction(w.embeddings[part]) for w in watched]) for part in (FIRST_SECOND, LAST_SECOND)]
    return equal_error(*pair_similarities(ends[0], ends[1], np.asarray([w.identity for w in watched])))[1]


def _with_mirrored(*pairs: tuple[Float, Float]) -> list[tuple[Tensor, Tensor]]:
    return [(torch.from_numpy(label), torch.from_numpy(other)) for label, other in pairs]


class _Trainer:
    """The training of each reader on the same pictures."""

    def __init__(self, pictures: Pictures, settings: JudgeSettings, console: Console) -> None:
        self.pictures, self.settings, self.console = pictures, settings, console
        self.rng = np.random.default_rng(settings.seed)

    def _steps(self, share: float, rows: int) -> int:
        return max(4, round(share * self.settings.passes * rows / _BATCH))

    def _rows(self, of: int) -> list[int]:
        return self.rng.integers(of, size=_BATCH).tolist()

    def locator(self) -> Reader:
        """Where everything is, and how head, chest and arms are held."""
        network = Reader(ReaderConfig(WHOLE_PX, _PLACES + _POSES + _WRISTS))
        p = self.pictures
        targets = _with_mirrored(
            (p.place, mirror_places(p.place)),
            (p.pose, mirror_columns(p.pose, 0)),
            (p.wrist, mirror_columns(p.wrist, _POSES)),
            (p.seen, p.seen[:, ::-1].copy()),
        )
        chance = 1 + (_OFTENER_WITH_HANDS - 1) * p.seen.max(1).astype(np.float64)
        chance /= chance.sum()

        def loss() -> Tensor:
            rows = self.rng.choice(len(p.whole), _BATCH, p=chance)
            labels = [(label[rows], other[rows]) for label, other in targets]
            pictures, true_place, true_pose, true_wrists, seen = mirror(to_tensor(p.whole[rows]), *labels)
            place, pose, wrists = network(vary(pictures)).float().split([_PLACES, _POSES, _WRISTS], 1)
            hands = seen.sum().clamp_min(1)
            arm = F.smooth_l1_loss(wrists, true_wrists, reduction="none", beta=0.1) * seen.repeat_interleave(3, 1)
            near = (place - true_place).abs()
            near_hands = (near[:, _HAND_CENTRES] * seen.repeat_interleave(2, 1)).sum() / hands
            # Places are learnt first whatever their weight; a large one starved the pose and the hands.
            posed = F.smooth_l1_loss(pose, true_pose, beta=0.1) + F.smooth_l1_loss(
                pose[:, HANDS_SEEN], true_pose[:, HANDS_SEEN], beta=0.1
            )
            return 5 * near[:, : _HAND_CENTRES.start].mean() + near_hands + 4 * posed + arm.sum() / hands

        fit("locator", network, loss, self._steps(1.0, len(p.whole)), self.console)
        return network

    def hand(self) -> Reader:
        """How palm and fingers are held."""
        network = Reader(ReaderConfig(HAND_PX, sum(HAND_SHAPE.values())))
        pictures, shape = self.pictures.hand, torch.from_numpy(self.pictures.shape)
        if not len(pictures):
            raise ConfigError(f"no hand is seen in {self.pictures.clips} clips, and one judge reads hands: render more")

        def loss() -> Tensor:
            rows = self._rows(len(pictures))
            return F.smooth_l1_loss(network(vary(take_crops(pictures[rows], HAND_PX))).float(), shape[rows], beta=0.2)

        fit("hand", network, loss, self._steps(2.0, len(pictures)), self.console)
        return network

    def mouth(self) -> Reader:
        """How far the mouth is open."""
        network = Reader(ReaderConfig(MOUTH_PX, 1))
        opening = torch.from_numpy(self.pictures.opening)

        def loss() -> Tensor:
            rows = self._rows(len(opening))
            crops = vary(take_crops(self.pictures.mouth[rows], MOUTH_PX))
            return F.smooth_l1_loss(network(crops).float(), opening[rows], beta=0.02)

        fit("mouth", network, loss, self._steps(0.7, len(opening)), self.console)
        return network

    def face(self) -> Reader:
        """Gaze, lids and expression."""
        network = Reader(ReaderConfig(FACE_PX, sum(FACE_LABELS.values())))
        known = self.pictures.labels
        ((labels, mirrored),) = _with_mirrored((known, mirror_columns(known, _POSES + sum(HAND_LABELS.values()))))

        def loss() -> Tensor:
            rows = self._rows(len(labels))
            crops, wanted = mirror(take_crops(self.pictures.face[rows], FACE_PX), (labels[rows], mirrored[rows]))
            return F.smooth_l1_loss(network(vary(crops)).float(), wanted, beta=0.2)

        fit("face", network, loss, self._steps(0.8, len(labels)), self.console)
        return network

    def identity(self) -> IdentityProbe:
        """Who it is."""
        network = IdentityProbe(ReaderConfig(FACE_PX, _EMBEDDING))
        people, number = np.unique(self.pictures.identity, return_inverse=True)
        centres = nn.Parameter(torch.randn(len(people), _EMBEDDING))
        wanted = torch.from_numpy(number)

        def loss() -> Tensor:
            rows = self._rows(len(wanted))
            crops = vary(mirror(take_crops(self.pictures.face[rows], FACE_PX))[0])
            near = network(crops).float() @ F.normalize(centres, dim=-1).T
            margin = _IDENTITY_MARGIN * F.one_hot(wanted[rows], len(people))
            return F.cross_entropy(_IDENTITY_SCALE * (near - margin), wanted[rows])

        fit("identity", network, loss, self._steps(0.8, len(wanted)), self.console, [centres])
        return network

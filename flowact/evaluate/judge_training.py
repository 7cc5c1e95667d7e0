"""Trains the judges: five small networks, a few minutes on one processor core in all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F

from flowact.core.clock import FPS
from flowact.core.device import choose_precision
from flowact.core.errors import ConfigError
from flowact.evaluate.judge_check import check_judges
from flowact.evaluate.judge_data import (
    EVERY_FRAMES,
    Pictures,
    Stretch,
    choose,
    cut_stretches,
    index_shards,
    load_pictures,
)
from flowact.evaluate.judge_data import load_stretches as load_true_stretches
from flowact.evaluate.judge_scores import make_stretches
from flowact.evaluate.judge_varying import middle, mirror, take_crops, vary
from flowact.evaluate.judges import HANDS_SEEN, Judges, read_whole, resample, to_tensor
from flowact.evaluate.looking import FACE_PX, MOUTH_PX, WHOLE_PX, Float
from flowact.evaluate.metrics.identity import equal_error, pair_similarities
from flowact.evaluate.probes import (
    ACTIONS,
    FACE_LABELS,
    HAND_LABELS,
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
"""Every sixth training person sets the identity threshold instead of training the probe."""
_PLACES, _POSES, _HANDS = (sum(labels.values()) for labels in (PLACE_LABELS, POSE_LABELS, HAND_LABELS))
_IDENTITY_SCALE, _IDENTITY_MARGIN = 16.0, 0.2


@dataclass(frozen=True)
class JudgeSettings:
    """How much the judges learn from, and how long.

    Attributes:
        clips: training clips whose pictures are used.
        scores: training clips whose labels are used (for actions); no pictures are needed.
        practice: stretches composed for the action probe, since the data shows most actions rarely.
        check_clips: clips of unseen people on which the judges are checked.
        passes: over the pictures, for each network.
        seed: of everything random.
    """

    clips: int = 260
    scores: int = 3000
    practice: int = 1400
    check_clips: int = 48
    passes: float = 5.0
    seed: int = 0


def train_judges(
    data: Path, out: Path, settings: JudgeSettings | None = None, console: Console | None = None
) -> Judges:
    """Train on the split "train" of a dataset, check on "val", and write a folder for `Judges.load`.

    Raises:
        ConfigError: the dataset lacks a split.
    """
    settings, console = settings or JudgeSettings(), console or Console()
    torch.manual_seed(settings.seed)
    entries = index_shards(find_shards(data, "train"))
    unseen = choose(index_shards(find_shards(data, "val")), settings.check_clips, settings.seed)
    pictures = load_pictures(choose(entries, settings.clips, settings.seed))
    console.print(f"{len(pictures.clips)} clips, {len(pictures.whole)} pictures, {len(set(pictures.identity))} people")
    trainer = _Trainer(pictures, settings, console)
    locator, mouth, face = trainer.locator(), trainer.mouth(), trainer.face()
    identity, same_person = trainer.identity()
    stretches = load_true_stretches(choose(entries, settings.scores, settings.seed))
    stretches += make_stretches(settings.practice, [s for s in stretches if s.action == "talk"], settings.seed)
    action = trainer.action(stretches, _read_stretches(pictures, locator, mouth, face))
    judges = Judges(locator, mouth, face, identity, action, same_person, {})
    judges.save(out)  # the check takes a while, and weights are dear
    judges = replace(judges, notes={"unseen_people": check_judges(judges, unseen)})
    judges.save(out)
    console.print(judges.notes)
    return judges


class _Trainer:
    """The training of each network on the same pictures."""

    def __init__(self, pictures: Pictures, settings: JudgeSettings, console: Console) -> None:
        self.pictures, self.settings, self.console = pictures, settings, console
        self.steps = max(4, round(settings.passes * len(pictures.whole) / _BATCH))
        self.rng = np.random.default_rng(settings.seed)

    def locator(self) -> Reader:
        network = Reader(ReaderConfig(WHOLE_PX, _PLACES + _POSES + _HANDS))
        p = self.pictures
        targets = [torch.from_numpy(part) for part in (p.place, p.pose, p.hands, p.seen)]

        def loss(rows: NDArray[np.int64]) -> Tensor:
            place, pose, hands = network(vary(to_tensor(p.whole[rows]))).float().split([_PLACES, _POSES, _HANDS], 1)
            true_place, true_pose, true_hands, seen = (target[rows] for target in targets)
            hand = (F.smooth_l1_loss(hands, true_hands, reduction="none", beta=0.2) * seen).sum()
            # Places are learnt first whatever their weight; a large one starved the pose and the hands.
            posed = F.smooth_l1_loss(pose, true_pose, beta=0.1) + F.smooth_l1_loss(
                pose[:, HANDS_SEEN], true_pose[:, HANDS_SEEN], beta=0.1
            )
            return 5 * (place - true_place).abs().mean() + 4 * posed + hand / seen.sum().clamp_min(1)

        return self._fit("locator", network, loss)

    def mouth(self) -> Reader:
        network = Reader(ReaderConfig(MOUTH_PX, 1))
        opening = torch.from_numpy(self.pictures.opening)

        def loss(rows: NDArray[np.int64]) -> Tensor:
            crops = vary(take_crops(self.pictures.mouth[rows], MOUTH_PX))
            return F.smooth_l1_loss(network(crops).float(), opening[rows], beta=0.02)

        return self._fit("mouth", network, loss)

    def face(self) -> Reader:
        network = Reader(ReaderConfig(FACE_PX, sum(FACE_LABELS.values())))
        labels = torch.from_numpy(self.pictures.labels)

        def loss(rows: NDArray[np.int64]) -> Tensor:
            crops = vary(take_crops(self.pictures.face[rows], FACE_PX))
            return F.smooth_l1_loss(network(crops).float(), labels[rows], beta=0.2)

        return self._fit("face", network, loss)

    def identity(self) -> tuple[IdentityProbe, float]:
        """The probe, and the threshold of equal error on training people that it did not learn."""
        network = IdentityProbe(ReaderConfig(FACE_PX, _EMBEDDING))
        people, number = np.unique(self.pictures.identity, return_inverse=True)
        if len(people) <= _ASIDE:
            raise ConfigError(f"the identity judge needs more than {_ASIDE} people, got {len(people)}: render more")
        aside = number % _ASIDE == 0
        centres = nn.Parameter(torch.randn(len(people), _EMBEDDING))
        wanted = torch.from_numpy(number)

        def loss(rows: NDArray[np.int64]) -> Tensor:
            crops = vary(mirror(take_crops(self.pictures.face[rows], FACE_PX)))
            near = network(crops).float() @ F.normalize(centres, dim=-1).T
            margin = _IDENTITY_MARGIN * F.one_hot(wanted[rows], len(people))
            return F.cross_entropy(_IDENTITY_SCALE * (near - margin), wanted[rows])

        self._fit("identity", network, loss, np.flatnonzero(~aside), [centres])
        return network, self._threshold(network, aside)

    def _threshold(self, network: IdentityProbe, aside: NDArray[np.bool_]) -> float:
        second = FPS // EVERY_FRAMES
        chosen = [(first, last) for first, last, _ in self.pictures.clips if aside[first]]
        ends = []
        with torch.inference_mode():
            for rows in ([range(a, a + second) for a, _ in chosen], [range(b - second, b) for _, b in chosen]):
                crops = to_tensor(middle(self.pictures.face[np.concatenate([list(r) for r in rows])], FACE_PX))
                ends.append(F.normalize(network(crops).unflatten(0, (len(chosen), -1)).mean(1), dim=-1).numpy())
        people = self.pictures.identity[[first for first, _ in chosen]]
        return equal_error(*pair_similarities(ends[0], ends[1], people))[1]

    def action(self, true: Sequence[Stretch], read: Sequence[Stretch]) -> ActionProbe:
        """Trained on true tracks made noisy, and on tracks as the readers see them, half and half."""
        network = ActionProbe(ActionConfig())
        pools = [_stack(true), _stack(read)]
        spread = np.concatenate([tracks for tracks, _, _ in pools]).reshape(-1, pools[0][0].shape[-1])
        network.mean.copy_(torch.from_numpy(spread.mean(0)))
        network.deviation.copy_(torch.from_numpy(spread.std(0) + 1e-3))
        half = _BATCH // 2
        steps = max(4, round(12 * len(true) / half))
        chances = [_even_chances(wanted) for _, _, wanted in pools]

        def loss(_: NDArray[np.int64]) -> Tensor:
            parts = []
            for (tracks, length_s, wanted), chance, noise in zip(pools, chances, (0.4, 0.1)):
                rows = self.rng.choice(len(tracks), half, p=chance)
                x = torch.from_numpy(tracks[rows])
                # Readers shrink what they are unsure of and err the same way for a while, so noise is slow and fast.
                slow = F.interpolate(torch.randn(half, x.shape[2], 5), x.shape[1], mode="linear").transpose(1, 2)
                x = x + noise * network.deviation * (0.7 * slow + 0.5 * torch.randn_like(x))
                scores = network(x, torch.from_numpy(length_s[rows]))
                parts.append(F.cross_entropy(scores, torch.from_numpy(wanted[rows]), label_smoothing=0.05))
            return torch.stack(parts).mean()

        return self._fit("action", network, loss, steps=steps)

    def _fit(
        self,
        name: str,
        network: Any,
        loss_of: Callable[[NDArray[np.int64]], Tensor],
        rows: NDArray[np.int64] | None = None,
        extra: Sequence[nn.Parameter] = (),
        steps: int | None = None,
    ) -> Any:
        rows = np.arange(len(self.pictures.whole)) if rows is None else rows
        steps = steps or self.steps
        parameters = [*network.parameters(), *extra]
        optimiser = torch.optim.AdamW(parameters, 3e-3, betas=(0.9, 0.98), weight_decay=0.02)
        rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps, pct_start=0.15)
        device = torch.device("cpu")
        precision = choose_precision(device)
        begun, mean = time.process_time(), 0.0
        network.train()
        for step in range(steps):
            with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                loss = loss_of(self.rng.choice(rows, min(_BATCH, len(rows)), replace=False))
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            rates.step()
            mean += (loss.item() - mean) / min(step + 1, 50)
        network.eval()
        self.console.print(f"{name}: {steps} steps, loss {mean:.4f}, {time.process_time() - begun:.0f} s of processor")
        return network


def _read_stretches(pictures: Pictures, locator: Reader, mouth: Reader, face: Reader) -> list[Stretch]:
    """The stretches of the pictures' clips, as the trained readers see them."""
    found: list[Stretch] = []
    with torch.inference_mode():
        for first, last, segments in pictures.clips:
            rows = slice(first, last)
            seen = read_whole(locator, pictures.whole[rows])[1]
            looks = face(to_tensor(middle(pictures.face[rows], FACE_PX))).numpy()
            opening = mouth(to_tensor(middle(pictures.mouth[rows], MOUTH_PX))).numpy()
            tracks = np.concatenate([seen, looks, opening], 1)
            found += cut_stretches(tracks, segments, (last - first) / (segments[-1]["end_s"] or 1 / FPS))
    return found


def _even_chances(wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Chances to draw each stretch: rare actions more often, by the root of how rare they are."""
    weight = 1 / np.sqrt(np.bincount(wanted, minlength=len(ACTIONS))[wanted])
    return np.asarray(weight / weight.sum())


def _stack(stretches: Sequence[Stretch]) -> tuple[Float, Float, NDArray[np.int64]]:
    tracks = np.stack([resample(s.tracks) for s in stretches])
    lengths = np.asarray([s.length_s for s in stretches], np.float32)
    return tracks, lengths, np.asarray([ACTIONS.index(s.action) for s in stretches])

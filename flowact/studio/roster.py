"""Who is who in a dataset: which people are drawn or modelled, who is held out, and how clips fill shards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowact.core.errors import ConfigError

SPLITS = ("train", "val", "sentences")
"""train; val: unseen people saying unseen sentences; sentences: known people saying unseen sentences."""

_CLIPS_PER_SHARD = 32
_GOLDEN, _SILVER = 0.6180339887498949, 0.41421356237309515


@dataclass(frozen=True)
class DatasetSettings:
    """What is rendered: `identities` people from number `first` on, `takes` clips each of `frames` frames, square
    pictures of `size`. The share `busy_hands` of the people gesture all the time, and
    the faces of the share `loose_faces` do what they like.
    """

    identities: int
    takes: int
    frames: int = 100
    size: int = 256
    seed: int = 0
    first: int = 0
    busy_hands: float = 0.0
    loose_faces: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("identities", 1), ("takes", 1), ("frames", 1), ("size", 64), ("seed", 0), ("first", 0)):
            got = getattr(self, name)
            if got < least:
                raise ConfigError(f"dataset setting {name} is {got}; expected at least {least}: choose a larger value")
        for name in ("busy_hands", "loose_faces"):
            if not 0 <= (got := getattr(self, name)) <= 1:
                raise ConfigError(f"dataset setting {name} is {got}; expected a share of people, 0 to 1")


@dataclass(frozen=True)
class ClipPlan:
    """One clip to render."""

    identity: int
    take: int
    split: str

    @property
    def key(self) -> str:
        """Unique name inside the dataset; no dots, since a shard groups files by what stands before the first one."""
        return f"id{self.identity:05d}-take{self.take:02d}"

    def seed(self, root: int) -> int:
        """The number that decides what happens in the clip and how it is framed."""
        return int(np.random.SeedSequence([root, self.identity, self.take]).generate_state(1)[0])


@dataclass(frozen=True)
class ShardPlan:
    """The clips that make one tar file."""

    name: str
    clips: tuple[ClipPlan, ...]


def kind_of(identity: int) -> str:
    """Every fifth person is a drawn puppet, the others are 3D characters: "2d" or "3d"."""
    return "2d" if identity % 5 == 4 else "3d"


def is_held_out(identity: int) -> bool:
    """True for the people whom training never sees: one in sixteen."""
    return identity % 16 == 7


def has_busy_hands(identity: int, share: float) -> bool:
    """True for that share of any run of people, whatever else their numbers decide."""
    return (identity * _GOLDEN) % 1 < share


def has_loose_face(identity: int, share: float) -> bool:
    """True for that share of any run of people, busy hands or not."""
    return (identity * _SILVER) % 1 < share


def plan_shards(settings: DatasetSettings) -> list[ShardPlan]:
    """Every shard of the dataset. All takes of one person lie in one shard, so that the person is built once."""
    people = np.random.default_rng([settings.seed, 0]).permutation(settings.identities) + settings.first
    by_split: dict[str, list[list[ClipPlan]]] = {split: [] for split in SPLITS}
    for identity in people.tolist():
        split = "val" if is_held_out(identity) else "train"
        by_split[split].append([ClipPlan(identity, take, split) for take in range(settings.takes)])
        if identity % 16 == 3:
            by_split["sentences"].append([ClipPlan(identity, settings.takes, "sentences")])
    return [
        ShardPlan(f"flowact-{split}-{index:06d}.tar", clips)
        for split in SPLITS
        for index, clips in enumerate(_fill(by_split[split]))
    ]


def _fill(groups: list[list[ClipPlan]]) -> list[tuple[ClipPlan, ...]]:
    filled: list[list[ClipPlan]] = []
    for group in groups:
        if not filled or len(filled[-1]) + len(group) > _CLIPS_PER_SHARD:
            filled.append([])
        filled[-1].extend(group)
    return [tuple(clips) for clips in filled]

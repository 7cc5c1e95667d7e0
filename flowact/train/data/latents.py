"""Precomputed latents, voice features and prompt tokens of a data set, and the windows that training cuts from them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowact.core.clock import FRAMES_PER_LATENT, LATENTS_PER_CHUNK
from flowact.core.errors import ConfigError
from flowact.core.motion import MOTION_SCALE, MOTION_WIDTH, motion_slice, seen_from
from flowact.core.types import Conditions
from flowact.memory.bank import BankConfig, MemoryBank
from flowact.models.anchor import Anchor
from flowact.rollout.window import Window, mouth_cells
from flowact.train.stage import Place

ARRAYS = ("latents", "rests", "looks", "colours", "stills", "audio", "weight", "motion", "text")


@dataclass(frozen=True)
class LatentStore:
    """All clips of one split, of equal length, in memory.

    A sequence is a clip seen against one of its stills: sequence = clip * stills_per_clip + still.

    Attributes:
        latents: [N, R, T, C, H, W] float16 codec latents, given each of R still pictures of the person.
        rests: [N, R, C, H, W] float16 latents of these stills at rest; the first is the clip's frame 0.
        looks: [N, R, C, H, W] float16 looks of the stills.
        colours: [N, R, 3, 2 H, 2 W] float16 the stills themselves, small (`models.anchor.small_colours`).
        stills: [N, R] int64 which frames of the clip the stills are.
        audio: [N, T, 4, Da] float16 voice features.
        weight: [N, T, H, W] float16 importance of each cell (the mouth counts more).
        motion: [N, T, 4, M] float16 what the body does (`core.motion`).
        text: [K, L, Dt] float16 tokens of the K captions.
        captions: for each clip, (first latent, last latent, caption number).
        meta: for each clip, what the shards say of it.
    """

    latents: Tensor
    rests: Tensor
    looks: Tensor
    colours: Tensor
    stills: Tensor
    audio: Tensor
    weight: Tensor
    motion: Tensor
    text: Tensor
    captions: list[list[tuple[int, int, int]]]
    meta: list[dict[str, object]]

    @staticmethod
    def load(folder: Path) -> LatentStore:
        """Read a store that `save` wrote.

        Raises:
            ConfigError: the folder is not a latent store.
        """
        if not (folder / "store.json").is_file():
            raise ConfigError(
                f"{folder} is not a latent store (no store.json). Make one with: python -m recipes.encode"
            )
        missing = [name for name in ARRAYS if not (folder / f"{name}.npy").is_file()]
        if missing:
            raise ConfigError(f"{folder} lacks {', '.join(missing)}: an older version made it; make it anew")
        arrays = {name: torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ARRAYS}
        info = json.loads((folder / "store.json").read_text())
        captions = [[(int(a), int(b), int(c)) for a, b, c in clip] for clip in info["captions"]]
        return LatentStore(**arrays, captions=captions, meta=info["meta"])

    def save(self, folder: Path) -> None:
        """Write the store; `store.json` last, so that a folder with it is complete."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name).numpy())
        (folder / "store.json").write_text(json.dumps({"captions": self.captions, "meta": self.meta}))

    @staticmethod
    def join(stores: Sequence[LatentStore]) -> LatentStore:
        """All clips of several stores, in order.

        Raises:
            ConfigError: their clips differ in shape.
        """
        if len({store.latents.shape[1:] for store in stores}) != 1:
            shapes = ", ".join(str(tuple(store.latents.shape[1:])) for store in stores)
            raise ConfigError(f"Latent stores to join need clips of one length and shape; got {shapes}.")
        captions, known = [], 0
        for store in stores:
            captions += [[(a, b, known + n) for a, b, n in clip] for clip in store.captions]
            known += len(store.text)
        arrays = {name: torch.cat([getattr(store, name) for store in stores]) for name in ARRAYS}
        return LatentStore(**arrays, captions=captions, meta=[one for store in stores for one in store.meta])

    @property
    def clips(self) -> int:
        """Number of clips."""
        return self.latents.shape[0]

    @property
    def length(self) -> int:
        """Latent frames in each clip."""
        return self.latents.shape[2]

    def moved(self, clip: Tensor, still: Tensor, where: Tensor) -> Tensor:
        """What moved since a still (`core.motion.seen_from`): clips [B], stills [B], latents [B, T] -> [B, T, 4, M]."""
        if not self.motion.shape[-1]:
            return self.motion[clip[:, None], where].float()
        frame = self.stills[clip, still]
        stance = self.motion[clip, frame // FRAMES_PER_LATENT, frame % FRAMES_PER_LATENT].float()
        return seen_from(self.motion[clip[:, None], where].float(), stance[:, None, None])

    def mouths(self) -> Tensor:
        """[N, T, H, W] bool: the cells of the mouth."""
        return mouth_cells(self.weight)

    @property
    def sequences(self) -> int:
        """Number of (clip, still) pairs."""
        return self.clips * self.looks.shape[1]


class WindowCutter:
    """Cuts windows of `chunks` chunks out of a store, each with the real memory that came before it.

    Attributes:
        beginnings: [K, 2] clip and first latent of windows in which a hand goes up.
    """

    def __init__(self, store: LatentStore, anchor: Anchor, bank: BankConfig, chunks: int) -> None:
        self.store, self.anchor, self.bank, self.chunks = store, anchor, bank, chunks
        self.generator = torch.Generator()
        if self.length > store.length:
            raise ConfigError(
                f"The clips hold {store.length} latents, but a window of {chunks} chunks needs {self.length}."
            )
        self.beginnings = self._find_beginnings()

    @property
    def length(self) -> int:
        """Latent frames in a window."""
        return self.chunks * LATENTS_PER_CHUNK

    def batches(self, rows: int, place: Place, rare: float = 0.3) -> Iterator[Window]:
        """Random windows without end.

        One in five starts at the beginning of its clip, with a cold memory, and the share `rare` where a hand goes up,
        which is what prompts are for.
        """
        for step in itertools.count(place.step):
            self.generator.manual_seed(hash((place.seed, place.rank, step)))
            sequence = torch.randint(self.store.sequences, (rows,), generator=self.generator)
            start = torch.randint(self.store.length - self.length + 1, (rows,), generator=self.generator)
            cold = torch.rand(rows, generator=self.generator) < 0.2
            # A stream that begins at the portrait begins with the portrait's own pose.
            sequence = torch.where(cold, sequence - sequence % self.store.looks.shape[1], sequence)
            start = torch.where(cold, 0, start)
            if rare and len(self.beginnings):
                drawn = self.beginnings[torch.randint(len(self.beginnings), (rows,), generator=self.generator)]
                here = torch.rand(rows, generator=self.generator) < rare
                stills = self.store.looks.shape[1]
                sequence = torch.where(here, drawn[:, 0] * stills + sequence % stills, sequence)
                start = torch.where(here, drawn[:, 1], start)
            yield self.cut(sequence, start)

    def cut(self, sequence: Tensor, start: Tensor) -> Window:
        """The windows that begin at latent `start` [B] of `sequence` [B]; starts past the end are moved back."""
        store, per_clip = self.store, self.store.looks.shape[1]
        start = start.clamp(max=store.length - self.length)
        clip, still = sequence // per_clip, sequence % per_clip
        ahead = start[:, None] + torch.arange(self.length)
        rows = clip[:, None]
        rest = store.rests[clip, still].float()
        clean = self.anchor.relative(store.latents[rows, still[:, None], ahead].float(), rest)
        return Window(
            bank=self._memory(clip, start, still),
            clean=clean,
            conditions=self._conditions(clip, still, ahead),
            weight=store.weight[rows, ahead].float()[:, :, None],
            sequence=sequence,
            start=start,
        )

    def _find_beginnings(self) -> Tensor:
        if self.store.motion.shape[-1] != MOTION_WIDTH:
            return torch.zeros(0, 2, dtype=torch.long)
        hands = self.store.motion[..., motion_slice("hand_active")].float()
        up = hands.amax((2, 3)) / MOTION_SCALE["hand_active"]  # [N, T]
        before = torch.cat((torch.zeros_like(up[:, :1]), up[:, :-1]), 1)
        starts = self.store.length - self.length + 1
        later = self.length // 2
        return ((before[:, :starts] < 0.1) & (up[:, later : later + starts] > 0.75)).nonzero()

    def _memory(self, clip: Tensor, start: Tensor, still: Tensor) -> MemoryBank:
        """The bank as serving would hold it: each pop moves the newest short latent to the long queue."""
        long, short = self.bank.long, self.bank.short
        back = [*(-1 - LATENTS_PER_CHUNK * (i + 1) for i in reversed(range(long))), *range(-short, 0)]
        where = start[:, None] + torch.tensor(back)
        filled = where >= 0
        known = where.clamp(min=0)
        rest = self.store.rests[clip, still].float()
        recent = self.anchor.relative(self.store.latents[clip[:, None], still[:, None], known].float(), rest)
        recent = torch.where(filled[:, :, None, None, None], recent, torch.zeros_like(recent))
        reference = self.anchor.standardise(self.store.looks[clip, still].float())[:, None]
        steering = Conditions.cat([self._neutral(len(clip)), self._conditions(clip, still, known)])
        absent = torch.cat((torch.zeros(len(clip), 1, dtype=torch.bool), filled), 1)
        steering = replace(
            steering,
            audio_present=steering.audio_present * absent,
            text_present=steering.text_present * absent,
            motion_present=steering.motion_present * absent,
        )
        return MemoryBank(self.bank, reference, recent, filled, steering, self.store.colours[clip, still].float())

    def _neutral(self, rows: int) -> Conditions:
        shapes = (self.store.audio.shape[2:], self.store.text.shape[1:], self.store.motion.shape[2:])
        given = (torch.zeros(rows, 1, *shape) for shape in shapes)
        return Conditions(*given, *torch.zeros(3, rows, 1))

    def _conditions(self, clip: Tensor, still: Tensor, where: Tensor) -> Conditions:
        """Voice of each latent frame, and the caption (at a random level of detail) that is current at its chunk."""
        captions = torch.empty(where.shape, dtype=torch.long)
        for row, c in enumerate(clip.tolist()):
            for first in range(0, where.shape[1], LATENTS_PER_CHUNK):
                part = slice(first, first + LATENTS_PER_CHUNK)
                middle = int(where[row, part].float().mean().round())
                captions[row, part] = self._caption(c, middle)
        here, present = clip[:, None], torch.ones(where.shape)
        audio, motion = self.store.audio[here, where].float(), self.store.moved(clip, still, where)
        return Conditions(audio, self.store.text[captions].float(), motion, present, present, present)

    def _caption(self, clip: int, latent: int) -> int:
        current = [n for a, b, n in self.store.captions[clip] if a <= latent < b]
        return current[int(torch.randint(len(current), (1,), generator=self.generator))]


def per_latent(track: np.ndarray) -> np.ndarray:
    """Group a track at 25 fps [F, ...] by latent frame: [F / 4, 4, ...]."""
    return track.reshape(-1, FRAMES_PER_LATENT, *track.shape[1:])

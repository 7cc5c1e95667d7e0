"""Latents as serving makes them, beside the pictures they should become: what a decoder meets when it serves.

A backbone of few passes predicts means: its latents are smoother and smaller than a codec's. A decoder that never saw
such latents draws a closed mouth where half an opening is meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from flowact.core.clock import FRAMES_PER_LATENT, LATENTS_PER_CHUNK
from flowact.core.device import choose_precision
from flowact.core.motion import hand_points
from flowact.models.mmdit.model import MMDiT
from flowact.models.video_vae.config import SPATIAL_FACTOR
from flowact.rollout.generate import Serving, StreamState, shift
from flowact.train.data.flow import surface_points
from flowact.train.data.frames import BOXES, FrameStore, tinted
from flowact.train.data.labels import MOUTH_LABELS
from flowact.train.data.latents import LatentStore, WindowCutter
from flowact.train.stage import Batch, Place


@dataclass(frozen=True)
class Dreams:
    """Chunks that the serving loop made, each the first after a real memory.

    Attributes:
        latents: [N, R, S, 3, C, H, W] float16 codec latents of N clips, seen against R stills, at S places.
        starts: [S] first latent frame of each.
    """

    latents: Tensor
    starts: Tensor


def dream(
    backbone: MMDiT,
    serving: Serving,
    cutter: WindowCutter,
    every: int = 12,
    stills: int = 1,
    rows: int = 16,
    lead: float = 0.0,
) -> Dreams:
    """Let the serving loop make chunks of every clip from real memory, voice and prompt.

    Args:
        backbone: a trained one.
        serving: how it will be let run.
        cutter: cuts windows of as many chunks as the plan holds.
        every: latent frames between two chunks.
        stills: how many of each clip's stills, from the first on.
        rows: windows at once.
        lead: share of the real chunk in what a dreamt one begins with, the rest being noise. Without it a dream moves
            otherwise than the pictures it is shown beside, and a decoder learns to trust no movement.
    """
    store, device = cutter.store, next(backbone.parameters()).device
    starts = torch.arange(0, store.length - cutter.length + 1, every)
    places = torch.cartesian_prod(torch.arange(store.clips), torch.arange(stills), starts)
    precision, made = choose_precision(device), []
    for clip, still, start in track([part.T for part in places.split(rows)], "dreaming"):
        window = cutter.cut(clip * store.looks.shape[1] + still, start).to(device)
        state = StreamState.start(window.bank)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            for i in range(len(serving.plan.entering)):
                entering = window.conditions.frames(i * LATENTS_PER_CHUNK, (i + 1) * LATENTS_PER_CHUNK)
                real = window.clean[:, i * LATENTS_PER_CHUNK : (i + 1) * LATENTS_PER_CHUNK]
                noise = lead * real + (1 - lead) * serving.noise_scale * torch.randn_like(real)
                done, state = shift(backbone, serving.plan, serving.guidance, state, entering, noise)
        assert done is not None, "a stream as long as its plan is full"
        made.append(cutter.anchor.absolute(done.latents.float().cpu(), store.rests[clip, still].float()).half())
    return Dreams(torch.cat(made).unflatten(0, (store.clips, stills, len(starts))), starts)


@dataclass(frozen=True)
class DreamBatches:
    """Opens endless batches for `DecoderObjective`: a `MakeBatches` for a Stage.

    Attributes:
        frames: the pictures.
        store: latents and motion of the same clips in the same order.
        dreams: of the same clips; None where none are drawn.
        clips: clips in a batch, one chunk of each.
        crop_cells: side of the square of latent cells that is cut around the mouth.
        dreamt_share: how often the latents are dreamt.
        resting_share: how often they are those of the portrait at rest, so that motion alone says what is done: latents
            that hold a pose, well or badly, leave a decoder no reason to listen to it.
        hands_share: how often the square is cut around a hand, if one can be seen.
        face_share: how often it is cut around the middle of the face.
        anywhere_share: how often it is cut anywhere: clothes and walls must be drawn too.
        tint: largest change of each colour channel's gain, drawn per clip: more skins and lights than were rendered.
    """

    frames: FrameStore
    store: LatentStore
    dreams: Dreams | None
    clips: int = 8
    crop_cells: int = 8
    dreamt_share: float = 0.4
    resting_share: float = 0.3
    hands_share: float = 0.25
    face_share: float = 0.15
    anywhere_share: float = 0.15
    tint: float = 0.15

    def __call__(self, place: Place) -> Iterator[Batch]:
        """Batches from `place` on; equal places give equal batches."""
        step = place.step
        while True:
            rng = np.random.default_rng([place.seed, place.rank, step])
            drawn = [self._draw(rng) for _ in range(self.clips)]
            yield {name: torch.from_numpy(np.stack([one[name] for one in drawn])) for name in drawn[0]}
            step += 1

    def _draw(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        number = int(rng.integers(self.store.clips))
        first = int(self.frames.starts[number])
        stills = self.store.stills.shape[1] if self.dreams is None else self.dreams.latents.shape[1]
        still = int(rng.integers(stills))
        kind = rng.random()
        if kind < self.dreamt_share and self.dreams is not None:
            place = int(rng.integers(len(self.dreams.starts)))
            start, latents = int(self.dreams.starts[place]), self.dreams.latents[number, still, place]
        else:
            start = int(rng.integers(self.store.length - LATENTS_PER_CHUNK + 1))
            latents = self.store.latents[number, still, start : start + LATENTS_PER_CHUNK]
            if kind < self.dreamt_share + self.resting_share:
                latents = self.store.rests[number, still].expand_as(latents)
        begin = first + start * FRAMES_PER_LATENT
        span = slice(begin, begin + LATENTS_PER_CHUNK * FRAMES_PER_LATENT)
        here = torch.arange(start, start + LATENTS_PER_CHUNK)
        motion = self.store.moved(torch.tensor([number]), torch.tensor([still]), here[None])[0]
        points = hand_points(motion).flatten(2, 3) * self.store.latents.shape[-1]
        boxes = {name: self.frames.tracks[f"{name}_box"][span].mean(0) / SPATIAL_FACTOR for name in ("mouth", "face")}
        column, row = self._corner(boxes, points.flatten(0, 2).numpy(), rng)
        x, y, side = column * SPATIAL_FACTOR, row * SPATIAL_FACTOR, self.crop_cells * SPATIAL_FACTOR
        cut = (slice(y, y + side), slice(x, x + side))
        gains = 1 + rng.uniform(-self.tint, self.tint, 3)
        cells = latents[:, :, row : row + self.crop_cells, column : column + self.crop_cells]
        shown = first + int(self.store.stills[number, still])
        offset = np.array([x, y, x, y], np.float32)
        portrait = tinted(self.frames.frames[shown], gains)
        labels = {name: self.frames.tracks[name][span] for name in MOUTH_LABELS}
        return (
            labels
            | {name: self.frames.tracks[name][span] - offset for name in BOXES}
            | {
                "latents": cells.float().numpy(),
                "motion": motion.numpy(),
                "window": np.array([column, row, self.crop_cells], np.float32) / self.store.latents.shape[-1],
                "clip": tinted(self.frames.frames[span, cut[0], cut[1]], gains),
                "portrait": portrait,
                "reference": portrait[cut],
                "points": surface_points(self.frames.tracks, span) - offset[:2],
                "reference_points": surface_points(self.frames.tracks, slice(shown, shown + 1))[0] - offset[:2],
            }
        )

    def _corner(self, boxes: Mapping[str, np.ndarray], hands: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
        """Column and row of the first cell of a crop: around a point of a hand [N, 2], the face or the mouth, whose
        boxes [4] are in cells, give or take a cell or two, or anywhere.
        """
        grid, kind = self.store.latents.shape[-1], rng.random()
        seen = hands[((hands > 0) & (hands < grid)).all(-1)]
        if kind < self.anywhere_share:
            column, row = rng.integers(grid - self.crop_cells + 1, size=2)
            return int(column), int(row)
        if kind < self.anywhere_share + self.hands_share and len(seen):
            centre = seen[rng.integers(len(seen))]
        else:
            is_face = kind > 1 - self.face_share
            box = boxes["face" if is_face else "mouth"]
            centre = (box[:2] + box[2:]) / 2
        corner = np.round(centre - self.crop_cells / 2 + rng.uniform(-1.5, 1.5, 2))
        column, row = np.clip(corner, 0, grid - self.crop_cells)
        return int(column), int(row)

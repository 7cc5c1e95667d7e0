"""True mouths and hands, cut where they would be found in decoded frames: what close-ups are trained on.

They paint into holes, so that nothing need be decoded: around a hole a decoded frame looks like a true one, if softer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.models.video_vae.closeup import Closeup, Shots, cut, hand_shots, mirrored, mouth_shots
from flowact.models.video_vae.model import VideoVAE
from flowact.models.video_vae.told import Palette, Teller
from flowact.train.data.frames import FrameStore, tinted
from flowact.train.data.latents import LatentStore
from flowact.train.objectives.codec import to_pixels
from flowact.train.stage import Batch, Place

Part = Literal["mouth", "hand"]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Stills:
    """What is seen of all R stills of N clips.

    Attributes:
        features: [N, R, C, h, w] float16 features at 1/16.
        skin: [N, R, 3] colour of skin, in -1..1.
    """

    features: Tensor
    skin: Tensor


@torch.inference_mode()
def look_at_stills(codec: VideoVAE, frames: FrameStore, store: LatentStore) -> Stills:
    """See the stills of all clips with a codec that can be told of motion."""
    assert codec.palette is not None
    device, features, skin = next(codec.parameters()).device, [], []
    for number in track(range(store.clips), "looking at stills"):
        shown = frames.frames[frames.starts[number] + store.stills[number].numpy()]
        pixels = to_pixels(torch.from_numpy(shown).to(device))
        seen = codec.reference_encoder(pixels)[1]
        features.append(seen.half().cpu())
        skin.append(Palette.skin(codec.palette(pixels, seen)).cpu())
    return Stills(torch.stack(features), torch.stack(skin))


@dataclass(frozen=True)
class _Frames:
    """Frames that were drawn, [B] each: clip, still, latent frame, which of its four frames, and for hands which."""

    clip: Numbers
    still: Numbers
    latent: Numbers
    within: Numbers
    hand: Numbers

    def __getitem__(self, rows: NDArray[np.bool_]) -> _Frames:
        return _Frames(*(x[rows] for x in (self.clip, self.still, self.latent, self.within, self.hand)))


class CloseupBatches:
    """Opens endless batches for `CloseupObjective`: a `MakeBatches` for a Stage."""

    def __init__(
        self,
        frames: FrameStore,
        store: LatentStore,
        stills: Stills,
        teller: Teller,
        closeup: Closeup,
        part: Part,
        rows: int = 64,
        beside_px: float = 2.0,
        tint: float = 0.15,
    ) -> None:
        """Batches of mouths or of hands.

        Args:
            frames: the pictures.
            store: motion of the same clips in the same order.
            stills: of the same clips.
            teller: says where mouths go.
            closeup: says how large squares are.
            part: what is shown.
            rows: squares in a batch.
            beside_px: deviation of the error with which mouths are found in portraits, and of that with which parts
                are followed.
            tint: largest change of each colour channel's gain, drawn per square.
        """
        self.frames, self.store, self.stills, self.teller, self.closeup = frames, store, stills, teller, closeup
        self.part, self.rows, self.beside_px, self.tint = part, rows, beside_px, tint
        self._hands = _seen_hands(store) if part == "hand" else np.zeros((0, 4), np.int64)

    def __call__(self, place: Place) -> Iterator[Batch]:
        """Batches from `place` on; equal places give equal batches."""
        step = place.step
        while True:
            yield self._draw(np.random.default_rng([place.seed, place.rank, step]))
            step += 1

    def _draw(self, rng: np.random.Generator) -> Batch:
        drawn = self._choose(rng)
        parts = [self._show(rng, drawn[drawn.hand == hand], hand) for hand in np.unique(drawn.hand)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _choose(self, rng: np.random.Generator) -> _Frames:
        still = rng.integers(self.store.stills.shape[1], size=self.rows)
        if self.part == "hand":
            clip, latent, within, hand = self._hands[rng.integers(len(self._hands), size=self.rows)].T
            return _Frames(clip, still, latent, within, hand)
        clip = rng.integers(self.store.clips, size=self.rows)
        latent = rng.integers(self.store.length, size=self.rows)
        return _Frames(clip, still, latent, rng.integers(FRAMES_PER_LATENT, size=self.rows), np.zeros_like(clip))

    def _show(self, rng: np.random.Generator, drawn: _Frames, hand: int) -> Batch:
        rows, size = len(drawn.clip), self.frames.frames.shape[1]
        number, still = torch.from_numpy(drawn.clip), torch.from_numpy(drawn.still)
        moved = self.store.moved(number, still, torch.from_numpy(drawn.latent)[:, None])[:, 0]
        motion = moved[torch.arange(rows), drawn.within][:, None]
        here = self.frames.starts[drawn.clip] + drawn.latent * FRAMES_PER_LATENT + drawn.within
        there = self.frames.starts[drawn.clip] + self.store.stills[number, still].numpy()
        gains = 1 + rng.uniform(-self.tint, self.tint, (rows, 3))
        mouth = torch.from_numpy(self.frames.tracks["mouth_box"][there].reshape(-1, 2, 2).mean(1) / size)
        off = torch.from_numpy(rng.normal(0, self.beside_px / size, (2, rows, 2))).float()
        if self.part == "mouth":
            shots = self._mouths(mouth + off[0], motion)
        else:
            skin = (self.stills.skin[number, still] + 1) * torch.from_numpy(gains).float() - 1
            shots = hand_shots(motion, skin, hand)
        places = shots.places + off[1][:, None]
        at_still = places if self.part == "hand" else shots.still_places
        corners, still_corners = (self.closeup.corners(x[:, 0], size) for x in (places, at_still))
        true, shown = (
            cut(self._pictures(which, gains), at, self.closeup.side_px)
            for which, at in ((here, corners), (there, still_corners))
        )
        bones = (shots.bones[:, 0] * size - corners[:, None, None]) / self.closeup.side_px
        if shots.is_mirrored:
            true, shown, bones = true.flip(-1), shown.flip(-1), mirrored(bones)
        return {
            "seen": _softened(true, torch.from_numpy(rng.uniform(0, 1, rows)).float()),
            "true": true,
            "stills": shown,
            "numbers": shots.numbers[:, 0],
            "bones": bones,
            "features": self.stills.features[number, still].float(),
            "mouth": mouth,
        }

    def _pictures(self, numbers: Numbers, gains: NDArray[np.float64]) -> Tensor:
        """Frames in lights, [B, 3, H, W] uint8."""
        lit = [tinted(self.frames.frames[i], gain) for i, gain in zip(numbers, gains)]
        return torch.from_numpy(np.stack(lit)).movedim(-1, 1)

    def _mouths(self, found: Tensor, motion: Tensor) -> Shots:
        with torch.no_grad():
            device = self.teller.field.device
            places = self.teller.follow(found.to(device), motion[:, None].to(device)).cpu()
        return mouth_shots(found, places, motion)


def _seen_hands(store: LatentStore) -> Numbers:
    """[K, 4] clip, latent frame, which of its four frames and which hand, wherever a hand can be seen."""
    motion = store.motion.flatten(1, 2).float()
    nobody = torch.zeros(len(motion), 3)
    seen = torch.stack([hand_shots(motion, nobody, hand).is_seen for hand in (0, 1)], -1)
    found: Numbers = seen.unflatten(1, (-1, FRAMES_PER_LATENT)).nonzero().numpy()
    return found


def _softened(pictures: Tensor, share: Tensor) -> Tensor:
    """Pictures [N, 3, S, S] uint8, each blurred as far as `share` [N] says: 0 not at all, 1 as a decoder may."""
    soft = pictures.float()
    for _ in range(2):
        soft = F.avg_pool2d(F.pad(soft, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return pictures.float().lerp(soft, share[:, None, None, None]).round().byte()

"""True eyes, mouths and hands, cut where they would be found in decoded frames: what close-ups are trained on.

Nothing need be decoded for it. Around a hole a decoded frame looks like a true one, if softer, and what was decoded in
the hole of a hand does not matter. In that of a mouth a decoder that is unsure draws the mean of what may be, a little
aside and in colours that are not quite right; so does `CloseupBatches`: the mean of mouths of the same seconds. In
place of eyes it draws those of the portrait; here, those of any other frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.core.motion import LIDS, MOTION_SCALE, motion_slice
from flowact.models.video_vae.closeup import (
    Closeup,
    Part,
    Shots,
    beside_moved,
    cut,
    face_shots,
    follow_irises,
    hand_shots,
    mirrored,
)
from flowact.models.video_vae.model import VideoVAE
from flowact.models.video_vae.told import SAME_PICTURE_PX, Palette, Teller
from flowact.train.data.frames import FrameStore
from flowact.train.data.latents import LatentStore
from flowact.train.objectives.codec import to_pixels
from flowact.train.stage import Batch, Place

_OTHERS = {"eyes": (1, 10_000), "mouth": (3, 15)}
"""How many others are in a mean, and how far away in time, in frames."""
_EYES_UP_PX = 4.0
"""The middle of what is shown of eyes lies so far above that of the eyes: there are brows."""
_BLINKS, _BLINK_SHARE = 0.3, 0.3
"""A lid that is closed so far blinks, and the share of eyes that do: else one in ten would."""
_VEIL = {"eyes": (0.85, 1.0), "mouth": (0.65, 1.0)}
"""How much of what is seen is that mean: more, and the paint hears nothing of what the decoder knows of this frame;
less, and it only sharpens what the decoder drew, wherever that is. Where true irises shine through, nobody need listen
where they look, and where true lips do, nobody whether they smile."""
_VEIL_BESIDE = {"eyes": 0.0, "mouth": 1.0}
"""How far aside the mean lies, as a share of `beside_px`: eyes that are the portrait's lie where its face does."""
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
    """Opens endless batches for `paint_error`: a `MakeBatches` for a Stage."""

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
        veil_tint: float = 0.25,
    ) -> None:
        """Batches of one part.

        Args:
            frames: the pictures.
            store: motion of the same clips in the same order.
            stills: of the same clips.
            teller: says where eyes and mouths go.
            closeup: says how large squares are.
            part: what is shown.
            rows: squares in a batch.
            beside_px: deviation of the error with which parts are found in portraits, and of that with which they
                are followed.
            tint: largest change of each colour channel's gain, drawn per square.
            veil_tint: the same of the mean of others alone: decoders draw teeth bluish, and bluest on dark skin.
        """
        self.frames, self.store, self.stills, self.teller, self.closeup = frames, store, stills, teller, closeup
        self.part, self.rows, self.beside_px, self.tint, self.veil_tint = part, rows, beside_px, tint, veil_tint
        self._hands = _seen_hands(store) if part == "hand" else np.zeros((0, 4), np.int64)
        self._blinks = _blinks(store) if part == "eyes" else np.zeros((0, 3), np.int64)

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
        sizes = (self.store.clips, self.store.length, FRAMES_PER_LATENT)
        where = np.stack([rng.integers(size, size=self.rows) for size in sizes], 1)
        if len(self._blinks):
            blinks = rng.random(self.rows) < _BLINK_SHARE
            where[blinks] = self._blinks[rng.integers(len(self._blinks), size=int(blinks.sum()))]
        return _Frames(where[:, 0], still, where[:, 1], where[:, 2], np.zeros(self.rows, np.int64))

    def _show(self, rng: np.random.Generator, drawn: _Frames, hand: int) -> Batch:
        rows = len(drawn.clip)
        gains = torch.from_numpy(1 + rng.uniform(-self.tint, self.tint, (rows, 3, 1, 1))).float()
        found, followed = (self._error(rng, rows) for _ in range(2))
        place = self._place(drawn)
        shots = self._shots(drawn, place + found, gains, hand)
        true, corners = self._cut(self._number(drawn), shots.places[:, 0] + followed, gains)
        at_still = shots.still_places[:, 0] + (followed if self.part == "hand" else 0)
        stills, _ = self._cut(self._still(drawn), at_still, gains)
        seen = self._softened(true, rng)
        if self.part != "hand":
            aside = followed + _VEIL_BESIDE[self.part] * self._error(rng, rows)
            others = [self._neighbour(rng, drawn, place + found, aside, gains) for _ in range(_OTHERS[self.part][0])]
            off = torch.from_numpy(1 + rng.uniform(-self.veil_tint, self.veil_tint, (rows, 3, 1, 1))).float()
            veil = (self._softened(torch.stack(others).mean(0), rng) * off).clamp(0, 255)
            share = torch.from_numpy(rng.uniform(*_VEIL[self.part], (rows, 1, 1, 1))).float()
            with torch.no_grad():
                hole = self.closeup.hole(shots.bones[:, 0]).cpu()
            seen = seen.lerp(veil, share * hole)
        if shots.irises is not None:
            stills = beside_moved(stills, shots.irises[:, 0] * self.frames.frames.shape[1]).clamp(0, 255)
        bones = self.closeup.within(shots.bones[:, 0], corners, self.frames.frames.shape[1])
        pictures = [seen, true, stills, 255 * self._inside(corners)]
        if shots.is_mirrored:
            pictures, bones = [x.flip(-1) for x in pictures], mirrored(bones)
        seen, true, stills, inside = (x.round().byte() for x in pictures)
        features = self.stills.features[drawn.clip, drawn.still].float()
        return {
            "seen": seen, "true": true, "stills": stills, "numbers": shots.numbers[:, 0], "bones": bones,
            "features": features, "place": place, "inside": inside,
        }  # fmt: skip

    def _error(self, rng: np.random.Generator, rows: int) -> Tensor:
        """[B, 2] in shares of the picture."""
        return torch.from_numpy(rng.normal(0, self.beside_px / self.frames.frames.shape[1], (rows, 2))).float()

    def _place(self, drawn: _Frames) -> Tensor:
        """Where eyes or mouths are in the stills, [B, 2]."""
        side, still = self.frames.frames.shape[1], self._still(drawn)
        if self.part == "eyes":
            middle = self.frames.tracks["eye_boxes"][still].reshape(-1, 4, 2).mean(1)
            return torch.from_numpy(middle / side) - torch.tensor([0.0, _EYES_UP_PX / SAME_PICTURE_PX])
        return torch.from_numpy(self.frames.tracks["mouth_box"][still].reshape(-1, 2, 2).mean(1) / side)

    def _still(self, drawn: _Frames) -> Numbers:
        number: Numbers = self.frames.starts[drawn.clip] + self.store.stills[drawn.clip, drawn.still].numpy()
        return number

    def _number(self, drawn: _Frames) -> Numbers:
        number: Numbers = self.frames.starts[drawn.clip] + drawn.latent * FRAMES_PER_LATENT + drawn.within
        return number

    def _shots(self, drawn: _Frames, found: Tensor, gains: Tensor, hand: int) -> Shots:
        """What is told of frames, [B, 1]; eyes or mouths were found at places [B, 2]."""
        clip, still, latent = (torch.from_numpy(x) for x in (drawn.clip, drawn.still, drawn.latent))
        moved = self.store.moved(clip, still, latent[:, None])[torch.arange(len(clip)), 0, drawn.within][:, None]
        motion = self.store.motion[clip, latent, drawn.within].float()[:, None]
        if self.part == "hand":
            return hand_shots(motion, (self.stills.skin[clip, still] + 1) * gains[:, :, 0, 0] - 1)[hand]
        with torch.no_grad():
            device = self.teller.field.device
            places = self.teller.follow(found.to(device), moved.to(device)).cpu()
        return face_shots(found, places, motion, follow_irises(moved) if self.part == "eyes" else None)

    def _cut(self, numbers: Numbers, places: Tensor, gains: Tensor) -> tuple[Tensor, Tensor]:
        """Squares [B, 3, S, S] in 0..255 around places of frames, in lights [B, 3, 1, 1], and their corners."""
        corners = self.closeup.corners(places, self.frames.frames.shape[1])
        pictures = torch.from_numpy(self.frames.frames[numbers]).movedim(-1, 1)
        return (cut(pictures, corners, self.closeup.side_px).float() * gains).clamp(0, 255), corners

    def _inside(self, corners: Tensor) -> Tensor:
        """Which pixels of squares with these corners lie in the picture, [B, 1, S, S] in 0..1."""
        side, line = self.frames.frames.shape[1], torch.arange(self.closeup.side_px)
        x, y = (((corners[:, i, None] + line) >= 0) & ((corners[:, i, None] + line) < side) for i in (0, 1))
        return (x[:, None, None, :] & y[:, None, :, None]).float()

    def _neighbour(
        self, rng: np.random.Generator, drawn: _Frames, found: Tensor, followed: Tensor, gains: Tensor
    ) -> Tensor:
        """Squares of other frames of the same clip, the mouth or the eyes in the same place."""
        frame = drawn.latent * FRAMES_PER_LATENT + drawn.within
        last, near = self.store.length * FRAMES_PER_LATENT - 1, _OTHERS[self.part][1]
        frame = rng.integers((frame - near).clip(0), (frame + near).clip(max=last), endpoint=True)
        latent, within = np.divmod(frame, FRAMES_PER_LATENT)
        other = replace(drawn, latent=latent, within=within)
        shots = self._shots(other, found, gains, 0)
        return self._cut(self._number(other), shots.places[:, 0] + followed, gains)[0]

    def _softened(self, pictures: Tensor, rng: np.random.Generator) -> Tensor:
        """Squares [N, 3, S, S], each blurred as far as a decoder may, or less."""
        soft = pictures
        for _ in range(2):
            soft = F.avg_pool2d(F.pad(soft, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        return pictures.lerp(soft, torch.from_numpy(rng.uniform(0, 1, (len(pictures), 1, 1, 1))).float())


def _blinks(store: LatentStore) -> Numbers:
    """[K, 3] clip, latent frame and which of its four frames, wherever a lid is closed."""
    lids = store.motion[..., motion_slice("face")].float()[..., list(LIDS)] / MOTION_SCALE["face"]
    found: Numbers = (lids.amax(-1) > _BLINKS).nonzero().numpy()
    return found


def _seen_hands(store: LatentStore) -> Numbers:
    """[K, 4] clip, latent frame, which of its four frames and which hand, wherever a hand can be seen."""
    motion = store.motion.flatten(1, 2).float()
    nobody = torch.zeros(len(motion), 3)
    seen = torch.stack([shots.is_seen for shots in hand_shots(motion, nobody)], -1)
    found: Numbers = seen.unflatten(1, (-1, FRAMES_PER_LATENT)).nonzero().numpy()
    return found

"""Eyes, mouth and hands once more: little of the picture and most of its meaning, drawn at half its resolution.

    decoded frame --> cut --+
                            +--> 1/4 (numbers, bones) --> 1/2 --> paint in the hole --> paste
    portrait -------> cut --+

Where eyes and mouth are in the portrait is found once, and where they go the common flow says; where hands are, motion
says. Cuts begin at whole pixels, so that nothing is sampled anew and what is not painted stays as it was. Eyes and
mouth are painted over what was decoded in their place, a hand over a sketch of its limbs (docs/decisions/0022). Of
eyes the portrait is shown twice, the second time moved as far as irises went: beside what lids and brows need stands
what an iris needs (docs/decisions/0023).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowact.core.arms import BONE_RADII, FINGERS, FOREARM, PALM, arm_bones
from flowact.core.motion import MOTION_SCALE, MOTION_WIDTH, motion_slice
from flowact.models.video_vae.blocks import blocks, conv
from flowact.models.video_vae.config import CloseupConfig
from flowact.models.video_vae.told import SAME_PICTURE_PX, directions
from flowact.models.video_vae.warp import warp
from flowact.nn.capsules import Seen, look_at_capsules
from flowact.nn.spots import spots

Part = Literal["eyes", "mouth", "hand"]
FACE_NUMBERS = MOTION_WIDTH
"""What is told of eyes and mouths: all of it. What they listen to is less."""
_HEARD = {"eyes": ("face", "head", "torso", "gaze"), "mouth": ("visemes", "face", "head", "torso")}
"""Tracks that may change what eyes and mouths look like. Whoever hears more takes the company that lids and lips keep
for a cause, and falls apart in another (docs/decisions/0024)."""
HAND_NUMBERS = 15
"""How far up it is, its palm's and its fingers' directions, five bends, and the colour of skin."""
HAND_MAPS = 12
"""Forearm, palm, and five fingers, where they are seen; three of where that surface faces, its depth, and how far
along its bone it is."""
_USUAL_PLACE = {"eyes": (0.5, 0.348, 0.08), "mouth": (0.5, 0.54, 0.08)}
"""Column, row and deviation of eyes and mouths in the agreed framing, in shares of the picture."""
_HOLE_PX, _HOLE_FADES = {"eyes": (46.0, 28.0, 4), "mouth": (31.0, 24.0, 2)}, 0.2
"""Half width and height of the hole, and how square it is (2: an ellipse); the share of it in which it fades. Lips of
the training pictures reach 22 and 16 pixels to each side, wide open ones 30 and 22; lids 40 and 20, brows above."""
_HAND_HOLE_PX = (6.0, 8.0)
"""How far around a hand the hole for it is whole, and in how much more it ends: so far aside may bones lie."""
_RIM_PX = 8
"""How far from its border a close-up fades in."""
_DEPTH_SCALE = 4.0
_ROUND = 0.2
"""How much darker the rim of a limb is that is sketched."""
_BEYOND = 0.15
"""Fingers of a hand that lies so far outside may still be seen, in shares of the picture."""
_IRIS = 0.115 / SAME_PICTURE_PX
"""How far irises go when eyes turn by a degree, in shares of the picture: the mean of the training pictures."""
_LEAST_UP = 0.1
"""A hand that is less far up is not drawn again."""

Draw = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""What `Closeup.forward` does: (cuts, stills, numbers, bones) -> squares."""


class Shots(NamedTuple):
    """Where close-ups are taken of F frames of B people, and what is told of each.

    Attributes:
        places: [B, F, 2] their middles, column and row in shares of the picture.
        still_places: [B, F, 2] the same in the portrait.
        numbers: [B, F, n].
        bones: [B, F, K, 2, 3] ends of bones: column, row and depth in shares of the picture; K may be 0.
        is_seen: [B, F] whether there is anything to be drawn.
        is_mirrored: a right hand is drawn as a left one in a mirror.
        irises: [B, F, 2] how far they went since the portrait, in shares of the picture; None where there are none.
    """

    places: Tensor
    still_places: Tensor
    numbers: Tensor
    bones: Tensor
    is_seen: Tensor
    is_mirrored: bool
    irises: Tensor | None = None


class Finder(nn.Module):
    """Where the eyes or the mouths are in portraits."""

    def __init__(self, part: Part, reference_width_16: int) -> None:
        super().__init__()
        self.usual = _USUAL_PLACE[part]
        self.likely = conv(reference_width_16, 1, 3, gain=0.0)

    def forward(self, features_16: Tensor) -> Tensor:
        """The portraits' features [B, C, h, w] to column and row in shares of the picture, [B, 2]."""
        features = directions(features_16)
        side = features.shape[-1]
        usual = spots(features.new_tensor(self.usual[:2]), side, self.usual[2]).clamp_min(1e-6).log()
        likely = (self.likely(features.to(features_16.dtype)).float()[:, 0] + usual).flatten(1).softmax(1)
        likely = likely.unflatten(1, (side, side))
        cells = (torch.arange(side, device=features.device) + 0.5) / side
        return torch.stack([likely.sum(1) @ cells, likely.sum(2) @ cells], -1)


class Closeup(nn.Module):
    """Paints into a hole of squares of decoded frames.

    Args:
        part: of what it is. The hole for a hand follows its limbs.
        config: its sizes.

    Attributes:
        told: how many numbers it is told.
    """

    edge: Tensor
    radii: Tensor
    heard: Tensor

    def __init__(self, part: Part, config: CloseupConfig) -> None:
        super().__init__()
        c, of_bones = config, part == "hand"
        self.side_px, self.of_bones = c.side_px, of_bones
        maps = HAND_MAPS if of_bones else 0
        self.still_channels = 6 if part == "eyes" else 3
        shown = 3 + self.still_channels
        self.enter = conv(16 * shown + 4 * maps, c.width_4, 1)
        self.told, heard = HAND_NUMBERS if of_bones else FACE_NUMBERS, heard_numbers(part)
        self.register_buffer("heard", torch.tensor(heard), persistent=False)
        self.read = nn.Linear(len(heard), 2 * c.width_4)
        self.where = nn.Parameter(0.5 * torch.randn(c.width_4, c.side_px // 4, c.side_px // 4))
        self.fine_4 = blocks(c.blocks_4, c.width_4)
        self.up = conv(c.width_4, 4 * c.width_2, 1)
        self.join_2 = conv(c.width_2 + 4 * shown + maps, c.width_2, 1)
        self.fine_2 = blocks(c.blocks_2, c.width_2)
        self.head = conv(c.width_2, 4 * 3, 1, gain=0.0)  # a new one paints what it sees
        self.register_buffer("edge", _rim(c.side_px) if of_bones else _hole(part, c.side_px), persistent=False)
        if of_bones:
            radii = torch.tensor(BONE_RADII) * (SAME_PICTURE_PX / c.side_px)
            self.register_buffer("radii", radii, persistent=False)

    def forward(self, cuts: Tensor, stills: Tensor, numbers: Tensor, bones: Tensor) -> Tensor:
        """Squares as decoded [N, 3, S, S], and of the portrait [N, still_channels, S, S], in -1..1, numbers [N, n] and
        bones [N, K, 2, 3] in shares of the square, to squares drawn again.
        """
        hole, maps, seen = self.edge, [], cuts
        if self.of_bones:
            limbs = look_at_capsules(bones, self.radii, self.side_px // 2)
            hole, maps = self._hole_around(limbs), [_maps_of(limbs, bones)]
            # A hand is decoded as fog that says nothing; the others as a veil over what is right.
            seen = torch.where(hole > 0, self._sketch(limbs, stills, numbers), cuts)
        shown = [F.pixel_unshuffle(y, 4) for y in (seen, stills)] + [F.pixel_unshuffle(y, 2) for y in maps]
        x = self.enter(torch.cat(shown, 1).contiguous(memory_format=torch.channels_last))
        # What is told is an addition everywhere, and of maps that are learnt: so it matters at once where it is.
        told, share = self.read(numbers[:, self.heard].to(x.dtype))[:, :, None, None].chunk(2, 1)
        x = self.fine_4(x + told + share * self.where)
        beside = [F.pixel_unshuffle(y, 2) for y in (seen, stills)] + maps
        x = torch.cat([F.pixel_shuffle(self.up(x), 2), *(y.to(x.dtype) for y in beside)], 1)
        x = self.fine_2(self.join_2(x.contiguous(memory_format=torch.channels_last)))
        return torch.lerp(cuts, seen + F.pixel_shuffle(self.head(x).float(), 2), hole)

    def hole(self, bones: Tensor) -> Tensor:
        """Where it paints, [N or 1, 1, S, S] in 0..1."""
        if not self.of_bones:
            return self.edge
        return self._hole_around(look_at_capsules(bones, self.radii, self.side_px // 2))

    def _hole_around(self, limbs: Seen) -> Tensor:
        whole, fades = _HAND_HOLE_PX
        return (1 - (_twice(limbs.outside) * self.side_px - whole) / fades).clamp(0, 1) * self.edge

    def _sketch(self, limbs: Seen, stills: Tensor, numbers: Tensor) -> Tensor:
        """Limbs in the colour of the skin, a little darker where they turn away, in front of the portrait."""
        inside = (0.5 - _twice(limbs.outside) * self.side_px).clamp(0, 1)
        skin = numbers[:, -3:, None, None] + 1
        return stills.lerp(skin * (1 - _ROUND + _ROUND * _twice(limbs.normal[:, 2:])) - 1, inside)

    def _beside(self, bones: Tensor, other: Tensor) -> Tensor:
        """Where limbs with bones `other` are, and those with `bones` [N, K, 2, 3] are not: [N, 1, S, S] in 0..1."""
        # How far off limbs are is smooth, so it need not be asked everywhere.
        coarse = [look_at_capsules(x, self.radii, self.side_px // 8).outside for x in (bones, other)]
        fine = [F.interpolate(x, size=self.side_px, mode="bilinear", align_corners=False) for x in coarse]
        own, others = ((0.5 - x * self.side_px / 2).clamp(0, 1) for x in fine)
        return others * (1 - own)

    def redraw(
        self, clip: Tensor, portrait: Tensor, shots: Shots, draw: Draw | None = None, behind: Shots | None = None
    ) -> Tensor:
        """Decoded frames with the squares of `shots` drawn again.

        Args:
            clip: [B, F, 3, H, W] in -1..1, or uint8 where 0..255 stands for that.
            portrait: [B, 3, H, W] in -1..1.
            shots: of these frames.
            draw: does what `forward` does; None is that.
            behind: the other hand of the same frames, if it has been drawn already: it stays where this one is not.
        """
        draw = self if draw is None else draw
        seen = shots.is_seen.flatten().nonzero()[:, 0]
        if len(seen) == 0:
            return clip
        side, frames = clip.shape[-1], clip.flatten(0, 1)
        corners = self.corners(shots.places.flatten(0, 1)[seen], side)
        still_corners = self.corners(shots.still_places.flatten(0, 1)[seen], side)
        cuts = cut(frames, corners, self.side_px, seen)
        stills = cut(portrait, still_corners, self.side_px, seen // clip.shape[1])
        if shots.irises is not None:
            stills = beside_moved(stills, shots.irises.flatten(0, 1)[seen] * side)
        bones = self.within(shots.bones.flatten(0, 1)[seen], corners, side)
        if shots.is_mirrored:
            cuts, stills, bones = cuts.flip(-1), stills.flip(-1), mirrored(bones)
        numbers = shots.numbers.flatten(0, 1)[seen]
        if clip.dtype == torch.uint8:
            drawn = draw(cuts / 127.5 - 1, stills, numbers, bones)
            drawn = (drawn * 127.5 + 127.5).round().clamp(0, 255)
        else:
            drawn = draw(cuts, stills, numbers, bones)
        if behind is not None:
            meet = ((shots.places - behind.places).abs() * side < self.side_px).all(-1) & behind.is_seen
            met = meet.flatten()[seen].nonzero()[:, 0]
            other = self.within(behind.bones.flatten(0, 1)[seen[met]], corners[met], side)
            other = mirrored(other) if shots.is_mirrored else other
            drawn[met] = drawn[met].lerp(cuts[met].to(drawn), self._beside(bones[met], other))
        drawn = drawn.flip(-1) if shots.is_mirrored else drawn
        pasted = frames.clone()
        paste(pasted, seen, drawn, corners)
        return pasted.unflatten(0, clip.shape[:2])

    def within(self, bones: Tensor, corners: Tensor, side: int) -> Tensor:
        """Bones [N, K, 2, 3] in shares of pictures of a side, in those of the squares with such corners [N, 2]."""
        return (bones * side - F.pad(corners, (0, 1))[:, None, None]) / self.side_px

    def corners(self, places: Tensor, side: int) -> Tensor:
        """Upper left corners [N, 2], whole pixels, of the squares around places [N, 2] on pictures of a side. They may
        lie outside.
        """
        return (places * side - self.side_px / 2).round().long()


def heard_numbers(part: Part) -> list[int]:
    """Which of the numbers that are told of a part it listens to."""
    if part == "hand":
        return list(range(HAND_NUMBERS))
    return [column for track in _HEARD[part] for column in range(*motion_slice(track).indices(MOTION_WIDTH))]


def face_shots(place: Tensor, places: Tensor, motion: Tensor, irises: Tensor | None = None) -> Shots:
    """Eyes or mouths at place [B, 2] in the portrait, at places [B, F, 2] in frames, of people who do what motion
    [B, F, M] says; of eyes, how far `irises` [B, F, 2] went since the portrait.
    """
    return Shots(
        places,
        place[:, None].expand_as(places),
        motion,
        places.new_zeros(*places.shape[:2], 0, 2, 3),
        torch.ones_like(places[..., 0], dtype=torch.bool),
        is_mirrored=False,
        irises=irises,
    )


def follow_irises(moved: Tensor) -> Tensor:
    """How far irises go when this has moved [..., M] since the portrait, [..., 2] in shares of the picture."""
    turned = moved[..., motion_slice("gaze")].float() / MOTION_SCALE["gaze"]
    return turned * torch.tensor([_IRIS, -_IRIS], device=moved.device)


def beside_moved(stills: Tensor, by_px: Tensor) -> Tensor:
    """Squares [N, 3, S, S] as they are and moved by so many pixels [N, 2]: [N, 6, S, S]."""
    side = stills.shape[-1]
    # Where something went to is found against the way it went.
    flow = -by_px[:, :, None, None].expand(-1, -1, side, side)
    return torch.cat([stills, warp(stills, flow, side, is_sharp=True)], 1)


def hand_shots(motion: Tensor, skin: Tensor) -> tuple[Shots, Shots]:
    """Left and right hands of people who move so [B, F, M], with skin [B, 3]."""
    bones = arm_bones(motion)
    left, right = (_shots_of(hand, bones[..., hand, :, :, :], motion, skin) for hand in (0, 1))
    return left, right


def _shots_of(hand: int, bones: Tensor, motion: Tensor, skin: Tensor) -> Shots:
    def track(name: str) -> Tensor:
        return motion[..., motion_slice(name)].unflatten(-1, (2, -1))[..., hand, :].float()

    places = bones[..., PALM.start :, 1, :2].mean(-2)
    aside = torch.tensor([1.0, 1.0, 1.0] if hand == 0 else [-1.0, 1.0, 1.0], device=motion.device)
    up = track("hand_active")
    told = (up, track("palm") * aside, track("fingers") * aside, track("curl"))
    inside = ((places > -_BEYOND) & (places < 1 + _BEYOND)).all(-1)
    return Shots(
        places,
        places,
        torch.cat([*told, skin[:, None].expand(-1, motion.shape[1], -1)], -1),
        bones,
        (up[..., 0] > _LEAST_UP * MOTION_SCALE["hand_active"]) & inside,
        is_mirrored=hand == 1,
    )


def _maps_of(limbs: Seen, bones: Tensor) -> Tensor:
    """What is told of limbs with bones [N, K, 2, 3]: [N, HAND_MAPS, S / 2, S / 2]."""
    near = _DEPTH_SCALE * (limbs.depth - bones[:, PALM].mean((1, 2))[:, 2, None, None, None])
    arm, palm = (limbs.which[:, part].sum(1, keepdim=True) for part in (FOREARM, PALM))
    fingers = limbs.which[:, FINGERS].unflatten(1, (-1, 3)).sum(2)
    covered = limbs.which.sum(1, keepdim=True)
    return torch.cat([arm, palm, fingers, limbs.normal, covered * near, limbs.along], 1)


def _twice(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)


def mirrored(bones: Tensor) -> Tensor:
    """Bones [..., 3] in shares of a square, seen in a mirror."""
    return torch.cat([1 - bones[..., :1], bones[..., 1:]], -1)


def cut(pictures: Tensor, corners: Tensor, side: int, rows: Tensor | None = None) -> Tensor:
    """Squares [N, C, side, side] of the pictures [R, C, H, W] with numbers `rows` [N] (None: each in turn), with upper
    left corners [N, 2], column and row; outside of a picture its border is repeated.
    """
    height, width = pictures.shape[-2:]
    line = torch.arange(side, device=pictures.device)
    x = (corners[:, :1] + line).clamp(0, width - 1)
    y = (corners[:, 1:] + line).clamp(0, height - 1)
    rows = torch.arange(len(pictures), device=pictures.device) if rows is None else rows
    return pictures[rows[:, None, None], :, y[:, :, None], x[:, None]].permute(0, 3, 1, 2)


def paste(pictures: Tensor, rows: Tensor, squares: Tensor, corners: Tensor) -> None:
    """Put squares [N, C, S, S] into the pictures [R, C, H, W] with numbers `rows` [N]; the inverse of `cut`."""
    side = squares.shape[-1]
    height, width = pictures.shape[-2:]
    for row, square, (c, r) in zip(rows.tolist(), squares.to(pictures.dtype), corners.tolist(), strict=True):
        top, left, bottom, right = max(r, 0), max(c, 0), min(r + side, height), min(c + side, width)
        if bottom > top and right > left:
            pictures[row, :, top:bottom, left:right] = square[:, top - r : bottom - r, left - c : right - c]


def _hole(part: Part, side: int) -> Tensor:
    """[1, 1, side, side]: 1 where a mouth may be, however wide it opens, or the eyes, falling to 0 around."""
    line = (torch.arange(side) + 0.5 - side / 2).abs()
    width, height, power = _HOLE_PX[part]
    far = ((line / width) ** power + (line[:, None] / height) ** power) ** (1 / power)
    return ((1 - far) / _HOLE_FADES).clamp(0, 1)[None, None]


def _rim(side: int) -> Tensor:
    """[side, side]: 0 at the border of a square, 1 inside."""
    line = ((torch.arange(side) + 0.5) / _RIM_PX).clamp(max=1)
    line = torch.minimum(line, line.flip(0))
    return line * line[:, None]

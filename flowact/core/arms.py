"""Arms: where the bones of forearms, palms and fingers are on the picture, as motion tells them.

A skeleton of mean build is posed as the studio poses its people. Of forty people, whose hands motion places exactly at
wrist and middle knuckle (`aim_hands`), joints of raised hands lie 3 pixels of 256 beside where they truly are, and
fingertips 5 (docs/decisions/0022).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from flowact.core.motion import HAND_REACH, MOTION_SCALE, motion_slice, photographed, wrists

_SHOULDER, _UPPER, _LOWER = (0.45, 0.0, 0.0), 0.70, 0.69
"""Of a left arm: where it hangs, in shoulder widths from the base of the neck, and how long its bones are."""
_ELBOWS_GO = (0.75, -1.0, -0.25)
"""Where the elbow of a raised left arm points."""
_FINGERS = (
    ((0.108, 0.012, -0.071), (0.141, 0.073, -0.127), (0.213, 0.126, -0.182), (0.280, 0.172, -0.205)),
    ((0.300, 0.014, -0.076), (0.372, 0.035, -0.086), (0.430, 0.067, -0.092), (0.494, 0.109, -0.100)),
    ((0.298, 0.000, 0.000), (0.389, 0.033, 0.013), (0.461, 0.068, 0.020), (0.525, 0.103, 0.023)),
    ((0.281, -0.001, 0.056), (0.359, 0.024, 0.083), (0.423, 0.055, 0.099), (0.490, 0.089, 0.121)),
    ((0.253, 0.012, 0.110), (0.305, 0.035, 0.135), (0.341, 0.059, 0.150), (0.385, 0.090, 0.173)),
)
"""Joints and tips of a hand at rest, thumb to little finger, in shoulder widths from the wrist: along the hand, out of
the palm, and towards the little finger. The middle finger begins at the middle knuckle."""
_MIDDLE = 2
_BEND = ((25.0, 35.0, 45.0), *(((72.0, 92.0, 60.0),) * 4))
"""Degrees by which a bent finger turns at each joint; a straight one is straighter than at rest by `_OPENS`."""
_OPENS = (0.0, 10.0, 10.0, 10.0, 10.0)
_HINGE = ((0.932, 0.0, 0.362), *(((0.0, 0.0, 1.0),) * 4))
"""About what, in the axes of the hand."""
_RELAXED = (0.12, 0.18, 0.22, 0.26, 0.30)
"""How far fingers of a hanging hand are bent."""
_HANGING_PALM, _HANGING_DEPTH = (-0.92, -0.09, -0.37), 0.47
"""Where the palm of a hanging left hand faces, and how far its fingers point towards the camera."""
_ACROSS = (0.877, -0.853)
_TOWARDS = (0.229, 0.102, -0.888)
"""How a step near a raised hand goes on the picture, in shares of it: column and row from one aside and one up, and
from one towards the camera, away from the middle column and from a row a little above hands: perspective. Fitted to
forty people."""
_SEEN = (0.6, 0.4)
"""Wrists of hands that are seen are no farther aside, and up or down."""
_LEAST_LENGTH = 0.3

BONES = 1 + 5 + 15
"""Forearm; from the wrist to where each finger begins; three of each finger."""
FOREARM, PALM, FINGERS = slice(0, 1), slice(1, 6), slice(6, 21)
BONE_RADII = (
    (0.12, 0.07),
    (0.06, 0.065), (0.06, 0.045), (0.06, 0.05), (0.06, 0.045), (0.06, 0.04),
    (0.065, 0.045), (0.04, 0.036), (0.036, 0.026),
    (0.04, 0.037), (0.037, 0.033), (0.03, 0.022),
    (0.043, 0.037), (0.037, 0.03), (0.028, 0.022),
    (0.04, 0.035), (0.034, 0.028), (0.026, 0.02),
    (0.032, 0.028), (0.026, 0.023), (0.021, 0.017),
)  # fmt: skip
"""How thick a bone's limb is where it begins and where it ends, in shares of the picture."""


def arm_bones(motion: Tensor) -> Tensor:
    """The bones of both arms: motion [..., M] -> [..., 2, BONES, 2, 3], of the left and the right arm the ends of each.

    Column and row in shares of the picture, and how near the camera, on the same scale. The bones of a hand that hangs
    lie below the picture.
    """
    motion = motion.float()

    def track(name: str) -> Tensor:
        return motion[..., motion_slice(name)].unflatten(-1, (2, -1)) / MOTION_SCALE[name]

    def const(values: object) -> Tensor:
        return torch.tensor(values, device=motion.device)

    wrist = wrists(motion)
    up = track("hand_active")
    share = _eased(up)
    outward = const([[1.0], [-1.0]])
    mirror = torch.cat([outward, torch.ones(2, 2, device=motion.device)], 1)

    near = _near(wrist)
    along, length = _along(track("fingers"), share, near)
    # Half way up, a hand is turned half way: what is told of it counts as far as it is up.
    palm = track("palm") + (1 - share) * mirror * const(_HANGING_PALM)
    palm = F.normalize(palm - (palm * along).sum(-1, keepdim=True) * along, dim=-1)
    axes = torch.stack([along, palm, outward * torch.linalg.cross(along, palm)], -1)

    known = up.clamp(min=1e-2)
    curl = (track("curl") / known).clamp(0, 1) * share + const(_RELAXED) * (1 - share)
    joints = torch.einsum("...ij,...kj->...ki", axes, _bent(curl).flatten(-3, -2)) * length[..., None, :]
    joints = torch.cat([joints @ near.transpose(-2, -1), joints[..., 2:]], -1).unflatten(-2, (5, 4))

    elbow = _elbow(wrist, mirror)
    elbow, wrist = (torch.cat([photographed(x), x[..., 2:]], -1)[..., None, None, :] for x in (elbow, wrist))
    joints = wrist + joints
    begins = joints[..., :1, :]
    palms = torch.stack([wrist.expand_as(begins), begins], -2)
    fingers = torch.stack([joints[..., :-1, :], joints[..., 1:, :]], -2)
    forearm = torch.stack([elbow, wrist], -2)
    return torch.cat([x.flatten(-4, -3) for x in (forearm, palms, fingers)], -3)


def _near(wrist: Tensor) -> Tensor:
    """How steps in x, y, z near wrists [..., 2, 3] go on the picture, [..., 2, 2, 3]."""
    (aside, up), (away, down, lower) = _ACROSS, _TOWARDS
    x, y = wrist[..., 0].clamp(-_SEEN[0], _SEEN[0]), wrist[..., 1].clamp(-_SEEN[1], _SEEN[1])
    none = torch.zeros_like(x)
    column = torch.stack([none + aside, none, away * x], -1)
    row = torch.stack([none, none + up, down + lower * y], -1)
    return torch.stack([column, row], -2)


def _along(fingers: Tensor, share: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
    """Where hands point, [..., 2, 3] of length 1, and how long they are seen to be, 1 for the mean: from the track,
    which says exactly where the middle knuckle is on the picture, how far up they are, [..., 2, 1], and `_near`.
    """
    reach = _FINGERS[_MIDDLE][0][0]
    knuckle = (photographed(HAND_REACH[1] * fingers) - photographed(torch.zeros_like(fingers))) / reach
    scale = fingers.new_tensor(_ACROSS)

    def across(depth: Tensor) -> Tensor:
        return (knuckle - depth * near[..., 2]) / scale

    depth = (fingers[..., 2:] + _HANGING_DEPTH * (1 - share)).clamp(-1, 1)
    # A hand is no shorter than it is: what is not seen of it goes towards the camera, or away from it.
    missing = (1 - across(depth).square().sum(-1, keepdim=True)).clamp(min=0).sqrt()
    depth = torch.where(depth < 0, -1.0, 1.0) * torch.maximum(depth.abs(), missing)
    whole = torch.cat([across(depth), depth], -1)
    length = whole.norm(dim=-1, keepdim=True).clamp(min=_LEAST_LENGTH)
    return whole / length, length


def _bent(curl: Tensor) -> Tensor:
    """Fingers that are bent so far, [..., 5], 0 for straight: their joints in the axes of the hand, [..., 5, 4, 3]."""
    joints, hinge, bend, opens = (
        torch.tensor(values, device=curl.device) for values in (_FINGERS, _HINGE, _BEND, _OPENS)
    )
    angle = ((curl[..., None] * bend - opens[:, None]) * (math.pi / 180)).cumsum(-1)[..., None]  # ... 5 3 1
    bone, hinge = joints[:, 1:] - joints[:, :-1], hinge[:, None]
    fixed = hinge * (bone * hinge).sum(-1, keepdim=True)
    turned = (bone - fixed) * angle.cos() + torch.linalg.cross(hinge.expand_as(bone), bone) * angle.sin() + fixed
    begin = joints[:, :1].expand(*curl.shape, 1, 3)
    return torch.cat([begin, begin + turned.cumsum(-2)], -2)


def _elbow(wrist: Tensor, mirror: Tensor) -> Tensor:
    """Where elbows are whose wrists are at [..., 2, 3], in shoulder widths."""
    shoulder, pole = (wrist.new_tensor(x) * mirror for x in (_SHOULDER, _ELBOWS_GO))
    line = wrist - shoulder
    distance = line.norm(dim=-1, keepdim=True).clamp(min=1e-3)
    along, reach = line / distance, distance.clamp(0.1, 0.995 * (_UPPER + _LOWER))
    aside = F.normalize(pole - (pole * along).sum(-1, keepdim=True) * along, dim=-1)
    cosine = ((_UPPER**2 + reach.square() - _LOWER**2) / (2 * _UPPER * reach)).clamp(-1, 1)
    elbow: Tensor = shoulder + _UPPER * (cosine * along + (1 - cosine.square()).sqrt() * aside)
    return elbow


def _eased(share: Tensor) -> Tensor:
    share = share.clamp(0, 1)
    return share * share * (3 - 2 * share)

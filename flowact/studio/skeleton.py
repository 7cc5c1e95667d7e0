"""Posing: from a performance to one matrix per bone and frame, with analytic two-bone arms.

Every rotation is about model axes at the bone's rest head, so a bone without rotation moves with its parent and no
bone roll is needed. All functions work on whole clips: the first axis is the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from flowact.studio.makehuman import Assets
from flowact.studio.performance import Performance

Float = NDArray[np.float32]
Float64 = NDArray[np.float64]

SPINE = ("spine05", "spine04", "spine03", "spine02", "spine01")
CHEST = ("spine02", "spine01")
NECK = ("neck01", "neck02", "neck03", "head")
NECK_SHARE = (0.14, 0.16, 0.2, 0.5)
SIDES = ("L", "R")
ARM = ("clavicle", "shoulder01", "upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist")
FINGERS = tuple(f"finger{finger}-{joint}" for finger in range(1, 6) for joint in range(1, 4))
POSED = (
    "root",
    *SPINE,
    *NECK,
    *(f"{bone}.{side}" for side in SIDES for bone in (*ARM, *FINGERS)),
    "eye.L",
    "eye.R",
)
SHOULDER_ROUNDS = 4
CURL_DEGREES = ((25.0, 35.0, 45.0), *(((72.0, 92.0, 60.0),) * 4))


@dataclass(frozen=True)
class Skeleton:
    """The posed bones of one shaped body at rest."""

    heads: Float64  # [P, 3] rest heads of the bones in POSED
    parents: tuple[int, ...]
    shoulder_width: float
    neck_base: Float64  # [3] the notch between the collarbones
    knuckles: Float64  # [2, 2, 3] index and little knuckle, left and right
    middle: Float64  # [2, 3] middle knuckle
    joints: dict[str, int]

    @classmethod
    def of_body(cls, assets: Assets, body: Float) -> Skeleton:
        """Bone heads of a shaped body of [B, 3] vertices, helpers included."""
        joints = {name: i for i, name in enumerate(POSED)}
        heads = np.stack([body[assets.heads[assets.bones.index(name)]].mean(0) for name in POSED]).astype(np.float64)
        parents = tuple(posed_ancestor(assets, assets.parents[assets.bones.index(n)]) for n in POSED)

        def at(name: str) -> Float64:
            return np.asarray(body[assets.heads[assets.bones.index(name)]].mean(0), np.float64)

        knuckles = np.stack([[at(f"finger2-1.{s}"), at(f"finger5-1.{s}")] for s in SIDES])
        middle = np.stack([at(f"finger3-1.{s}") for s in SIDES])
        width = float(np.linalg.norm(at("upperarm01.L") - at("upperarm01.R")))
        neck_base = (at("clavicle.L") + at("clavicle.R")) / 2
        return cls(heads, parents, width, neck_base, knuckles, middle, joints)


def posed_ancestor(assets: Assets, bone: int) -> int:
    """Index in POSED of the nearest posed bone at or above `bone`; -1 above the root."""
    while bone >= 0 and assets.bones[bone] not in POSED:
        bone = int(assets.parents[bone])
    return POSED.index(assets.bones[bone]) if bone >= 0 else -1


def _turn(yaw_pitch_roll: Float, share: float = 1.0) -> Float64:
    """[F, 3, 3] rotations for degrees in the performance's signs."""
    signs = np.asarray([1.0, -1.0, -1.0])
    angles = yaw_pitch_roll.astype(np.float64) * signs * share
    return np.asarray(Rotation.from_euler("YXZ", angles, degrees=True).as_matrix())


def _unit(vectors: Float64) -> Float64:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))


def _frame(direction: Float64, hinge: Float64) -> Float64:
    """[..., 3, 3] axes as columns: the direction, the hinge made perpendicular to it, and their cross product."""
    d = _unit(direction)
    h = _unit(hinge - (hinge * d).sum(-1, keepdims=True) * d)
    return np.stack([d, h, np.cross(d, h)], -1)


def _between(target: Float64, rest: Float64) -> Float64:
    """Rotation that takes the rest axes to the target axes."""
    return np.asarray(target @ np.swapaxes(rest, -1, -2))


def _blend(a: Float64, b: Float64, share: Float64) -> Float64:
    """Rotations on the way from a to b, frame by frame."""
    relative = Rotation.from_matrix(np.swapaxes(a, -1, -2) @ b).as_rotvec()
    return np.asarray(a @ Rotation.from_rotvec(relative * share[:, None]).as_matrix())


class Poser:
    """Builds the matrices of one clip: [F, P, 3, 4], to be multiplied with rest positions."""

    def __init__(self, skeleton: Skeleton, frames: int) -> None:
        self.skeleton = skeleton
        self.rotation = np.tile(np.eye(3), (frames, len(POSED), 1, 1))
        self.offset = np.zeros((frames, len(POSED), 3))
        self.swell = np.zeros(frames)
        self.frames = frames

    def place(self, name: str, local: Float64, absolute: bool = False, shift: Float64 | float = 0.0) -> None:
        """Turn one bone about its head, relative to its parent (or absolutely), after its parent was placed."""
        i = self.skeleton.joints[name]
        parent = self.skeleton.parents[i]
        head = self.skeleton.heads[i]
        if parent < 0:
            self.rotation[:, i] = local
            self.offset[:, i] = head - local @ head + shift
            return
        world = self.rotation[:, parent] @ head + self.offset[:, parent] + shift
        self.rotation[:, i] = local if absolute else self.rotation[:, parent] @ local
        self.offset[:, i] = world - self.rotation[:, i] @ head

    def at(self, name: str, point: Float64 | None = None) -> Float64:
        """[F, 3] where a bone's head (or a rest point moving with it) is now."""
        i = self.skeleton.joints[name]
        rest = self.skeleton.heads[i] if point is None else point
        return np.asarray(self.rotation[:, i] @ rest + self.offset[:, i])

    def matrices(self) -> Float:
        """[F, P, 3, 4] float32."""
        table = np.concatenate([self.rotation, self.offset[..., None]], -1)
        for name in CHEST:
            # A full chest is deeper; only the vertices of these bones swell, their children stay as they are.
            i = self.skeleton.joints[name]
            growth = self.swell[:, None] * self.rotation[:, i, :, 2]
            table[:, i, :, 2] += growth
            table[:, i, :, 3] -= growth * self.skeleton.heads[i, 2]
        return table.astype(np.float32)


def pose(skeleton: Skeleton, performance: Performance) -> Poser:
    """Pose every bone for every frame of a performance."""
    poser = Poser(skeleton, performance.frames)
    poser.swell = 0.05 * performance.breath.astype(np.float64)
    still = np.tile(np.eye(3), (performance.frames, 1, 1))
    poser.place("root", still, shift=performance.sway.astype(np.float64) * skeleton.shoulder_width)
    for name in SPINE:
        poser.place(name, _turn(performance.torso, 1 / len(SPINE)))
    for name, share in zip(NECK, NECK_SHARE):
        poser.place(name, _turn(performance.head, share))
    gaze = np.concatenate([performance.gaze, np.zeros((performance.frames, 1), np.float32)], 1)
    for side in SIDES:
        poser.place(f"eye.{side}", _turn(gaze))
        _pose_arm(poser, performance, SIDES.index(side))
    return poser


def _pose_arm(poser: Poser, performance: Performance, side: int) -> None:
    skeleton, letter, outward = poser.skeleton, SIDES[side], 1.0 - 2.0 * side
    unit = skeleton.shoulder_width
    active = _ease(performance.hand_active[:, side].astype(np.float64))
    wrist_goal = performance.wrist[:, side].astype(np.float64)
    breath = performance.breath.astype(np.float64)
    lift = performance.shoulders[:, side] * 16.0 + breath * 1.2 + active * np.clip(wrist_goal[:, 1] + 0.3, 0, 1) * 9.0
    raised = Rotation.from_euler("Z", outward * (lift - 9.0)[:, None], degrees=True).as_matrix()
    poser.place(f"clavicle.{letter}", np.asarray(raised))
    poser.place(f"shoulder01.{letter}", np.tile(np.eye(3), (poser.frames, 1, 1)))

    rest = {name: skeleton.heads[skeleton.joints[f"{name}.{letter}"]] for name in ARM}
    upper, lower = rest["lowerarm01"] - rest["upperarm01"], rest["wrist"] - rest["lowerarm01"]
    lengths = np.linalg.norm(upper), np.linalg.norm(lower)
    parent = poser.rotation[:, skeleton.joints["spine01"]]
    hang = _unit(np.asarray([0.13 * outward, -1.0, 0.1])) * (sum(lengths) * 0.985)
    neck = poser.at("spine01", skeleton.neck_base)
    away = np.asarray([0.25 * outward, 0.0, 0.35]) * (unit * 2 * active * (1 - active))[:, None]
    resting, working = np.asarray([0.35 * outward, -0.1, -1.0]), np.asarray([0.75 * outward, -1.0, -0.25])
    pole = parent @ _unit(resting) * (1 - active)[:, None] + working * active[:, None]
    rest_hinge = np.cross(upper, lower)
    collar = poser.rotation[:, skeleton.joints[f"clavicle.{letter}"]]
    # The shoulder follows the arm by a third, which moves the arm's root: a few rounds settle it.
    for _ in range(SHOULDER_ROUNDS):
        shoulder = poser.at(f"shoulder01.{letter}", rest["upperarm01"])
        hanging = shoulder + parent @ hang
        target = hanging + active[:, None] * (neck + wrist_goal * unit - hanging) + away
        upper_now, lower_now, hinge = _two_bones(shoulder, target, pole, float(lengths[0]), float(lengths[1]))
        upper_turn = _between(_frame(upper_now, hinge), _frame(upper, rest_hinge))
        third = np.full(poser.frames, 0.35)
        poser.place(f"shoulder01.{letter}", _blend(collar, upper_turn, third), absolute=True)
    poser.place(f"upperarm01.{letter}", upper_turn, absolute=True)
    poser.place(f"upperarm02.{letter}", upper_turn, absolute=True)
    lower_turn = _between(_frame(lower_now, hinge), _frame(lower, rest_hinge))
    poser.place(f"lowerarm01.{letter}", lower_turn, absolute=True)
    _place_hand(poser, performance, side, active, lower_turn)


def _place_hand(poser: Poser, performance: Performance, side: int, active: Float64, lower_turn: Float64) -> None:
    skeleton, letter, outward = poser.skeleton, SIDES[side], 1.0 - 2.0 * side
    wrist = skeleton.heads[skeleton.joints[f"wrist.{letter}"]]
    index, little = skeleton.knuckles[side] - wrist
    rest_fingers = skeleton.middle[side] - wrist
    rest_palm = np.cross(little, index) * outward
    wanted = _frame(performance.fingers[:, side].astype(np.float64), performance.palm[:, side].astype(np.float64))
    turn = _between(wanted, _frame(rest_fingers, rest_palm))
    hand = _blend(lower_turn, turn, active)
    # Half of the hand's twist belongs to the forearm, else the wrist is wrung like a towel.
    relative = Rotation.from_matrix(np.swapaxes(lower_turn, -1, -2) @ hand).as_rotvec()
    axis = _unit(wrist - skeleton.heads[skeleton.joints[f"lowerarm01.{letter}"]])
    twist = Rotation.from_rotvec((relative @ axis)[:, None] * axis * 0.6).as_matrix()
    poser.place(f"lowerarm02.{letter}", lower_turn @ twist, absolute=True)
    poser.place(f"wrist.{letter}", hand, absolute=True)
    rest_hinge = _unit(np.cross(rest_fingers, rest_palm))
    relaxed = np.asarray([0.12, 0.18, 0.22, 0.26, 0.3])
    curl = relaxed * (1 - active)[:, None] + performance.curl[:, side] * active[:, None]
    for finger in range(5):
        # The rest hand is already slightly bent: a straight finger opens it a little.
        hinge = rest_hinge if finger else _unit(rest_hinge * 0.35 + _unit(rest_fingers) * 0.9 * outward)
        for joint in range(3):
            angle = (curl[:, finger] * CURL_DEGREES[finger][joint]) - (10.0 if finger else 0.0)
            bend = Rotation.from_rotvec(np.radians(angle)[:, None] * hinge).as_matrix()
            poser.place(f"finger{finger + 1}-{joint + 1}.{letter}", np.asarray(bend))


def _two_bones(
    start: Float64, target: Float64, pole: Float64, upper: float, lower: float
) -> tuple[Float64, Float64, Float64]:
    """Directions [F, 3] of both bones and the hinge axis, so that the second ends at the target (or points to it)."""
    line = target - start
    distance = np.linalg.norm(line, axis=-1)
    reach = np.clip(distance, abs(upper - lower) * 1.05, (upper + lower) * 0.995)
    along = line / np.maximum(distance, 1e-9)[:, None]
    aside = _unit(pole - (pole * along).sum(-1, keepdims=True) * along)
    cosine = (upper**2 + reach**2 - lower**2) / (2 * upper * reach)
    sine = np.sqrt(np.clip(1 - cosine**2, 0, 1))
    elbow = upper * (cosine[:, None] * along + sine[:, None] * aside)
    return _unit(elbow), _unit(along * reach[:, None] - elbow), np.cross(aside, along)


def _ease(x: Float64) -> Float64:
    clipped = np.clip(x, 0.0, 1.0)
    return np.asarray(clipped * clipped * (3 - 2 * clipped))

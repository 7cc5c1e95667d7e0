import numpy as np
import torch

from flowact.core import arms
from flowact.core.arms import BONE_RADII, BONES, FINGERS, FOREARM, PALM, arm_bones
from flowact.core.motion import MOTION_TRACKS, MOTION_WIDTH, aim_hands, hand_points, pack_motion, photographed, wrists
from flowact.studio.skeleton import CURL_DEGREES

THUMB, INDEX, MIDDLE, LITTLE = (slice(FINGERS.start + 3 * i, FINGERS.start + 3 * i + 3) for i in (0, 1, 2, 4))
TIP = -1


def raised(active: float = 1.0, curl: float = 0.0) -> torch.Tensor:
    """Motion of six frames of somebody who shows both palms."""
    given = {name: np.zeros((6, width), np.float32) for name, width in MOTION_TRACKS.items()}
    up, front = np.array([0.0, 1, 0], np.float32), np.array([0.0, 0, 1], np.float32)
    given["hand_active"] = np.full((6, 2), active, np.float32)
    given["wrist"] = np.tile(np.array([[0.6, 0.1, 0.3], [-0.6, 0.1, 0.3]], np.float32), (6, 1, 1))
    given["palm"], given["fingers"] = np.tile(front, (6, 2, 1)), np.tile(up, (6, 2, 1))
    given["curl"] = np.full((6, 2, 5), curl, np.float32)
    return torch.from_numpy(pack_motion(given))


def test_arms_are_chains_from_elbow_to_fingertips() -> None:
    motion = raised()
    bones = arm_bones(motion)
    assert bones.shape == (6, 2, BONES, 2, 3)
    assert len(BONE_RADII) == BONES
    wrist = photographed(wrists(motion))
    torch.testing.assert_close(bones[:, :, FOREARM, 1, :2], wrist[:, :, None])
    torch.testing.assert_close(bones[:, :, PALM, 0, :2], wrist[:, :, None].expand(-1, -1, 5, -1))
    for finger in range(5):
        first = FINGERS.start + 3 * finger
        torch.testing.assert_close(bones[:, :, first, 0], bones[:, :, PALM.start + finger, 1])
        torch.testing.assert_close(bones[:, :, first + 1 : first + 3, 0], bones[:, :, first : first + 2, 1])


def test_the_middle_knuckle_lies_where_motion_was_aimed() -> None:
    seen = torch.tensor([[[0.75, 0.8], [0.72, 0.55]], [[0.3, 0.8], [0.4, 0.7]]]).expand(6, -1, -1, -1)
    for active in (0.5, 1.0):
        motion = aim_hands(raised(active), seen)
        bones = arm_bones(motion)
        torch.testing.assert_close(bones[:, :, FOREARM.start, 1, :2], seen[:, :, 0], atol=1e-4, rtol=0)
        torch.testing.assert_close(bones[:, :, PALM.start + 2, 1, :2], seen[:, :, 1], atol=1e-4, rtol=0)
        torch.testing.assert_close(hand_points(motion)[:, :, 1], seen[:, :, 1], atol=1e-4, rtol=0)


def test_fingers_bend_towards_the_palm_and_the_thumb_is_at_the_head_side_of_raised_palms() -> None:
    straight, bent = arm_bones(raised()), arm_bones(raised(curl=1.0))
    thumb, little = (straight[:, :, finger][:, :, TIP, 1, 0] for finger in (THUMB, LITTLE))
    assert bool((thumb[:, 0] < little[:, 0]).all()), "the person's left hand is on the right of the picture"
    assert bool((thumb[:, 1] > little[:, 1]).all())
    for finger in (INDEX, MIDDLE, LITTLE):
        row, depth = (straight[0, 0, finger][TIP, 1, i] - straight[0, 0, PALM.start, 0, i] for i in (1, 2))
        assert row < -0.3
        assert abs(float(depth)) < 0.1
        assert float(bent[0, 0, finger][TIP, 1, 1] - straight[0, 0, finger][TIP, 1, 1]) > 0.1, "lower in a fist"
        assert float(bent[0, 0, finger][1, 0, 2] - bent[0, 0, finger][0, 0, 2]) > 0.05, "and nearer, this palm in front"
    torch.testing.assert_close(straight[:, 0, :, :, 1:], straight[:, 1, :, :, 1:], atol=0.02, rtol=0)


def test_elbows_are_out_and_below_and_no_arm_is_longer_than_it_is() -> None:
    bones = arm_bones(raised())
    elbow, wrist = bones[:, :, FOREARM.start, 0], bones[:, :, FOREARM.start, 1]
    assert bool((elbow[..., 1] > wrist[..., 1] + 0.2).all())
    assert bool((elbow[:, 0, 0] > 0.9).all() and (elbow[:, 1, 0] < 0.1).all())
    shoulder = photographed(torch.tensor([0.45, 0.0, 0.0]))
    for motion in (raised(), 3 * raised()):
        upper_arm = arm_bones(motion)[:, 0, FOREARM.start, 0, :2] - shoulder
        assert bool((upper_arm.norm(dim=-1) < 0.76).all())


def test_hands_that_hang_lie_below_the_picture_whatever_is_told() -> None:
    bones = arm_bones(raised(active=0.0))
    assert bool((bones[..., 1] > 1).all())
    anything = torch.randn(4, 7, MOTION_WIDTH)
    assert bool(arm_bones(anything).isfinite().all())
    assert bool(arm_bones(0 * anything).isfinite().all())


def test_fingers_bend_as_those_of_the_studios_people_do() -> None:
    assert arms._BEND == CURL_DEGREES

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowact.core.motion import MOTION_WIDTH, motion_slice
from flowact.studio.performance import LANDMARKS
from flowact.train.data.flow import face_points, measure_common_flow
from flowact.train.data.frames import FrameStore
from flowact.train.data.labels import LABELS
from tests.train.distributed_worker import make_store

CLIPS, TIME = 2, 42
FACE = np.array([100.0, 60, 160, 160], np.float32)
YAW_PX = 3.0


def moving_bodies(motion: torch.Tensor) -> FrameStore:
    """Faces that go to the right by some pixels per number of yaw, shirts that go half as far, and a wall."""
    total = CLIPS * TIME * 4
    right = YAW_PX * motion[..., motion_slice("head")][..., 0].flatten().numpy()[:, None, None] * np.float32([1, 0])
    rng = np.random.default_rng(0)
    tracks = {name: np.zeros((total, width), np.float32) for name, width in LABELS.items()}
    spread = rng.uniform(0, 1, (len(LANDMARKS), 2)).astype(np.float32)
    tracks["landmarks"] = FACE[:2] + spread * (FACE[2:] - FACE[:2]) + right
    for name in ("iris_left", "wrist_left", "knuckle_right"):
        tracks["landmarks"][:, LANDMARKS.index(name)] = np.nan
    shirt = rng.uniform((80, 200), (180, 250), (60, 2)).astype(np.float32) + right / 2
    wall = np.broadcast_to(rng.uniform(0, 256, (30, 2)).astype(np.float32), (total, 30, 2))
    tracks["points"] = np.concatenate([shirt, wall], 1)
    tracks["points"][::3, :20] = np.nan
    frames = np.broadcast_to(np.uint8(0), (total, 256, 256, 3))
    return FrameStore(frames, tracks, np.arange(CLIPS) * TIME * 4, np.full(CLIPS, TIME * 4), np.arange(CLIPS))


def test_bodies_are_found_against_the_way_they_went_and_nobody_asks_walls() -> None:
    torch.manual_seed(0)
    motion = torch.zeros(CLIPS, TIME, 4, MOTION_WIDTH)
    for name in ("head", "gaze"):
        motion[..., motion_slice(name)].normal_()
    store = replace(make_store(TIME), motion=motion, stills=torch.tensor([[5], [80]]))
    field = measure_common_flow(moving_bodies(motion), store, 32)
    assert field.shape == (MOTION_WIDTH, 2, 32, 32)
    yaw = field[motion_slice("head")][0]
    assert float(yaw[0, 13, 16]) == pytest.approx(-YAW_PX, rel=0.1)
    assert float(yaw[0, 28, 16]) == pytest.approx(-YAW_PX / 2, rel=0.1)
    assert float(yaw[1].abs().max()) < 0.1
    assert float(yaw[0, 2, 2].abs()) < 0.1, "nobody was ever seen there"
    others = torch.cat([field[: motion_slice("head").start], field[motion_slice("head").start + 1 :]])
    assert float(others[..., [13, 28], 16].abs().max()) < 0.05 * YAW_PX


def test_face_points_lie_on_the_face() -> None:
    points = face_points(moving_bodies(torch.zeros(CLIPS, TIME, 4, MOTION_WIDTH)).tracks["landmarks"])[0]
    assert points.shape == (18, 2)
    assert (points >= FACE[:2]).all()
    assert (points <= FACE[2:]).all()

from dataclasses import replace

import numpy as np
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


def moving_faces(motion: torch.Tensor) -> FrameStore:
    """Faces that go to the right by some pixels per number of yaw."""
    total = CLIPS * TIME * 4
    right = YAW_PX * motion[..., motion_slice("head")][..., 0].flatten().numpy()
    box = FACE + right[:, None] * np.array([1, 0, 1, 0], np.float32)
    tracks = {name: np.zeros((total, width), np.float32) for name, width in LABELS.items()}
    spread = np.random.default_rng(0).uniform(0, 1, (len(LANDMARKS), 2)).astype(np.float32)
    tracks["landmarks"] = box[:, None, :2] + spread * (FACE[2:] - FACE[:2])
    for name in ("iris_left", "wrist_left", "knuckle_right"):
        tracks["landmarks"][:, LANDMARKS.index(name)] = np.nan
    frames = np.broadcast_to(np.uint8(0), (total, 256, 256, 3))
    return FrameStore(frames, tracks, np.arange(CLIPS) * TIME * 4, np.full(CLIPS, TIME * 4), np.arange(CLIPS))


def test_faces_are_found_against_the_way_they_went_and_walls_stay() -> None:
    torch.manual_seed(0)
    motion = torch.randn(CLIPS, TIME, 4, MOTION_WIDTH)
    store = replace(make_store(TIME), motion=motion, stills=torch.tensor([[5], [80]]))
    field = measure_common_flow(moving_faces(motion), store, 32)
    assert field.shape == (MOTION_WIDTH, 2, 32, 32)
    yaw = field[motion_slice("head")][0]
    assert -1.05 * YAW_PX < float(yaw[0, 13, 16]) < -0.75 * YAW_PX
    assert float(yaw[1].abs().max()) < 0.1
    assert float(yaw[0, 2, 2].abs()) < 0.3
    others = torch.cat([field[: motion_slice("head").start], field[motion_slice("head").start + 1 :]])
    assert float(others.abs().max()) < 0.1 * YAW_PX


def test_face_points_lie_on_the_face() -> None:
    points = face_points(moving_faces(torch.zeros(CLIPS, TIME, 4, MOTION_WIDTH)).tracks["landmarks"])[0]
    assert points.shape == (18, 2)
    assert (points >= FACE[:2]).all()
    assert (points <= FACE[2:]).all()

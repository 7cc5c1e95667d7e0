from __future__ import annotations

import io
import tarfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from flowact.evaluate.judges import Judges
from flowact.evaluate.looking import FACE_PX, HAND_PX, MOUTH_PX, WHOLE_PX
from flowact.evaluate.probes import (
    FACE_LABELS,
    HAND_LABELS,
    HAND_SHAPE,
    PLACE_LABELS,
    POSE_LABELS,
    ActionConfig,
    ActionProbe,
    IdentityProbe,
    Reader,
    ReaderConfig,
)
from flowact.studio.clipfile import write_clip
from flowact.studio.performance import (
    FACE_UNITS,
    LANDMARKS,
    SURFACE_POINTS,
    Caption,
    Performance,
    RenderedClip,
    Segment,
)
from flowact.studio.roster import ClipPlan

FRAMES, SIDE = 36, 64


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def judges() -> Judges:
    """Judges who know nothing."""
    torch.manual_seed(0)
    seen = sum((PLACE_LABELS | POSE_LABELS).values()) + HAND_LABELS["wrist"]
    return Judges(
        Reader(ReaderConfig(WHOLE_PX, seen, 4)).eval(),
        Reader(ReaderConfig(HAND_PX, sum(HAND_SHAPE.values()), 4)).eval(),
        Reader(ReaderConfig(MOUTH_PX, 1, 4)).eval(),
        Reader(ReaderConfig(FACE_PX, sum(FACE_LABELS.values()), 4)).eval(),
        IdentityProbe(ReaderConfig(FACE_PX, 8, 4)).eval(),
        ActionProbe(ActionConfig(8)).eval(),
        0.5,
        {"clips": 0},
    )


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """Shards of ten drawn people: eight to train on and two unseen, two clips each."""
    folder = tmp_path_factory.mktemp("shards")
    for split, people in (("train", range(8)), ("val", (7 + 16, 7 + 32))):
        with tarfile.open(folder / f"flowact-{split}-000000.tar", "w") as tar:
            for person in people:
                for take in range(2):
                    plan = ClipPlan(person, take, split)
                    for suffix, data in write_clip(*draw(person, take), asdict(plan)).items():
                        info = tarfile.TarInfo(f"{plan.key}.{suffix}")
                        info.size = len(data)
                        tar.addfile(info, io.BytesIO(data))
    return folder


def draw(person: int, take: int) -> tuple[Performance, RenderedClip]:
    """A flat face in the person's colour, with a mouth that opens and closes."""
    rng = np.random.default_rng([person, take])
    opening = 0.2 + 0.2 * np.sin(np.arange(FRAMES) * 0.9 + person + take)
    frames = np.full((FRAMES, SIDE, SIDE, 3), 40 + 20 * take, np.uint8)
    frames[:, 12:52, 16:48] = np.random.default_rng(person).integers(80, 255, 3)
    for frame, gap in zip(frames, opening):
        frame[40 - round(gap * 8) : 41 + round(gap * 8), 26:38] = 20
    half, end_s = FRAMES / 50, FRAMES / 25
    zeros = {name: np.zeros((FRAMES, *shape), np.float32) for name, shape in SHAPES.items()}
    performance = Performance(
        **zeros,
        audio=rng.uniform(-0.3, 0.3, FRAMES * 640).astype(np.float32),
        segments=(Segment(0.0, half, "talk", "none"), Segment(half, end_s, "gesture", "wave")),
        captions=tuple(
            Caption(start, end, f"{text} {detail}", detail)
            for start, end, text in ((0.0, half, "talks"), (half, end_s, "waves"))
            for detail in range(3)
        ),
    )
    boxes = [np.tile(np.asarray(box, np.float32), (FRAMES, 1)) for box in ((24, 36, 40, 45), (16, 14, 48, 50))]
    clip = RenderedClip(
        frames,
        boxes[0],
        boxes[1],
        opening.astype(np.float32),
        np.full((FRAMES, len(LANDMARKS), 2), SIDE / 4, np.float32),
        np.ones((FRAMES, 2), np.float32),
        np.tile(np.asarray([0, 1], np.float32), (FRAMES, 1)),
        np.full((FRAMES, SURFACE_POINTS, 2), np.nan, np.float32),
    )
    return performance, clip


SHAPES: dict[str, tuple[int, ...]] = {
    "visemes": (15,),
    "face": (len(FACE_UNITS),),
    "head": (3,),
    "torso": (3,),
    "sway": (3,),
    "shoulders": (2,),
    "breath": (),
    "gaze": (2,),
    "hand_active": (2,),
    "wrist": (2, 3),
    "palm": (2, 3),
    "fingers": (2, 3),
    "curl": (2, 5),
}

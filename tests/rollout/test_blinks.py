import pytest
import torch

from flowact.core.motion import LIDS, MOTION_SCALE, MOTION_WIDTH, motion_slice
from flowact.rollout.blinks import blinking
from flowact.studio.performance import FACE_UNITS

CHUNKS = 4000


def lids_of(motion: torch.Tensor) -> torch.Tensor:
    return motion.flatten(1, 2)[..., motion_slice("face")][..., list(LIDS)] / MOTION_SCALE["face"]


def test_lids_are_those_of_the_face() -> None:
    assert [FACE_UNITS[i] for i in LIDS] == ["eyeBlinkLeft", "eyeBlinkRight"]


def test_people_blink_thirteen_times_a_minute_and_see_again() -> None:
    torch.manual_seed(0)
    motion = torch.full((CHUNKS, 3, 4, MOTION_WIDTH), 0.3)
    noise = torch.randn(CHUNKS, 3, 20, 1, 1)
    made = blinking(motion, noise)
    lids = lids_of(made)
    blinks = lids.amax((1, 2)) > 0.9
    assert float(blinks.sum()) / (CHUNKS * 0.48 / 60) == pytest.approx(13, rel=0.1)
    shut = lids[blinks]
    rest = 0.3 / MOTION_SCALE["face"]
    assert torch.equal(shut[..., 0], shut[..., 1])
    torch.testing.assert_close(shut[:, [-1]], torch.full_like(shut[:, [-1]], rest), atol=0.02, rtol=0)
    assert 1 <= float((shut[..., 0] > 0.8).sum(1).float().mean()) <= 3
    begins = (shut[..., 0] > 0.5).float().argmax(1)
    assert begins.unique().numel() >= 4, "not always at the same frame"
    assert torch.equal(lids[~blinks], lids_of(motion)[~blinks])
    others = torch.ones(MOTION_WIDTH, dtype=torch.bool)
    others[[motion_slice("face").start + i for i in LIDS]] = False
    assert torch.equal(made[..., others], motion[..., others])
    assert torch.equal(blinking(motion, noise), made)


def test_closed_eyes_stay_closed() -> None:
    motion = torch.full((500, 3, 4, MOTION_WIDTH), MOTION_SCALE["face"])
    made = blinking(motion, torch.randn(500, 3, 20, 1, 1))
    torch.testing.assert_close(made, motion)

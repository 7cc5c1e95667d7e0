import torch

from flowact.core.motion import MOTION_WIDTH, motion_slice
from flowact.models.lips import Lips, LipsConfig

VISEMES, FACE = motion_slice("visemes"), motion_slice("face")
JAW = FACE.start + 16


def performances(frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A voice of six numbers of which two open the mouth, and a jaw that goes with it; all else is chance."""
    torch.manual_seed(0)
    audio, motion = torch.randn(frames, 6), torch.randn(frames, MOTION_WIDTH)
    motion[:, VISEMES] = 0.1 * torch.randn(frames, 15)
    motion[:, VISEMES.start + 10] += 2 * audio[:, 0] - audio[:, 3] + 1
    motion[:, JAW] = 0.5 * motion[:, VISEMES.start + 10] + 0.1 * torch.randn(frames)
    return audio, motion


def measured() -> Lips:
    lips = Lips(LipsConfig(6))
    lips.measure(*performances(4000))
    return lips


def test_lips_do_what_is_heard_and_the_face_goes_with_them() -> None:
    lips = measured()
    audio = torch.zeros(1, 1, 4, 6)
    audio[..., 0] = 1
    imagined = torch.randn(1, 1, 4, MOTION_WIDTH)
    spoken = lips.speak(imagined, audio, torch.ones(1, 1))
    torch.testing.assert_close(spoken[..., VISEMES.start + 10], torch.full((1, 1, 4), 1 + 1.1 * 2), atol=0.07, rtol=0)
    change = spoken - imagined
    torch.testing.assert_close(
        change[..., JAW], 0.5 * change[..., VISEMES.start + 10], atol=0.1, rtol=0, msg="the jaw keeps its own part"
    )
    change[..., VISEMES] = change[..., FACE] = 0
    assert not change.any(), "nobody else hears"


def test_who_hears_nothing_imagines_lips_too() -> None:
    lips = measured()
    audio, imagined = torch.randn(2, 2, 4, 6), torch.randn(2, 2, 4, MOTION_WIDTH)
    present = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    spoken = lips.speak(imagined, audio, present)
    changed = (spoken != imagined).any(-1).any(-1)
    assert changed.tolist() == [[True, False], [False, True]]

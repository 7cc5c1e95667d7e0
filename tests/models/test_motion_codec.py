from pathlib import Path

import torch

from flowact.core.motion import MOTION_WIDTH
from flowact.models.motion_codec import MotionCodec, MotionCodecConfig
from flowact.models.weights import load_model, save_model


def moving(clips: int, directions: int) -> torch.Tensor:
    """Motion [N, 4, M] of a few directions, of falling size."""
    torch.manual_seed(0)
    size = torch.linspace(3, 0.5, directions)
    return ((torch.randn(clips, directions) * size) @ torch.randn(directions, 4 * MOTION_WIDTH)).view(clips, 4, -1) + 2


def test_motion_of_few_directions_is_kept_whole() -> None:
    motion, codec = moving(500, 6), MotionCodec(MotionCodecConfig(6))
    codec.measure(motion)
    latents = codec.encode(motion[None])
    assert latents.shape == (1, 500, 6, 1, 1)
    torch.testing.assert_close(codec.decode(latents)[0], motion, rtol=1e-3, atol=1e-2)


def test_what_moves_most_comes_first_and_the_mean_variance_is_one() -> None:
    motion, codec = moving(2000, 6), MotionCodec(MotionCodecConfig(6))
    codec.measure(motion)
    spread = codec.encode(motion[None])[0, :, :, 0, 0].std(0)
    assert bool((spread.diff() < 0).all())
    assert abs(float(spread.square().mean()) - 1) < 0.05


def test_it_is_saved_and_read_back(tmp_path: Path) -> None:
    codec = MotionCodec(MotionCodecConfig(6))
    codec.measure(moving(100, 6))
    save_model(codec, codec.config, tmp_path)
    assert torch.equal(load_model(MotionCodec, tmp_path).basis, codec.basis)

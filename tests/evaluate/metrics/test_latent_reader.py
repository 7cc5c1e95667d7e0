import pytest
import torch

from flowact.core.errors import ShapeError
from flowact.evaluate.metrics.latent_reader import MouthSamples, mouth_windows, read_latents


def samples(count: int, seed: int, readable: bool) -> MouthSamples:
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(count, 4, 8, 8, generator=generator)
    opening = torch.rand(count, 4, generator=generator)
    if readable:
        latents[:, :, 5, 4] = opening * 2
    box = torch.tensor([64.0, 84, 80, 92]).expand(count, 4, 4)
    return MouthSamples(latents, box, opening)


def test_what_is_in_the_latents_is_read_and_nothing_else():
    assert read_latents(samples(1500, 0, True), samples(200, 1, True)) > 0.9
    assert abs(read_latents(samples(600, 0, False), samples(200, 1, False), steps=100)) < 0.2


def test_windows_at_the_border_and_independent_of_the_opening():
    one = samples(2, 0, True)
    lower = MouthSamples(one.latents, one.mouth_box + torch.tensor([0.0, 0, 0, 4]), one.mouth_open)
    torch.testing.assert_close(mouth_windows(one), mouth_windows(lower))
    corner = MouthSamples(one.latents, torch.zeros(2, 4, 4), one.mouth_open)
    assert mouth_windows(corner).shape == (2, 4 * 25)


def test_labels_must_fit():
    with pytest.raises(ShapeError, match="four labels"):
        MouthSamples(torch.zeros(2, 4, 8, 8), torch.zeros(2, 4, 4), torch.zeros(2, 3))

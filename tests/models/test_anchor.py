import pytest
import torch

from flowact.models.anchor import Anchor, AnchorConfig


def test_what_is_measured_is_undone_and_mouths_are_where_they_were() -> None:
    torch.manual_seed(0)
    latents, rest, look = torch.randn(3, 5, 2, 4, 4) * 3, torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    mouths = torch.zeros(3, 5, 4, 4)
    mouths[:, :, 2, 1] = 1
    mouths[0, :, 2, 2] = 1
    anchor = Anchor(AnchorConfig(2, 4))
    anchor.measure(latents, rest, look, mouths)
    relative = anchor.relative(latents, rest)
    assert float(relative.square().mean()) == pytest.approx(1.0, abs=0.15)
    torch.testing.assert_close(anchor.absolute(relative, rest), latents)
    assert not anchor.relative(rest[:, None], rest).any()
    assert float(anchor.mouth[2, 1]) == 1.0
    assert float(anchor.noise_scale(0.7, 0.5)[2, 1]) == pytest.approx(0.5)
    assert float(anchor.noise_scale(0.7, 0.5)[0, 0]) == pytest.approx(0.7)
    assert float(anchor.mouth[2, 2]) == pytest.approx(1.6 / 3)
    assert float(anchor.mouth.sum()) == pytest.approx(1 + 1.6 / 3)

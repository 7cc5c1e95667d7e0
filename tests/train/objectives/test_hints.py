import pytest
import torch

from flowact.models.mmdit.config import MMDiTConfig
from flowact.models.mmdit.model import MMDiT
from flowact.train.data.labels import ALL_LABELS, LABEL_WIDTH, scaled_labels
from flowact.train.objectives.hints import Hints
from tests.models.test_mmdit import stream

SMALL = MMDiTConfig(
    width=48, depth=3, heads=2, dual_blocks=1, latent_channels=4, grid=4, patch=2, audio_dim=6, text_dim=5
)


@pytest.fixture
def net() -> MMDiT:
    torch.manual_seed(0)
    return MMDiT(SMALL)


def test_hints_reach_the_blocks_before_the_tap_and_no_others(net: MMDiT) -> None:
    hints = Hints(net)
    with hints.listening(net) as passed:
        net(stream())
    hints(passed[-1], torch.randn(2, 9, 4, LABEL_WIDTH)).backward()
    reached = {
        name.split(".")[1] for name, p in net.named_parameters() if name.startswith("blocks") and p.grad is not None
    }
    assert reached == {"0"}
    with hints.listening(net) as passed:
        pass
    net(stream())
    assert passed == []


def test_unknown_labels_do_not_count(net: MMDiT) -> None:
    hints = Hints(net)
    tokens = torch.randn(2, 9, SMALL.condition_tokens + SMALL.video_tokens, SMALL.width)
    labels = torch.randn(2, 9, 4, LABEL_WIDTH)
    known = labels.clone()
    known[:, 4:] = torch.nan
    spoiled = torch.where(known.isnan(), torch.nan, labels)
    assert torch.isfinite(hints(tokens, spoiled))
    torch.testing.assert_close(hints(tokens, spoiled), hints(tokens[:, :4], labels[:, :4]))


def test_labels_lie_side_by_side_in_one_order_and_scale() -> None:
    tracks = {name: torch.full((8, width), float(i)).numpy() for i, (name, width) in enumerate(ALL_LABELS.items())}
    tracks["mouth_open"] = tracks["mouth_open"][:, 0]
    found = scaled_labels(tracks)
    assert found.shape == (8, LABEL_WIDTH)
    assert found[0, 15] == pytest.approx(4.0)
    assert found[0, 22] == pytest.approx(0.4)
    assert found[0, 25] == pytest.approx(24.0)
    assert found[0, -1] == pytest.approx(8.0)

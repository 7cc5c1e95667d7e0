import numpy as np
import torch

from flowact.evaluate.judge_varying import mirror, take_crops


def test_a_crop_is_straight_in_half_precision_too():
    # Brightness rises evenly to the right, so it does in a crop: every step is as wide as the others.
    ramp = np.tile(np.arange(80, dtype=np.uint8)[None, None, :, None] * 3, (4, 80, 1, 3))
    with torch.autocast("cpu", torch.bfloat16):
        crops = take_crops(ramp, 64)
    steps = (crops[:, 0, 32, 8:56] * 255).diff(dim=-1)
    assert (steps.std(-1) < 0.02 * steps.mean(-1)).all()


def test_labels_turn_with_their_pictures():
    torch.manual_seed(0)
    pictures = torch.rand(32, 3, 8, 8)
    label, other = torch.zeros(32, 2), torch.ones(32, 2)
    seen, chosen = mirror(pictures, (label, other))
    turned = chosen[:, 0] == 1
    assert 0 < turned.sum() < 32
    torch.testing.assert_close(seen[turned], pictures[turned].flip(-1))
    torch.testing.assert_close(seen[~turned], pictures[~turned])

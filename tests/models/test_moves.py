import torch

from flowact.core.motion import MOTION_SCALE, MOTION_WIDTH, hand_points, motion_slice
from flowact.models.mmdit.config import MMDiTConfig
from flowact.models.mmdit.moves import Moves
from tests.fakes import random_conditions

SIZES = MMDiTConfig(width=16, heads=2, grid=16, patch=4, motion_dim=MOTION_WIDTH)


def hand_up(x: float, y: float) -> torch.Tensor:
    """Motion of one latent frame whose right wrist is at (x, y) shoulder widths from the neck."""
    motion = torch.zeros(1, 1, 4, MOTION_WIDTH)
    motion[..., motion_slice("hand_active")] = torch.tensor([0.0, 1.0]) * MOTION_SCALE["hand_active"]
    motion[..., motion_slice("wrist")] = torch.tensor([0, 0, 0, x, y, 0]) * MOTION_SCALE["wrist"]
    return motion


def test_the_spot_lies_in_the_token_of_the_hand() -> None:
    moves = Moves(SIZES)
    spots = moves.spots(hand_up(-0.3, 0.2))
    assert spots.shape == (1, 1, 16, 4 * 6 * 16)
    column, row = (hand_points(hand_up(-0.3, 0.2))[0, 0, 0, 1, 0] * 4).int().tolist()
    assert int(spots[0, 0].amax(-1).argmax()) == 4 * row + column
    assert float(spots.detach().max()) > 0.7


def test_it_says_nothing_until_it_has_learnt_and_nothing_where_nothing_is_given() -> None:
    moves = Moves(SIZES)
    given = random_conditions(2, 3)
    wall = torch.randn(2, 1, SIZES.video_tokens, SIZES.width)
    assert not moves(given, wall).any()
    torch.nn.init.normal_(moves.tell.weight)
    told = moves(given, wall)
    assert told.any()
    assert not moves(given.without("motion"), wall).any()
    assert not torch.allclose(told, moves(given, wall + 1)), "it depends on what it happens to"

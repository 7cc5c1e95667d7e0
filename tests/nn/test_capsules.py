import torch

from flowact.nn.capsules import look_at_capsules


def rod(*ends: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor([ends])


def test_a_rod_across_the_picture_is_round_and_faces_the_camera_in_its_middle() -> None:
    seen = look_at_capsules(rod((0.2, 0.5, 0.3), (0.8, 0.5, 0.3))[None], torch.tensor([[0.15, 0.15]]), 41)
    middle = (0, slice(None), 20, 20)
    torch.testing.assert_close(seen.normal[middle], torch.tensor([0.0, 0.0, 1.0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.depth[middle], torch.tensor([0.45]), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.along[middle], torch.tensor([0.5]), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.outside[middle], torch.tensor([-0.15]), atol=1e-4, rtol=0)
    assert float(seen.normal[0, 1, 17, 20]) < -0.4, "its upper side faces up"
    assert float(seen.normal[0, 1, 23, 20]) > 0.4
    length = seen.normal.norm(dim=1, keepdim=True)
    torch.testing.assert_close(length, seen.which, atol=1e-3, rtol=0)
    assert not seen.which[0, 0, 5].any()
    assert not seen.depth[0, 0, 5].any()
    torch.testing.assert_close(seen.outside[0, 0, 5, 20], torch.tensor(0.5 - 5.5 / 41 - 0.15))
    assert seen.which[0, 0, 20].nonzero().flatten().tolist() == list(range(2, 39)), "its ends are round"


def test_the_nearest_of_two_rods_is_seen() -> None:
    ends = torch.cat([rod((0.1, 0.5, 0.0), (0.9, 0.5, 0.0)), rod((0.5, 0.1, 0.2), (0.5, 0.9, 0.2))])[None]
    radii = torch.tensor([[0.1, 0.1], [0.05, 0.05]])
    seen = look_at_capsules(ends, radii, 40)
    assert seen.which[0, :, 20, 20].tolist() == [0, 1]
    assert seen.which[0, :, 20, 5].tolist() == [1, 0]
    assert float(seen.which.sum(1).max()) == 1
    behind = look_at_capsules(ends * torch.tensor([1.0, 1.0, -1.0]), radii, 40)
    assert behind.which[0, :, 20, 20].tolist() == [1, 0]


def test_a_rod_that_points_at_the_camera_shows_its_end() -> None:
    for first, last in ((0.0, 0.6), (0.6, 0.0)):
        seen = look_at_capsules(rod((0.5, 0.5, first), (0.52, 0.5, last))[None], torch.tensor([[0.2, 0.2]]), 40)
        assert float(seen.depth[0, 0, 20, 20]) > 0.75
        assert float((seen.along[0, 0, 20, 20] - float(last > first)).abs()) < 1e-3


def test_rods_may_be_thinner_at_one_end() -> None:
    seen = look_at_capsules(rod((0.2, 0.5, 0.0), (0.8, 0.5, 0.0))[None], torch.tensor([[0.2, 0.05]]), 100)
    assert float(seen.which[0, 0, :, 25].sum()) > 2 * float(seen.which[0, 0, :, 75].sum())

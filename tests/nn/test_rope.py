import torch

from flowact.nn.rope import axis_dims, rope_angles, rotate


def test_axes_use_the_whole_head() -> None:
    for head_dim in (16, 32, 64, 128):
        dims = axis_dims(head_dim)
        assert sum(dims) == head_dim
        assert all(d % 2 == 0 for d in dims)


def test_scores_depend_on_distance_in_time_alone() -> None:
    q, k = torch.randn(1, 1, 1, 64), torch.randn(1, 1, 1, 64)

    def score(tq: float, tk: float) -> torch.Tensor:
        a, b = (rope_angles(torch.tensor([[t, 1.0, 2.0]]), 64) for t in (tq, tk))
        return (rotate(q, a) * rotate(k, b)).sum()

    torch.testing.assert_close(score(0, -4), score(7, 3))
    assert not torch.isclose(score(0, -4), score(0, -1))


def test_rotation_keeps_length() -> None:
    x = torch.randn(2, 3, 5, 32)
    turned = rotate(x, rope_angles(torch.randn(5, 3), 32))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))

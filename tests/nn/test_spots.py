import torch

from flowact.nn.spots import spots, strokes


def test_a_spot_is_where_its_point_is() -> None:
    seen = spots(torch.tensor([[0.25, 0.75], [2.0, 2.0]]), 8, 0.1)
    assert seen.shape == (2, 8, 8)
    row, column = divmod(int(seen[0].argmax()), 8)
    assert (row, column) in {(5, 1), (5, 2), (6, 1), (6, 2)}
    assert float(seen[1].max()) < 1e-3


def test_a_stroke_is_a_line_of_spots_and_a_point_if_its_ends_meet() -> None:
    ends = torch.tensor([[[0.2, 0.5], [0.8, 0.5]], [[0.25, 0.75], [0.25, 0.75]]])
    line, point = strokes(ends, 9, torch.tensor([0.05, 0.1]))
    assert float(line[4, 2:7].min()) > 0.99
    assert float(line[4, 0]) < 0.4
    assert float(line[2].max()) < 0.01
    torch.testing.assert_close(point, spots(torch.tensor([0.25, 0.75]), 9, 0.1))
    walked = spots(torch.stack([torch.linspace(0.2, 0.8, 200), torch.full((200,), 0.5)], -1), 9, 0.05).amax(0)
    torch.testing.assert_close(line, walked, atol=0.01, rtol=0)

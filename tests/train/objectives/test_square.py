import torch

from flowact.core.motion import MOTION_WIDTH, motion_slice
from flowact.train.objectives.square import SquareReading, read_numbers

READ = len(read_numbers("hand"))


def test_equal_pictures_leave_equal_traces_and_painted_ones_do_not_teach_the_reader() -> None:
    torch.manual_seed(0)
    reading, numbers = SquareReading("hand", 32), torch.randn(3, READ + 3)
    true, painted = torch.rand(3, 3, 32, 32), torch.rand(3, 3, 32, 32, requires_grad=True)
    _, same = reading(true, true, numbers)
    assert float(same["traces"]) < 1e-6
    assert float(same["read_true"]) == float(same["read_painted"])
    loss, found = reading(painted, true, numbers)
    assert float(found["traces"]) > 0.01
    loss.backward()
    assert painted.grad is not None
    assert painted.grad.any()
    learnt = [p.grad.clone() for p in reading.reader.parameters() if p.grad is not None]
    reading.zero_grad()
    reading(true, true, numbers)[0].backward()
    for one, other in zip(learnt, (p.grad for p in reading.reader.parameters()), strict=True):
        torch.testing.assert_close(one, other)


def test_the_reader_learns_what_was_told() -> None:
    torch.manual_seed(0)
    reading = SquareReading("hand", 32)
    true = torch.rand(8, 3, 32, 32)
    numbers = true.mean((2, 3)).repeat(1, 5) * 4
    optimiser = torch.optim.Adam(reading.parameters(), 3e-3)
    found = []
    for _ in range(30):
        optimiser.zero_grad()
        loss, metrics = reading(true.flip(-1), true, numbers)
        loss.backward()
        optimiser.step()
        found.append(float(metrics["read_true"]))
    assert found[-1] < 0.3 * found[0]


def test_lost_detail_counts_wherever_it_was() -> None:
    reading, numbers = SquareReading("hand", 32), torch.randn(1, READ)
    stripes = (torch.arange(32) // 2 % 2).float().expand(1, 3, 32, -1)
    aside, gone = stripes.roll(2, -1), torch.full_like(stripes, 0.5)
    lost = [float(reading(painted, stripes, numbers)[1]["detail_lost"]) for painted in (stripes, aside, gone)]
    assert lost[0] == 0
    assert lost[1] < 0.1 * lost[2]


def test_eyes_and_mouths_are_read_for_what_is_seen_in_them() -> None:
    eyes, mouth = (set(read_numbers(part)) for part in ("eyes", "mouth"))
    assert set(range(MOTION_WIDTH)[motion_slice("gaze")]) < eyes
    assert set(range(MOTION_WIDTH)[motion_slice("visemes")]) < mouth
    assert not eyes & mouth
    face = set(range(MOTION_WIDTH)[motion_slice("face")])
    assert len((eyes | mouth) & face) == len(face) - 3  # cheeks that puff and two nostrils belong to neither

import torch

from flowact.train.objectives.mouth import CROP_PX, MouthReading

SIDE = 96


def make_batch(frames: int = 3) -> dict[str, torch.Tensor]:
    return {
        "mouth_box": torch.tensor([40.0, 60, 60, 72]).expand(2, frames, 4),
        "face_box": torch.tensor([25.0, 20, 75, 85]).expand(2, frames, 4),
        "visemes": torch.rand(2, frames, 15),
        "mouth_open": torch.rand(2, frames),
    }


def test_equal_pictures_leave_equal_traces_and_others_do_not():
    torch.manual_seed(0)
    objective, batch = MouthReading(), make_batch()
    clip = torch.rand(2, 3, 3, SIDE, SIDE) * 2 - 1
    assert float(objective(clip, clip, batch)[1]["traces"]) < 1e-9
    assert float(objective(-clip, clip, batch)[1]["traces"]) > 1e-3


def test_what_lies_outside_the_mouth_does_not_count():
    torch.manual_seed(0)
    objective, batch = MouthReading(), make_batch()
    clip = torch.rand(2, 3, 3, SIDE, SIDE) * 2 - 1
    hat = clip.clone()
    hat[..., :30, :] = 0
    assert float(objective(hat, clip, batch)[1]["traces"]) < 1e-9


def test_the_reader_learns_from_true_pictures_only():
    torch.manual_seed(0)
    objective, batch = MouthReading(), make_batch()
    clip = torch.rand(2, 3, 3, SIDE, SIDE) * 2 - 1
    drawn = torch.rand(2, 3, 3, SIDE, SIDE, requires_grad=True)
    objective(drawn, clip, batch)[0].backward()
    assert float(drawn.grad.abs().sum()) > 0
    after = [p.grad.clone() for p in objective.parameters()]
    objective.zero_grad()
    objective(torch.zeros_like(clip), clip, batch)[0].backward()
    for mine, again in zip(after, objective.parameters(), strict=True):
        torch.testing.assert_close(mine, again.grad)


def test_crops_are_as_large_as_the_reader_takes():
    objective = MouthReading()
    traces, labels = objective.reader(torch.zeros(2, 3, CROP_PX, CROP_PX))
    assert [t.shape[-1] for t in traces] == [24, 12, 6]
    assert labels.shape == (2, 16)


def test_a_mouth_that_is_cut_off_is_not_read():
    torch.manual_seed(0)
    objective, batch = MouthReading(), make_batch()
    clip = torch.rand(2, 3, 3, SIDE, SIDE) * 2 - 1
    away = batch | {"mouth_box": batch["mouth_box"] + 60}
    loss, found = objective(-clip, clip, away)
    assert float(loss) == 0
    assert found == {}
    half = batch | {"mouth_box": torch.cat([batch["mouth_box"][:1], away["mouth_box"][1:]])}
    assert float(objective(torch.cat([clip[:1], -clip[1:]]), clip, half)[1]["traces"]) < 1e-9

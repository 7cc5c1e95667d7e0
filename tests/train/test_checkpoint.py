import pytest
import torch
from torch import nn

from flowact.core.errors import CheckpointError
from flowact.train.checkpoint import list_checkpoints, load_checkpoint, restore_module, save_checkpoint


def test_newest_two_are_kept_and_read_back(tmp_path):
    for step in (1, 9, 10):
        save_checkpoint({"step": step, "tensor": torch.full((3,), float(step))}, tmp_path, step)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".pt"] == []
    paths = list_checkpoints(tmp_path)
    assert [path.name for path in paths] == ["step_00000009.pt", "step_00000010.pt"]
    assert load_checkpoint(paths[-1])["tensor"].tolist() == [10.0] * 3


def test_unfinished_file_is_not_a_checkpoint(tmp_path):
    (tmp_path / "step_00000003.unfinished").write_bytes(b"half")
    assert list_checkpoints(tmp_path) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "missing", "foreign"])
def test_damage_is_told(tmp_path, damage):
    path = save_checkpoint({"tensor": torch.ones(1000)}, tmp_path, 1)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        place = bytes(data).index(torch.ones(8).numpy().tobytes()) + 16
        data[place] ^= 1
        path.write_bytes(data)
    elif damage == "text":
        path.write_text("not a checkpoint")
    elif damage == "missing":
        path.unlink()
    else:
        torch.save({"weights": torch.ones(2)}, path)
    with pytest.raises(CheckpointError, match=r"step_00000001\.pt"):
        load_checkpoint(path)


def test_module_of_another_shape_or_name_is_refused():
    with pytest.raises(CheckpointError, match=r"'net' differ in 1 tensors, such as \['weight'\]"):
        restore_module(nn.Linear(3, 2), nn.Linear(4, 2).state_dict(), "net")
    with pytest.raises(CheckpointError, match="bias"):
        restore_module(nn.Linear(3, 2), nn.Linear(3, 2, bias=False).state_dict(), "net")

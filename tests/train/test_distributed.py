import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fakes_train import make_net, make_stage

from flowact.core.errors import ConfigError
from flowact.train.checkpoint import list_checkpoints, load_checkpoint
from flowact.train.distributed import Ranks, connect
from flowact.train.loop import Trainer
from flowact.train.metrics import read_metrics

HERE = Path(__file__).parent


def torchrun(out: Path, matrix_lr: float, steps: int) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    command += ["--master-port=0", str(HERE / "distributed_worker.py"), str(out), str(matrix_lr), str(steps)]
    roots = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": roots, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("matrix_lr", [0.0, 0.02], ids=["adamw", "muon"])
def test_two_processes_equal_one(tmp_path, console, matrix_lr):
    torchrun(tmp_path / "two", matrix_lr, 6)
    net = make_net()
    stage = make_stage(
        net,
        matrix_lr=matrix_lr or None,
        train_steps=6,
        evaluate=lambda step: {"height": float(net(torch.ones(1, 4)).sum())},
        evaluate_every=4,
    )
    Trainer(stage, tmp_path / "one").run(console=console)
    one, two = (load_checkpoint(list_checkpoints(tmp_path / name / "checkpoints")[-1]) for name in ("one", "two"))
    for key, tensor in one["networks"]["net"].items():
        torch.testing.assert_close(two["networks"]["net"][key], tensor, rtol=0, atol=1e-5)
    for key, tensor in one["emas"]["net"]["shadow"].items():
        torch.testing.assert_close(two["emas"]["net"]["shadow"][key], tensor, rtol=0, atol=1e-5)
    rows = [
        [row.get("loss", row.get("eval/height")) for row in read_metrics(tmp_path / name)] for name in ("one", "two")
    ]
    assert rows[0] == pytest.approx(rows[1], abs=1e-5)

    # What two processes began, one can go on with.
    again = make_net()
    resumed = Trainer(make_stage(again, matrix_lr=matrix_lr or None, train_steps=8), tmp_path / "two")
    assert resumed.step == 6
    assert resumed.run(console=console).is_finished


def test_without_torchrun_a_group_of_one(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with connect("cpu") as ranks:
        assert ranks == Ranks(0, 1, torch.device("cpu"))
    with pytest.raises(ConfigError, match="unknown device"), connect("toaster"):
        pass

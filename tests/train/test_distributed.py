import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from flowact.core.errors import ConfigError
from flowact.models.mmdit.model import MMDiT
from flowact.models.weights import load_model
from flowact.train.checkpoint import list_checkpoints, load_checkpoint
from flowact.train.distributed import Ranks, connect
from flowact.train.loop import Trainer
from flowact.train.metrics import read_metrics
from recipes import nano
from tests.train import distributed_worker
from tests.train.distributed_worker import MATRIX_LRS, STEPS
from tests.train.fakes_train import make_net, make_stage


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """Folder of the runs that two processes made together."""
    out = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    command += ["--local-addr=127.0.0.1", distributed_worker.__file__, str(out)]
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": root, "CUDA_VISIBLE_DEVICES": ""}
    with (out / "log").open("w") as file:
        group = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        try:
            code = group.wait(timeout=240)
        finally:
            if group.poll() is None:
                # The workers outlive a launcher that is killed; asked to end, it ends them first.
                group.terminate()
                group.wait(timeout=40)
    assert code == 0, (out / "log").read_text()[-4000:]
    return out


@pytest.mark.parametrize("name", MATRIX_LRS)
def test_two_processes_equal_one(two, tmp_path, console, name):
    distributed_worker.train(tmp_path, MATRIX_LRS[name], Ranks())
    one, other = (load_checkpoint(list_checkpoints(folder / "checkpoints")[-1]) for folder in (tmp_path, two / name))
    torch.testing.assert_close(other["networks"]["net"], one["networks"]["net"], rtol=0, atol=1e-5)
    torch.testing.assert_close(other["emas"]["net"]["shadow"], one["emas"]["net"]["shadow"], rtol=0, atol=1e-5)
    for row, expected in zip(read_metrics(two / name), read_metrics(tmp_path), strict=True):
        for key in row.keys() - {"steps_per_s"}:
            assert row[key] == pytest.approx(expected[key], abs=1e-5)


@pytest.mark.parametrize("name", MATRIX_LRS)
def test_one_process_goes_on_with_what_two_began(two, console, name):
    resumed = Trainer(make_stage(make_net(), matrix_lr=MATRIX_LRS[name], train_steps=STEPS + 2), two / name)
    assert resumed.step == STEPS
    assert resumed.run(console=console).is_finished


def test_two_processes_train_the_backbone_with_memory_that_it_generates(two):
    for chapter in nano.CHAPTERS:
        net = load_model(MMDiT, two / "backbone" / chapter / "model" / "backbone")
        assert net.config.latent_channels == 4


def test_without_torchrun_a_group_of_one(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with connect("cpu") as ranks:
        assert ranks == Ranks(0, 1, torch.device("cpu"))
    with pytest.raises(ConfigError, match="unknown device"), connect("toaster"):
        pass

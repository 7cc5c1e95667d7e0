"""Started by torchrun in test_distributed: trains the tiny network with each optimiser, then the backbone's recipe."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from flowact.core.motion import MOTION_WIDTH
from flowact.models.weights import WEIGHTS_FILE, save_model
from flowact.train.data.latents import LatentStore
from flowact.train.distributed import Ranks, connect
from flowact.train.loop import Trainer, train_stages
from flowact.train.stage import RunContext
from recipes import nano
from tests.fakes import SMALL_MMDIT
from tests.train.fakes_train import make_net, make_stage

MATRIX_LRS = {"adamw": None, "muon": 0.02}
STEPS = 6


def train(out: Path, matrix_lr: float | None, ranks: Ranks) -> None:
    net = make_net()
    if ranks.rank > 0:
        # Sharding must start all processes from the weights of the first.
        with torch.no_grad():
            net.inlet.weight.add_(1.0)
    stage = make_stage(
        net,
        matrix_lr=matrix_lr,
        train_steps=STEPS,
        evaluate=lambda step: {"height": float(net(torch.ones(1, 4)).sum())},
        evaluate_every=4,
        export=lambda folder: save_model(net, None, folder),
    )
    Trainer(stage, out, ranks).run()
    assert (out / "model" / WEIGHTS_FILE).exists() or not ranks.is_first


def make_store(time: int = 42) -> LatentStore:
    """Two clips of noise, long enough to stream through."""
    torch.manual_seed(0)
    return LatentStore(
        latents=torch.randn(2, 1, time, 4, 4, 4).half(),
        rests=torch.randn(2, 1, 4, 4, 4).half(),
        looks=torch.randn(2, 1, 4, 4, 4).half(),
        colours=torch.randn(2, 1, 3, 8, 8).half(),
        stills=torch.zeros(2, 1, dtype=torch.long),
        audio=torch.randn(2, time, 4, 6).half(),
        weight=torch.ones(2, time, 4, 4).half(),
        motion=torch.zeros(2, time, 4, MOTION_WIDTH).half(),
        text=torch.randn(1, 2, 5).half(),
        captions=[[(0, time, 0)]] * 2,
        meta=[{"identity": i} for i in range(2)],
    )


def train_backbone(out: Path, ranks: Ranks) -> list[int]:
    """Steps that each chapter of the recipe took, generated memory and all."""
    data = out / f"latents-{ranks.rank}"
    for split in ("train", "val"):
        make_store().save(data / split)
    nano.ROWS = 2
    nano.backbone_config = lambda store: replace(SMALL_MMDIT, width=24, sees_colours=True)
    stages = nano.backbone(RunContext(data, out, torch.device("cpu")))
    short = [replace(stage, train_steps=2, evaluate_every=2) for stage in stages]
    return [outcome.step for outcome in train_stages(short, out, ranks)]


if __name__ == "__main__":
    with connect("cpu") as ranks:
        for name, matrix_lr in MATRIX_LRS.items():
            train(Path(sys.argv[1]) / name, matrix_lr, ranks)
        assert train_backbone(Path(sys.argv[1]) / "backbone", ranks) == [2, 2, 2]

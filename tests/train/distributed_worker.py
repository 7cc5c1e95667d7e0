"""Started by torchrun in test_distributed: trains the tiny network with each optimiser, once per folder."""

import sys
from pathlib import Path

import torch

from flowact.models.weights import WEIGHTS_FILE, save_model
from flowact.train.distributed import Ranks, connect
from flowact.train.loop import Trainer
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


if __name__ == "__main__":
    with connect("cpu") as ranks:
        for name, matrix_lr in MATRIX_LRS.items():
            train(Path(sys.argv[1]) / name, matrix_lr, ranks)

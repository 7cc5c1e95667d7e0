"""Started by torchrun in test_distributed: trains the tiny network and lets the first process save the result."""

import sys
from pathlib import Path

import torch
from fakes_train import make_net, make_stage

from flowact.models.weights import WEIGHTS_FILE, save_model
from flowact.train.distributed import connect
from flowact.train.loop import Trainer


def main(out: Path, matrix_lr: float | None, steps: int) -> None:
    with connect("cpu") as ranks:
        net = make_net()
        if ranks.rank > 0:
            with torch.no_grad():
                net.inlet.weight.add_(1.0)
        stage = make_stage(
            net,
            matrix_lr=matrix_lr,
            train_steps=steps,
            evaluate=lambda step: {"height": float(net(torch.ones(1, 4)).sum().detach())},
            evaluate_every=4,
            export=lambda folder: save_model(net, None, folder),
        )
        assert type(ranks.count) is int
        Trainer(stage, out, ranks).run()
        assert (out / "model" / WEIGHTS_FILE).exists() or not ranks.is_first


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) or None, int(sys.argv[3]))

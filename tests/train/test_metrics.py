import pytest
import torch

from flowact.core.errors import ConfigError
from flowact.train.metrics import Averages, MetricsLog, plot_curves, read_metrics


def test_rows_after_the_resumed_step_are_dropped(tmp_path):
    with MetricsLog(tmp_path) as log:
        for step in (10, 20, 30):
            log.write(step, {"loss": 1.0 / step})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "lo')
    with MetricsLog(tmp_path, step=20) as log:
        log.write(30, {"loss": float("nan")})
    assert read_metrics(tmp_path) == [{"step": 10, "loss": 0.1}, {"step": 20, "loss": 0.05}, {"step": 30, "loss": None}]


def test_averages_mix_numbers_and_tensors_and_begin_anew():
    averages = Averages()
    averages.add({"loss": torch.tensor(1.0, requires_grad=True), "rare": 4.0})
    averages.add({"loss": 3.0})
    taken = averages.take()
    assert (taken["loss"], taken["rare"]) == (2.0, 4.0)
    assert taken["steps_per_s"] > 0
    assert averages.take().keys() == {"steps_per_s"}


def test_curves_are_drawn(tmp_path):
    with pytest.raises(ConfigError, match=r"metrics\.jsonl"):
        plot_curves(tmp_path)
    with MetricsLog(tmp_path) as log:
        for step in range(1, 60):
            log.write(step, {"loss": 10.0 / step**2, **({"eval/psnr": 20 + step / 10} if step % 10 == 0 else {})})
    assert plot_curves(tmp_path).stat().st_size > 5000

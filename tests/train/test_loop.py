import itertools
import os
import signal
from dataclasses import replace

import pytest
import torch

from flowact.core.errors import CheckpointError, ConfigError
from flowact.train.checkpoint import DivergedError, list_checkpoints
from flowact.train.loop import Trainer, train_stages
from flowact.train.metrics import read_metrics
from flowact.train.stage import Place, Stage, Update, taking_turns
from tests.train.fakes_train import make_batches, make_net, make_stage


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_converges(tmp_path, console):
    stage = make_stage(make_net(), train_steps=150, checkpoint_every=1000)
    outcome = Trainer(stage, tmp_path).run(console=console)
    rows = read_metrics(tmp_path)
    assert (outcome.step, outcome.is_finished) == (150, True)
    assert rows[-1]["loss"] < 0.1 * rows[0]["loss"]
    assert {"absolute_error", "grad_norm", "lr_factor", "steps_per_s"} <= rows[-1].keys()
    assert "tiny: finished at step 150" in console.file.getvalue()


def test_bfloat16_converges(tmp_path, console):
    stage = make_stage(make_net(), train_steps=100, precision=torch.bfloat16)
    Trainer(stage, tmp_path).run(console=console)
    rows = read_metrics(tmp_path)
    assert rows[-1]["loss"] < 0.2 * rows[0]["loss"]


def test_resumed_run_equals_unbroken_run_to_the_bit(tmp_path, console):
    whole, broken = make_net(dropout=0.3), make_net(dropout=0.3)
    unbroken = Trainer(make_stage(whole, evaluate=lambda step: {"noise": float(torch.rand(()))}), tmp_path / "a")
    unbroken.run(console=console)

    def stop_at_7(step, emas):
        if step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    outcome = Trainer(make_stage(broken, on_step=stop_at_7), tmp_path / "b").run(console=console)
    assert (outcome.step, outcome.is_finished, outcome.reason) == (7, False, "stopped by a signal")
    assert [path.stem for path in list_checkpoints(tmp_path / "b/checkpoints")] == ["step_00000005", "step_00000007"]

    fresh = make_net(dropout=0.3)
    resumed = Trainer(make_stage(fresh), tmp_path / "b")
    assert resumed.step == 7
    assert resumed.run(console=console).is_finished
    assert_equal(whole.state_dict(), fresh.state_dict())
    assert_equal(unbroken.emas["net"].shadow, resumed.emas["net"].shadow)


def test_signal_handlers_are_put_back(tmp_path, console):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    Trainer(make_stage(make_net()), tmp_path).run(console=console)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_wall_budget_pauses_with_checkpoint(tmp_path, console):
    outcome = Trainer(make_stage(make_net()), tmp_path).run(max_minutes=0.0, console=console)
    assert (outcome.step, outcome.reason) == (0, "out of time")
    assert Trainer(make_stage(make_net()), tmp_path).run(console=console).is_finished


def test_length_in_minutes_drives_progress_and_end(tmp_path, console):
    stage = make_stage(make_net(), train_steps=10**9, minutes=1.5 / 60, checkpoint_every=10**9)
    trainer = Trainer(stage, tmp_path)
    assert trainer.run(max_minutes=0.5 / 60, console=console).reason == "out of time"
    assert 0.3 < trainer.progress < 0.9
    again = Trainer(replace(stage, networks={"net": make_net()}), tmp_path)
    assert again.trained_s == pytest.approx(trainer.trained_s)
    again.trained_s = 1.6
    assert again.run(console=console).is_finished


def test_foreign_and_damaged_checkpoints(tmp_path, console):
    Trainer(make_stage(make_net()), tmp_path).run(console=console)
    with pytest.raises(CheckpointError, match="seed 0"):
        Trainer(make_stage(make_net()), tmp_path, seed=1)
    with pytest.raises(CheckpointError, match="optimiser"):
        Trainer(make_stage(make_net(), matrix_lr=None), tmp_path)
    newest = list_checkpoints(tmp_path / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:-3000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        Trainer(make_stage(make_net()), tmp_path)


def test_single_bad_step_is_skipped(tmp_path, console):
    def batches(place):
        for batch in make_batches(place):
            if batch["step"] == 3:
                batch["y"] = batch["y"] * float("nan")
            yield batch

    net = make_net()
    before = {}

    def remember(step, emas):
        before[step] = {name: p.detach().clone() for name, p in net.named_parameters()}

    Trainer(make_stage(net, make_batches=batches, on_step=remember), tmp_path).run(console=console)
    assert_equal(before[3], before[4])
    assert not torch.equal(before[4]["inlet.weight"], before[5]["inlet.weight"])
    assert [row["step"] for row in read_metrics(tmp_path) if "bad_steps_in_a_row" in row] == [4]


def test_many_bad_steps_end_the_run(tmp_path, console):
    def batches(place):
        for batch in make_batches(place):
            yield batch | {"y": batch["y"] * float("inf")}

    with pytest.raises(DivergedError, match="last 4 updates"):
        Trainer(make_stage(make_net(), make_batches=batches, max_bad_steps=4), tmp_path).run(console=console)


def test_weights_that_are_not_finite_are_never_saved(tmp_path, console):
    net = make_net()

    def spoil(step, emas):
        net.seen.fill_(float("nan"))

    with pytest.raises(DivergedError, match="seen"):
        Trainer(make_stage(net, on_step=spoil), tmp_path).run(console=console)
    assert not list_checkpoints(tmp_path / "checkpoints")


def test_evaluation_sees_the_average_and_leaves_no_trace(tmp_path, console):
    net = make_net()
    seen = []

    def evaluate(step):
        seen.append((net.training, net.inlet.weight.detach().clone(), torch.rand(())))
        return {"score": 1.0}

    trainer = Trainer(make_stage(net, evaluate=evaluate, evaluate_every=6), tmp_path)
    trainer.run(console=console)
    assert [training for training, _, _ in seen] == [False, False]
    assert torch.equal(seen[-1][1], trainer.emas["net"].shadow["inlet.weight"])
    assert torch.equal(seen[0][2], seen[1][2])
    assert [row["eval/score"] for row in read_metrics(tmp_path) if "eval/score" in row] == [1.0, 1.0]


def test_last_step_is_logged_and_evaluated_once(tmp_path, console):
    stage = make_stage(make_net(), train_steps=7, evaluate=lambda step: {"score": 1.0}, evaluate_every=5)
    Trainer(stage, tmp_path).run(console=console)
    Trainer(replace(stage, networks={"net": make_net()}), tmp_path).run(console=console)
    rows = read_metrics(tmp_path)
    assert [row["step"] for row in rows if "loss" in row] == [2, 4, 6, 7]
    assert [row["step"] for row in rows if "eval/score" in row] == [5, 7]


def test_weights_first_used_without_gradients_still_learn(tmp_path, console):
    # Autocast caches the bfloat16 copies of weights; one made in a rollout must not cut the gradient.
    net = make_net()

    def objective(batch, step):
        with torch.no_grad():
            memory = net(batch["x"])
        return (net(batch["x"]) - batch["y"] + 0 * memory).square().mean(), {}

    updates = (Update(("net",), objective),)
    Trainer(make_stage(net, updates=updates, precision=torch.bfloat16), tmp_path).run(console=console)
    assert all(p.grad is not None for p in net.parameters())


def test_two_networks_in_turn_and_a_frozen_copy(tmp_path, console):
    student, critic, frozen = make_net(), make_net(), make_net()
    steps: dict[str, list[int]] = {"student": [], "critic": []}

    def rollout(batch, step):
        return batch | {"made": student(batch["x"])}

    def please(batch, step):
        steps["student"].append(step)
        return (batch["made"] - batch["y"]).square().mean() + 0.01 * frozen(batch["x"]).square().mean(), {}

    def judge(batch, step):
        steps["critic"].append(step)
        return (critic(batch["x"]) - batch["made"].detach()).square().mean(), {"extra": 2.0}

    def refresh(step, emas):
        if step == 4:
            emas["student"].copy_to(frozen)

    stage = make_stage(
        student,
        networks={"student": student, "critic": critic, "frozen": frozen},
        updates=(Update(("student",), please, every=3, ema_decay=0.5), Update(("critic",), judge, ema_decay=None)),
        rollout=rollout,
        on_step=refresh,
    )
    trainer = Trainer(stage, tmp_path)
    trainer.run(console=console)
    assert steps == {"student": [0, 3, 6, 9], "critic": list(range(12))}
    assert list(trainer.emas) == ["student"]
    assert not torch.equal(frozen.inlet.weight, make_net().inlet.weight)
    assert not torch.equal(frozen.inlet.weight, student.inlet.weight)
    assert all(p.requires_grad and p.grad is None for p in frozen.parameters())
    assert {"student/loss", "critic/extra"} <= read_metrics(tmp_path)[1].keys()
    again = make_net()
    Trainer(replace(stage, networks={"student": make_net(), "critic": make_net(), "frozen": again}), tmp_path)
    assert torch.equal(again.inlet.weight, frozen.inlet.weight)


def test_stages_follow_each_other_and_skip_what_is_done(tmp_path, console):
    net, exported = make_net(), []
    first = make_stage(net, name="first", export=exported.append)
    second = make_stage(net, name="second")
    outcomes = train_stages([first, second], tmp_path, console=console)
    assert [outcome.is_finished for outcome in outcomes] == [True, True]
    assert exported == [tmp_path / "first/model"]
    again = make_net()
    stages = [make_stage(again, name="first"), make_stage(again, name="second")]
    assert [outcome.step for outcome in train_stages(stages, tmp_path, console=console)] == [12, 12]
    assert_equal(again.state_dict(), net.state_dict())
    with pytest.raises(ConfigError, match="different names"):
        train_stages([first, first], tmp_path, console=console)


def test_batches_that_end_are_an_error(tmp_path, console):
    with pytest.raises(ConfigError, match="ran out at step 0"):
        Trainer(make_stage(make_net(), make_batches=lambda place: iter(())), tmp_path).run(console=console)


def test_stage_refuses_nonsense():
    net = make_net()
    stage = make_stage(net)
    with pytest.raises(ConfigError, match="unknown"):
        Stage("x", {}, make_batches, stage.updates, 10)
    with pytest.raises(ConfigError, match="in two updates"):
        Stage("x", {"net": net}, make_batches, stage.updates * 2, 10)
    with pytest.raises(ConfigError, match="at least 1"):
        Stage("x", {"net": net}, make_batches, stage.updates, 0)


def test_sources_take_turns_from_any_place():
    def counting(name):
        return lambda place: ({"batch": (name, step)} for step in itertools.count(place.step))

    turns = taking_turns(counting("small"), counting("large"), counting("whole"))
    line = [batch["batch"] for batch in itertools.islice(turns(Place(seed=0)), 12)]
    assert line[:4] == [("small", 0), ("large", 0), ("whole", 0), ("small", 1)]
    for step in range(1, 9):
        assert next(turns(Place(seed=0, step=step)))["batch"] == line[step]
        assert [b["batch"] for b in itertools.islice(turns(Place(seed=0, step=step)), 3)] == line[step : step + 3]

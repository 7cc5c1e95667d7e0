"""The one training loop: every chapter of the recipe runs through it, only the `Stage` differs."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from flowact.core.device import choose_precision
from flowact.core.errors import CheckpointError, ConfigError
from flowact.train.checkpoint import (
    DivergedError,
    gather_state,
    list_checkpoints,
    load_checkpoint,
    restore_state,
    save_checkpoint,
)
from flowact.train.distributed import Ranks, average_buffers, seed_everything, shard, whole
from flowact.train.ema import Ema, averaged
from flowact.train.metrics import Averages, MetricsLog
from flowact.train.optim import Optimiser, build_optimiser
from flowact.train.progress import ProgressReport, StopRequest
from flowact.train.stage import Batch, Place, Stage, Update, Values, learning


@dataclass(frozen=True)
class Outcome:
    """How a call of the loop ended.

    Attributes:
        step: train_steps done in all.
        is_finished: whether the stage is complete; otherwise calling again goes on from the checkpoint.
        reason: in a few words.
    """

    step: int
    is_finished: bool
    reason: str


class Trainer:
    """One stage being trained in a folder: sets it up, goes on from the newest checkpoint there, runs.

    Args:
        stage: what to train.
        folder: of this stage: `checkpoints/`, `metrics.jsonl` and whatever `stage.export` writes to `model/`.
        ranks: the processes that train together.
        seed: of everything random; each train_step is seeded by it, the step and the rank.

    Raises:
        CheckpointError: the newest checkpoint is damaged or belongs to another stage, seed or configuration.
        ConfigError: an update has nothing to train.
    """

    def __init__(self, stage: Stage, folder: Path, ranks: Ranks | None = None, seed: int = 0):
        # Silent units of a SiLU pass on gradients near 1e-40, which a CPU multiplies forty times more slowly.
        torch.set_flush_denormal(True)
        self.stage = stage
        self.folder = folder
        self.ranks = ranks or Ranks()
        self.seed = seed
        self.step = 0
        self.trained_s = 0.0
        self._bad_in_a_row = [0] * len(stage.updates)
        self._saved_step: int | None = None
        self._trained = [stage.networks[name] for name in stage.trained]
        self._precision = stage.precision or choose_precision(self.ranks.device)
        for network in self._trained:
            shard(network, self.ranks, stage.entry_points)
        self._optimisers = [self._optimiser(update) for update in stage.updates]
        self.emas = {
            name: Ema(stage.networks[name], update.ema_decay)
            for update in stage.updates
            for name in update.networks
            if update.ema_decay is not None
        }
        self._restore()

    def _optimiser(self, update: Update) -> Optimiser:
        networks = {name: self.stage.networks[name] for name in update.networks}
        return build_optimiser(networks, update.optim, self._precision)

    @property
    def progress(self) -> float:
        """Done share of the stage in 0..1, by steps or by training time, whichever is further."""
        by_steps = self.step / self.stage.train_steps
        by_time = self.trained_s / (60 * self.stage.minutes) if self.stage.minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def run(self, max_minutes: float | None = None, console: Console | None = None) -> Outcome:
        """Train until the stage is finished, the wall budget of this call is spent or a signal asks to stop.

        Whatever ends it, a checkpoint is written and `stage.export` called. A finished stage leaves the averaged
        weights in its networks, an unfinished one the weights themselves.

        Raises:
            DivergedError: too many train_steps in a row without finite gradients, or weights that are not finite.
            ConfigError: the batches ran out.
        """
        begin_s, before_s, began = time.monotonic(), self.trained_s, self.step
        averages = Averages()
        with ExitStack() as stack:
            stop = stack.enter_context(StopRequest())
            log = stack.enter_context(MetricsLog(self.folder, self.step)) if self.ranks.is_first else None
            report = stack.enter_context(
                ProgressReport(self.stage.name, console or Console(), visible=self.ranks.is_first)
            )
            stack.enter_context(learning(self.stage))
            batches = stack.enter_context(closing(self._open_batches()))
            while True:
                # One decision for all processes: they must leave the loop at the same step.
                elapsed_s, stopped = self.ranks.largest([time.monotonic() - begin_s, float(stop.is_made)])
                self.trained_s = before_s + elapsed_s
                if reason := self._reason_to_end(elapsed_s, bool(stopped), max_minutes):
                    break
                averages.add(self._train_step(batches))
                self._log(averages, log, report)
                if self.step % self.stage.checkpoint_every == 0:
                    self._save()
            if reason == "finished" and self.step > began:
                self._log(averages, log, report, is_last=True)
            if self._saved_step != self.step:
                self._save()
            report.say(f"{reason} at step {self.step}")
        return self._close(reason)

    def _reason_to_end(self, elapsed_s: float, is_stopped: bool, max_minutes: float | None) -> str:
        if self.progress >= 1:
            return "finished"
        if is_stopped:
            return "stopped by a signal"
        return "out of time" if max_minutes is not None and elapsed_s >= 60 * max_minutes else ""

    def _open_batches(self) -> Generator[Batch]:
        place = Place(self.seed, self.ranks.rank, self.ranks.count, self.step)
        for batch in self.stage.make_batches(place):
            yield {key: v.to(self.ranks.device) if isinstance(v, Tensor) else v for key, v in batch.items()}
        raise ConfigError(f"stage {self.stage.name!r}: the batches ran out at step {self.step}; expected no end")

    def _train_step(self, batches: Iterator[Batch]) -> dict[str, float | Tensor]:
        stage, values = self.stage, dict[str, float | Tensor]()
        # Seeding every step makes a resumed run equal to an unbroken one, whatever ran in between.
        seed_everything(self.seed, self.step, self.ranks.rank)
        batch = next(batches)
        if stage.rollout is not None:
            with self._autocast():
                batch = stage.rollout(batch, self.step)
        for number, update in enumerate(stage.updates):
            if self.step % update.every == 0:
                prefix = f"{update.networks[0]}/" if len(stage.updates) > 1 else ""
                values |= {prefix + name: value for name, value in self._apply(number, batch).items()}
        for network in self._trained:
            average_buffers(network, self.ranks)
        self.step += 1
        if stage.on_step is not None:
            stage.on_step(self.step, self.emas)
        return values

    def _apply(self, number: int, batch: Batch) -> Values:
        update, optimiser = self.stage.updates[number], self._optimisers[number]
        optimiser.zero_grad()
        with self._autocast():
            loss, values = update.objective(batch, self.step)
        loss.backward()
        norm = whole(nn.utils.clip_grad_norm_(optimiser.parameters, update.optim.clip_norm))
        if not torch.isfinite(norm):
            optimiser.zero_grad()
            self._count_bad(number, float(loss.detach()))
            return {"bad_steps_in_a_row": self._bad_in_a_row[number]}
        self._bad_in_a_row[number] = 0
        factor = update.optim.lr_schedule(self.progress)
        optimiser.scale_lr(factor)
        optimiser.step()
        for name in update.networks:
            if name in self.emas:
                self.emas[name].update()
        return {"loss": loss.detach(), **values, "grad_norm": norm, "lr_factor": factor}

    def _count_bad(self, number: int, loss: float) -> None:
        self._bad_in_a_row[number] += 1
        if self._bad_in_a_row[number] >= self.stage.max_bad_steps:
            raise DivergedError(
                f"stage {self.stage.name!r} diverged: the last {self._bad_in_a_row[number]} updates of "
                f"{self.stage.updates[number].networks} had gradients that are not finite (step {self.step}, loss "
                f"{loss:.4g}); lower the learning rate or train in float32, and go on from the last checkpoint"
            )

    def _log(self, averages: Averages, log: MetricsLog | None, report: ProgressReport, is_last: bool = False) -> None:
        # After the last train_step what was not due at it is made up for.
        values: dict[str, float] = {}
        if (self.step % self.stage.log_every == 0) != is_last:
            values |= self.ranks.mean(averages.take())
            report.show(self.step, self.stage.train_steps, self.progress, values)
        if self.stage.evaluate is not None and (self.step % self.stage.evaluate_every == 0) != is_last:
            found = {f"eval/{name}": value for name, value in self._evaluate().items()}
            report.say(f"step {self.step}  " + "  ".join(f"{name} {value:.4g}" for name, value in found.items()))
            values |= found
        if values and log is not None:
            log.write(self.step, values)

    def _evaluate(self) -> dict[str, float]:
        assert self.stage.evaluate is not None
        # The same noise every time, so that the curve shows the network and not the dice.
        seed_everything(self.seed, 0, self.ranks.rank)
        with averaged(self._trained, self.emas), torch.no_grad(), self._autocast():
            return dict(self.stage.evaluate(self.step))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self._precision == torch.bfloat16)

    def _save(self) -> None:
        facts = {"stage": self.stage.name, "seed": self.seed, "step": self.step, "trained_s": self.trained_s}
        state = facts | gather_state(self.stage.networks, self._optimisers, self.emas)
        if self.ranks.is_first:
            save_checkpoint(state, self.folder / "checkpoints", self.step)
        self._saved_step = self.step

    def _restore(self) -> None:
        paths = list_checkpoints(self.folder / "checkpoints")
        if not paths:
            return
        state = load_checkpoint(paths[-1])
        if (state["stage"], state["seed"]) != (self.stage.name, self.seed):
            raise CheckpointError(
                f"{paths[-1]} belongs to stage {state['stage']!r} with seed {state['seed']}, expected "
                f"{self.stage.name!r} with seed {self.seed}; choose another folder or pass the seed of the run"
            )
        restore_state(state, self.stage.networks, self._optimisers, self.emas)
        self.step, self.trained_s, self._saved_step = state["step"], state["trained_s"], state["step"]

    def _close(self, reason: str) -> Outcome:
        with averaged(self._trained, self.emas):
            if self.stage.export is not None:
                self.stage.export(self.folder / "model")
        if reason == "finished":
            for name, ema in self.emas.items():
                ema.copy_to(self.stage.networks[name])
        return Outcome(self.step, reason == "finished", reason)


def train_stages(
    stages: list[Stage],
    out: Path,
    ranks: Ranks | None = None,
    seed: int = 0,
    max_minutes: float | None = None,
    console: Console | None = None,
) -> list[Outcome]:
    """Train stages in order, each in its own folder `out/name`, going on where an earlier call stopped.

    Args:
        stages: later ones may use the networks of earlier ones, which then carry their averaged weights.
        out: folder of the run.
        ranks: the processes that train together.
        seed: of everything random.
        max_minutes: wall budget of this call; the rest is left for the next one.
        console: where to report.

    Returns:
        The outcomes of the stages that were reached.

    Raises:
        ConfigError: two stages of one name.
    """
    names = [stage.name for stage in stages]
    if len(set(names)) < len(names):
        raise ConfigError(f"the stages are called {names}; expected different names, for each names its folder")
    begin_s = time.monotonic()
    outcomes: list[Outcome] = []
    for stage in stages:
        left = None if max_minutes is None else max_minutes - (time.monotonic() - begin_s) / 60
        outcomes.append(Trainer(stage, out / stage.name, ranks, seed).run(left, console))
        if not outcomes[-1].is_finished:
            break
    return outcomes

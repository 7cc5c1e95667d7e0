"""`flowact train`: look up a recipe, show what it will do, do it."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from flowact.core.device import choose_precision
from flowact.core.errors import ConfigError
from flowact.train.checkpoint import list_checkpoints
from flowact.train.distributed import Ranks, connect, seed_everything
from flowact.train.loop import train_stages
from flowact.train.stage import Recipe, RunContext, Stage


def train(
    recipe: Annotated[str, typer.Argument(help="module.function in recipes/, for example nano.codec")],
    data: Annotated[Path, typer.Option(help="folder with the training data")],
    out: Annotated[Path, typer.Option(help="folder of the run: checkpoints, metrics and the model")],
    minutes: Annotated[float | None, typer.Option(help="training time for the whole recipe")] = None,
    start_from: Annotated[
        Path | None, typer.Option(help="a saved model to begin with, such as weights/nano, in recipes that take one")
    ] = None,
    max_minutes: Annotated[float | None, typer.Option(help="stop with a checkpoint after this wall time")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run in --out")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    seed: Annotated[int, typer.Option(help="of everything random")] = 0,
) -> None:
    """Train with a recipe. Start it under torchrun to use several processes."""
    make_stages = find_recipe(recipe)
    console = Console()
    with connect(device) as ranks:
        if not resume and any(list_checkpoints(folder / "checkpoints") for folder in out.glob("*")):
            raise ConfigError(f"{out} already holds a run: pass --resume to go on with it, or another --out")
        seed_everything(seed, 0, 0)
        made = make_stages(RunContext(data, out, ranks.device, seed, minutes, start_from))
        stages = made if isinstance(made, list) else [made]
        if ranks.is_first:
            console.print(describe(recipe, stages, ranks))
        outcomes = train_stages(stages, out, ranks, seed, max_minutes, console)
        if ranks.is_first and not outcomes[-1].is_finished:
            console.print(f"{outcomes[-1].reason}; go on with the same command and --resume", highlight=False)


def find_recipe(name: str) -> Recipe:
    """The function `recipes.<module>.<function>` for "module.function".

    Raises:
        ConfigError: there is no such module or function; the message lists what there is.
    """
    path, _, function = name.rpartition(".")
    try:
        module = importlib.import_module(f"recipes.{path}") if path else None
    except ModuleNotFoundError as error:
        if error.name is None or not f"recipes.{path}".startswith(error.name):
            raise
        module = None
    if module is None:
        raise ConfigError(f"no recipe {name!r}: expected module.function of the folder recipes/, such as nano.codec")
    offered = [
        key
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not key.startswith("_")
    ]
    if function not in offered:
        raise ConfigError(f"no recipe {function!r} in recipes/{path}: expected one of {sorted(offered)}")
    found: Recipe = getattr(module, function)
    return found


def describe(recipe: str, stages: list[Stage], ranks: Ranks) -> Table:
    """A table of what will be run."""
    where = f"{ranks.count} x {ranks.device}" if ranks.count > 1 else str(ranks.device)
    table = Table(title=f"{recipe} on {where}", title_justify="left")
    for column in ("stage", "trains", "parameters", "length", "precision"):
        table.add_column(column)
    for stage in stages:
        count = sum(p.numel() for name in stage.trained for p in stage.networks[name].parameters() if p.requires_grad)
        limit = f" or {stage.minutes:g} min" if stage.minutes is not None else ""
        precision = stage.precision or choose_precision(ranks.device)
        table.add_row(
            stage.name,
            ", ".join(stage.trained),
            f"{count / 1e6:.2f} M",
            f"{stage.train_steps} steps{limit}",
            str(precision).removeprefix("torch."),
        )
    return table

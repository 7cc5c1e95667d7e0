"""`flowact evaluate`: train the judges, judge a codec, what moves the body, an avatar."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from flowact.core.errors import ConfigError
from flowact.evaluate.codec import evaluate_codec
from flowact.evaluate.judge_training import JudgeSettings, train_judges
from flowact.evaluate.judges import Judges
from flowact.evaluate.moving import evaluate_moving
from flowact.evaluate.run import RunSettings, evaluate
from flowact.models.video_vae.model import VideoVAE
from flowact.models.weights import load_model
from flowact.stream.avatar import DEFAULT_MODEL, Avatar

app = typer.Typer(
    name="evaluate", help="Judge a model on people it never saw.", no_args_is_help=True, pretty_exceptions_enable=False
)

Data = Annotated[Path, typer.Option(help="folder of dataset shards, from: flowact studio render")]
Model = Annotated[Path | None, typer.Option(help="model folder; the default model if left out")]
JudgesFolder = Annotated[Path | None, typer.Option(help="folder of the judges; those that ship if left out")]


@app.command("train-judges")
def train_judges_command(
    data: Annotated[list[Path], typer.Option(help="folder of dataset shards; may be given more than once")],
    out: Annotated[Path, typer.Option(help="folder for the judges' weights")],
    clips: Annotated[int, typer.Option(help="training clips to look at")] = JudgeSettings.clips,
    passes: Annotated[float, typer.Option(help="over their pictures, for the locator")] = JudgeSettings.passes,
    seed: Annotated[int, typer.Option(help="of everything random")] = 0,
) -> None:
    """Train the judges on the split "train" and check them on "val"; a quarter of an hour on two cores."""
    train_judges(data, out, JudgeSettings(clips=_positive("--clips", clips), passes=passes, seed=seed))


@app.command()
def run(
    data: Data,
    out: Annotated[Path, typer.Option(help="folder for the report and the sheets")],
    model: Model = None,
    judges: JudgesFolder = None,
    clips: Annotated[int, typer.Option(help="streams to make")] = RunSettings.clips,
    seconds: Annotated[float | None, typer.Option(help="length of each; the clip's own if left out")] = None,
    wrong_audio: Annotated[int, typer.Option(help="so many second streams to a wrong voice")] = RunSettings.wrong_audio,
    face_mesh: Annotated[bool, typer.Option(help="ask MediaPipe's face mesh as well")] = True,
    split: Annotated[str, typer.Option(help="val: unseen people; sentences: known people, unseen words")] = "val",
    seed: Annotated[int, typer.Option(help="of the noise")] = 0,
) -> None:
    """Stream held-out people and judge lips, identity, behaviour, motion and cost."""
    console = Console()
    settings = RunSettings(_positive("--clips", clips), seconds, wrong_audio, face_mesh, split, seed)
    table = evaluate(Avatar.from_pretrained(model), data, Judges.load(judges), out, settings, console.log)
    console.print(Markdown(table))


@app.command()
def motion(
    data: Data,
    out: Annotated[Path, typer.Option(help="folder for the report")],
    model: Model = None,
    judges: JudgesFolder = None,
    clips: Annotated[int, typer.Option(help="clips whose voice and prompts are followed")] = 60,
    split: Annotated[str, typer.Option(help="val: unseen sentences and voice")] = "val",
    seed: Annotated[int, typer.Option(help="of the noise")] = 0,
) -> None:
    """Judge what moves the body on its numbers, without pictures: actions, lips, head, trembling."""
    console = Console()
    avatar, seen = Avatar.from_pretrained(model), Judges.load(judges)
    table = evaluate_moving(avatar, data, seen, out, _positive("--clips", clips), split, seed, console.log)
    console.print(Markdown(table))


@app.command()
def codec(
    data: Data,
    out: Annotated[Path, typer.Option(help="folder for the report and the pictures")],
    model: Model = None,
    judges: JudgesFolder = None,
    clips: Annotated[int, typer.Option(help="clips to code")] = 20,
    split: Annotated[str, typer.Option(help="val: unseen people")] = "val",
    learners: Annotated[
        int, typer.Option(help="clips of people to train on that a reader of mouths learns from; 0: no reader", min=0)
    ] = 150,
) -> None:
    """Code held-out clips and measure what is lost, and whether the mouth can be read off the latents."""

    console = Console()
    network = load_model(VideoVAE, (model or DEFAULT_MODEL) / "codec")
    seen = _positive("--clips", clips)
    table = evaluate_codec(network, data, Judges.load(judges), out, seen, split, console.log, learners)
    console.print(Markdown(table))


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise ConfigError(f"{name} is {value}; expected at least 1")
    return value

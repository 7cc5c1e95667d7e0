"""The command line of FlowAct. Everything heavy is imported when it is used."""

from __future__ import annotations

import importlib
import math
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flowact.core.clock import FPS
from flowact.core.errors import ConfigError, FlowActError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from flowact.media.audio import LevelMeter
    from flowact.stream.avatar import TimedPrompt

app = typer.Typer(
    help="One portrait, streaming speech and text in; an endless 25 fps person out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

RuntimeOption = Annotated[
    Literal["auto", "torch", "openvino"],
    typer.Option(help="What computes; auto is the fastest here.", envvar="FLOWACT_RUNTIME"),
]
"""What computes the networks; every command that loads a model has it."""

PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""Settings of a command that hands its words on to another program, `--help` too."""


def main() -> None:
    """Run the command line. A FlowActError becomes one red line and exit code 2."""
    try:
        app()
    except FlowActError as error:
        typer.secho(f"error: {' '.join(str(error).split())}", fg="red", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
def generate(
    image: Annotated[Path, typer.Option(help="Portrait of the person: any picture with one clear face.")],
    out: Annotated[Path, typer.Option(help="The film to write, .mp4; replaced if it exists.")],
    audio: Annotated[Path | None, typer.Option(help="What the person says: any sound file.")] = None,
    prompt: Annotated[str | None, typer.Option(help="What the person does, such as 'a person talks and nods'.")] = None,
    script: Annotated[Path | None, typer.Option(help="Timed behaviours: lines like '2.5 a person waves'.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same film.", min=0)] = 0,
    seconds: Annotated[float | None, typer.Option(help="Length of the film; that of the audio if left out.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write how fast it was made, as JSON.")] = None,
    model: Annotated[Path | None, typer.Option(help="Folder of a model; the one that ships if left out.")] = None,
    crop: Annotated[str, typer.Option(help="auto: frame the face; centre: centred square; none: as it is.")] = "auto",
    mark: Annotated[bool, typer.Option("--mark/--no-mark", help="Draw the AI badge in the corner.")] = True,
    runtime: RuntimeOption = "auto",
) -> None:
    """Make a film of the person in a portrait, speaking a sound file or just being there."""
    from flowact.media.audio import LevelMeter, stream_audio
    from flowact.media.film import write_film
    from flowact.media.portrait import load_portrait
    from flowact.media.provenance import Provenance
    from flowact.media.report import Stopwatch

    behaviour = _behaviour(prompt, script)
    length_s = _length(audio, seconds)
    _check_outputs(out, report, length_s)
    load_portrait(image, crop=crop)  # a bad picture should be told before the slow loading of the model

    import flowact

    began = time.perf_counter()
    avatar = flowact.load(model, runtime=runtime)
    load_s = time.perf_counter() - began
    config, size = avatar.config, (avatar.config.size, avatar.config.size)
    portrait = load_portrait(image, config.size, crop)
    _warn(portrait.notes)
    meter, watch = LevelMeter(), Stopwatch()
    sound = _metered(stream_audio(audio), meter) if audio is not None else None
    clips = avatar.stream(portrait.pixels, sound, behaviour, seed, length_s)
    made = Provenance.now(config.name, seed, flowact.__version__)
    try:
        write_film(clips, out, size, length_s, made, mark, watch)
    except KeyboardInterrupt:
        kept = f"{watch.frames / FPS:.2f} s are kept in {out}" if watch.frames else "nothing was written"
        typer.echo(f"stopped: {kept}", err=True)
        raise typer.Exit(130) from None
    result = watch.report(config.name, size, config.passes_per_chunk, load_s)
    _warn(meter.warnings())
    if report is not None:
        result.save(report)
    typer.echo(
        f"{out}: {result.video_s:.2f} s at {result.resolution}, made in {result.total_s:.1f} s "
        f"({result.fps_end_to_end:.1f} fps; first frame after {result.first_frame_s:.2f} s)"
    )


@app.command()
def info(
    model: Annotated[Path | None, typer.Option(help="Folder of a model; the one that ships if left out.")] = None,
    runtime: RuntimeOption = "auto",
) -> None:
    """Show the versions, the machine, the model and how fast what computes it is: what to put into a bug report."""
    import av
    import torch

    import flowact
    from flowact.media.report import describe_machine

    typer.echo(f"flowact      {flowact.__version__}")
    typer.echo(f"torch        {torch.__version__}, {torch.get_num_threads()} threads")
    typer.echo(f"gpu          {torch.cuda.get_device_name() if torch.cuda.is_available() else 'none'}")
    typer.echo(f"PyAV         {av.__version__}")
    for key, value in describe_machine().items():
        typer.echo(f"{key:<12} {value}")
    avatar = flowact.load(model, runtime="torch")
    config = avatar.config
    typer.echo(f"model        {config.name}, {config.size}x{config.size}, {config.passes_per_chunk} passes a chunk")
    for name, network in avatar.networks().items():
        typer.echo(f"  {name:<10} {sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters")
    for i, line in enumerate(avatar.use_runtime(runtime, again=True).lines()):
        typer.echo(f"{'' if i else 'runtime':<12} {line}")


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A film, .mp4.", show_default=False)],
) -> None:
    """Show who signed a film, whether it was changed since, and which model made it.

    Exit code 0: signed and unchanged; 1: changed after signing; 2: cannot be read; 3: no credentials.
    """
    from flowact.media.credentials import Verdict, read_credentials

    found = read_credentials(file)
    for line in found.lines():
        typer.echo(f"{file}: {line}" if found.verdict is Verdict.NONE else line)
    raise typer.Exit({Verdict.VALID: 0, Verdict.TAMPERED: 1, Verdict.NONE: 3}[found.verdict])


@app.command(context_settings=PASS_THROUGH, add_help_option=False)
def serve(context: typer.Context) -> None:
    """Start the server whose page shows a living person."""
    with _extra("serve"):
        from flowact.serve.commands import serve as command
    _hand_over(command, "serve", context)


@app.command(context_settings=PASS_THROUGH, add_help_option=False)
def doctor(context: typer.Context) -> None:
    """Say what this machine can do for live sessions, and what is missing."""
    with _extra("serve"):
        from flowact.serve.commands import doctor as command
    _hand_over(command, "doctor", context)


@app.command(context_settings=PASS_THROUGH, add_help_option=False)
def studio(context: typer.Context) -> None:
    """Make the people, voices and labelled clips that models are trained on."""
    with _extra("studio"):
        from flowact.studio.commands import studio_app
    studio_app(context.args, prog_name="flowact studio")


@app.command(context_settings=PASS_THROUGH, add_help_option=False)
def train(context: typer.Context) -> None:
    """Train a model with a recipe."""
    with _extra("train"):
        from flowact.train.commands import train as command
    _hand_over(command, "train", context)


@app.command(context_settings=PASS_THROUGH, add_help_option=False)
def evaluate(context: typer.Context) -> None:
    """Judge a model by what no training saw."""
    with _extra("evaluate"):
        from flowact.evaluate.commands import app as evaluate_app
    evaluate_app(context.args, prog_name="flowact evaluate")


@app.command(context_settings=PASS_THROUGH, add_help_option=False)
def bench(context: typer.Context) -> None:
    """Measure how fast this machine is. Needs a checkout: the benchmarks are no part of the installed package."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "bench" / "commands.py").is_file():
        raise ConfigError(
            f"`flowact bench` runs from a checkout, and {root} holds no bench/; clone the repository and there: "
            "pip install -e '.[bench]' && flowact bench"
        )
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    _hand_over(importlib.import_module("bench.commands").bench, "bench", context)


def _hand_over(command: Callable[..., None], name: str, context: typer.Context) -> None:
    """Let a command of another room read the rest of the line."""
    program = typer.Typer(pretty_exceptions_enable=False)
    program.command()(command)
    program(context.args, prog_name=f"flowact {name}")


@contextmanager
def _extra(name: str) -> Iterator[None]:
    """Say which extra to install when a package of it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("flowact", "recipes"):
            raise
        raise ConfigError(
            f"`flowact {name}` needs the package {error.name}, which is not installed; "
            f"install the extra: pip install 'flowact[{name}]'"
        ) from error


def _behaviour(prompt: str | None, script: Path | None) -> str | list[TimedPrompt] | None:
    from flowact.media.script import check_prompt, load_script, prompt_warnings

    if prompt is not None and script is not None:
        raise ConfigError("both --prompt and --script are given; put the prompt into the script as its line at 0.0")
    if prompt is not None:
        prompt = check_prompt(prompt, "--prompt")
        _warn(prompt_warnings(prompt))
        return prompt
    if script is None:
        return None
    entries = load_script(script)
    from flowact.stream.avatar import TimedPrompt

    _warn(prompt_warnings(" ".join(text for _, text in entries)))
    return [TimedPrompt(start_s, text) for start_s, text in entries]


def _length(audio: Path | None, seconds: float | None) -> float:
    """Seconds of film; the audio file is read through, so that a bad one is told before any work."""
    from flowact.media.audio import probe_audio

    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise ConfigError(f"--seconds is {seconds:g}; expected more than 0")
    if audio is None and seconds is None:
        raise ConfigError("neither --audio nor --seconds is given; say what is spoken, or how long the silent film is")
    heard_s = probe_audio(audio).seconds if audio is not None else 0.0
    return heard_s if seconds is None else seconds


def _check_outputs(out: Path, report: Path | None, length_s: float) -> None:
    from flowact.media.video import check_output

    check_output(out, length_s)
    if report is not None and not report.parent.is_dir():
        raise ConfigError(f"report folder {report.parent} does not exist; make it first: mkdir -p {report.parent}")


def _metered(blocks: Iterator[NDArray[np.float32]], meter: LevelMeter) -> Iterator[NDArray[np.float32]]:
    for block in blocks:
        meter.add(block)
        yield block


def _warn(lines: Iterable[str]) -> None:
    for line in lines:
        typer.secho(f"note: {line}", fg="yellow", err=True)

"""What people do, without pictures: python -m recipes.perform RUNS OUT (needs the audio and text runs)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowact.models.audio.encoder import AudioEncoder
from flowact.models.text.encoder import TextEncoder
from flowact.models.weights import load_model
from flowact.train.data.performances import perform
from recipes.encode import run_model


def main(
    runs: Annotated[Path, typer.Argument(help="folder with the runs `audio` and `text`")],
    out: Annotated[Path, typer.Argument(help="where to put the stores `train` and `val`")],
    clips: Annotated[int, typer.Option(help="performances to learn from")] = 8000,
    frames: Annotated[int, typer.Option(help="length of each at 25 fps")] = 240,
    workers: Annotated[int, typer.Option(help="processes")] = 2,
) -> None:
    """Compose performances of voices that training may hear, and some of a voice that it never does."""
    hearing = load_model(AudioEncoder, run_model(runs, "audio")).eval()
    text = load_model(TextEncoder, run_model(runs, "text")).eval()
    for split, number, name in (("train", clips, "train"), ("heldout", max(8, clips // 40), "val")):
        perform(number, frames, split, hearing, text, workers).save(out / name)


if __name__ == "__main__":
    typer.run(main)

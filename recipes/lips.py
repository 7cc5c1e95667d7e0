"""Lips for a model whose audio encoder was trained on: python -m recipes.lips MODEL OUT. Two matrices, no training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from flowact.models.audio.encoder import AudioEncoder
from flowact.models.text.encoder import TextEncoder
from flowact.models.weights import load_model, save_model
from flowact.train.data.performances import perform
from recipes.motion import measured_lips


def main(
    model: Annotated[Path, typer.Argument(help="a model folder such as weights/nano; its audio and text are used")],
    out: Annotated[Path, typer.Argument(help="where to put the lips, for example MODEL/lips")],
    clips: Annotated[int, typer.Option(help="performances to measure", min=1)] = 2600,
    frames: Annotated[int, typer.Option(help="length of each at 25 fps, whole latent frames", min=4)] = 240,
    workers: Annotated[int, typer.Option(help="processes", min=1)] = 2,
) -> None:
    """Compose performances of voices that training may hear, and measure what their lips do to them."""
    hearing = load_model(AudioEncoder, model / "audio").eval()
    text = load_model(TextEncoder, model / "text").eval()
    lips = measured_lips(perform(clips, frames, "train", hearing, text, workers))
    save_model(lips, lips.config, out, torch.float32)


if __name__ == "__main__":
    typer.run(main)

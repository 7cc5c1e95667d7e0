"""Rendered shards to latent stores: python -m recipes.encode DATA RUNS OUT (needs the codec, audio and text runs)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowact.core.device import choose_device
from flowact.core.errors import ConfigError
from flowact.models.audio.encoder import AudioEncoder
from flowact.models.text.encoder import TextEncoder
from flowact.models.video_vae.model import VideoVAE
from flowact.models.weights import load_model
from flowact.studio.dataset import find_shards, iterate
from flowact.train.data.encode import encode_shards


def run_model(runs: Path, name: str) -> Path:
    """The model that the last chapter of a run left, `<runs>/<name>/<chapter>/model`.

    Raises:
        ConfigError: the run is missing.
    """
    found = sorted((runs / name).glob("*/model"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise ConfigError(
            f"{runs / name} holds no trained model. Train it first (scripts/train_nano.sh shows the order)."
        )
    return found[-1]


def main(
    data: Annotated[Path, typer.Argument(help="folder of `flowact studio render`")],
    runs: Annotated[Path, typer.Argument(help="folder with the runs `codec`, `audio` and `text`")],
    out: Annotated[Path, typer.Argument(help="where to put the latent stores `train` and `val`")],
) -> None:
    """Encode both splits."""
    device = choose_device()
    codec = load_model(VideoVAE, run_model(runs, "codec")).to(device).eval()
    hearing = load_model(AudioEncoder, run_model(runs, "audio")).to(device).eval()
    text = load_model(TextEncoder, run_model(runs, "text")).to(device).eval()
    for split in ("train", "val"):
        encode_shards(iterate(find_shards(data, split)), codec, hearing, text, out / split)


if __name__ == "__main__":
    typer.run(main)

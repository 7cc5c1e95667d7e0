"""Put latent stores together: python -m recipes.join OUT STORE STORE ... (each a folder of recipes.encode)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowact.train.data.latents import LatentStore


def main(
    out: Annotated[Path, typer.Argument(help="where to put the joint stores `train` and `val`")],
    stores: Annotated[list[Path], typer.Argument(help="folders of recipes.encode, of one codec and one clip length")],
) -> None:
    """Join both splits."""
    for split in ("train", "val"):
        joined = LatentStore.join([LatentStore.load(folder / split) for folder in stores])
        joined.save(out / split)
        typer.echo(f"{out / split}: {joined.clips} clips")


if __name__ == "__main__":
    typer.run(main)

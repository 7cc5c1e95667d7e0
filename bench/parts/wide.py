"""As many pixels as 480x832 with the shape of a model and random weights: a plan for the next model, not a picture."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench.parts import offline
from bench.subject import load_avatar
from flowact.models.anchor import Anchor, AnchorConfig
from flowact.models.mmdit.model import MMDiT
from flowact.models.video_vae.config import SPATIAL_FACTOR
from flowact.stream.avatar import Avatar, MotionParts

HEIGHT, WIDTH = 480, 832


def nearest_grid(patch: int) -> int:
    """Side of the square of latent cells, whole patches, with the area nearest to that of 480x832."""
    cells = HEIGHT * WIDTH / SPATIAL_FACTOR**2
    sides = range(patch, 4 * round(cells**0.5), patch)
    return min(sides, key=lambda side: abs(side * side - cells))


def measure(model: str | None, runtime: str, seconds: float) -> dict[str, Any]:
    """Stages and fps; the backbone takes square grids only, so the nearest square is run."""
    small, _ = load_avatar(model, "torch")
    shape = small.backbone.config
    grid = nearest_grid(shape.patch)
    torch.manual_seed(0)
    size, networks = grid * SPATIAL_FACTOR, small.networks()
    avatar = Avatar(
        replace(small.config, name=f"{small.config.name}-{size}", size=size),
        small.codec,
        small.hearing,
        small.text,
        MMDiT(replace(shape, grid=grid)),
        Anchor(AnchorConfig(shape.latent_channels, grid)),
        MotionParts(networks["motion"], networks["motion_codec"], networks["lips"]) if "motion" in networks else None,
        small.device,
    )
    with tempfile.TemporaryDirectory(prefix="flowact-bench-") as folder:
        avatar.save_pretrained(Path(folder))
        figures = offline.measure(folder, runtime, seconds, is_written=False)
    tokens = (grid // shape.patch) ** 2
    ran = f"{size}x{size} ({size * size / (HEIGHT * WIDTH):.3f} of the pixels of {HEIGHT}x{WIDTH}), {tokens} tokens"
    return {"ran": f"{ran} a latent frame, random weights", **figures}

"""Put trained networks together as one model folder: python -m recipes.assemble RUNS OUT [--no-student]."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from flowact.models.anchor import Anchor
from flowact.models.audio.encoder import AudioEncoder
from flowact.models.mmdit.model import MMDiT
from flowact.models.text.encoder import TextEncoder
from flowact.models.video_vae.model import VideoVAE
from flowact.models.weights import load_model
from flowact.stream.avatar import Avatar, AvatarConfig, MotionParts
from recipes import motion
from recipes.encode import run_model
from recipes.nano import (
    BANK,
    MOUTH_NOISE_SCALE,
    NOISE_SCALE,
    STUDENT_PLAN,
    TEACHER_PLAN,
)


def main(
    runs: Annotated[
        Path, typer.Argument(help="folder with the runs closeup, audio, text, motion, backbone and student")
    ],
    out: Annotated[Path, typer.Argument(help="the model folder to write")],
    student: Annotated[bool, typer.Option(help="take the few-step student, not its teacher")] = True,
    guidance: Annotated[float, typer.Option(help="how much the voice counts at the mouth; 1 is plain")] = 1.0,
    micro_steps: Annotated[int, typer.Option(help="passes per shift of the undistilled model", min=1)] = 1,
    noise_scale: Annotated[float, typer.Option(help="below 1: calmer and cleaner", min=0.1, max=1.0)] = NOISE_SCALE,
    mouth_noise_scale: Annotated[
        float, typer.Option(help="the same at the mouth", min=0.1, max=1.0)
    ] = MOUTH_NOISE_SCALE,
) -> None:
    """Load each network from its run and save them as one avatar."""
    net, moves = run_model(runs, "student" if student else "backbone"), run_model(runs, "motion")
    config = AvatarConfig(
        plan=STUDENT_PLAN if student else replace(TEACHER_PLAN, micro_steps=micro_steps),
        bank=BANK,
        motion_plan=motion.PLAN,
        motion_bank=motion.BANK,
        motion_noise_scale=motion.NOISE_SCALE,
        motion_guidance_weight=motion.GUIDANCE_WEIGHT,
        guidance="embedded" if student else ("none" if guidance == 1 else "voice"),
        guidance_weight=guidance,
        noise_scale=noise_scale,
        mouth_noise_scale=mouth_noise_scale,
    )
    avatar = Avatar(
        config,
        load_model(VideoVAE, run_model(runs, "closeup")),
        load_model(AudioEncoder, run_model(runs, "audio")),
        load_model(TextEncoder, run_model(runs, "text")),
        load_model(MMDiT, net / "backbone"),
        load_model(Anchor, net / "anchor"),
        MotionParts.load(moves),
        torch.device("cpu"),
    )
    avatar.save_pretrained(out)


if __name__ == "__main__":
    typer.run(main)

"""The last chapter of the pictures: a decoder for what the backbone makes (decisions 0008, 0014)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from flowact.core.clock import CHUNKS_IN_STREAM
from flowact.core.motion import MOTION_WIDTH
from flowact.models.anchor import Anchor
from flowact.models.mmdit.model import MMDiT
from flowact.models.video_vae.model import VideoVAE
from flowact.models.weights import load_model, save_model
from flowact.train.data.dreams import DreamBatches, dream
from flowact.train.data.frames import FrameStore
from flowact.train.data.latents import LatentStore, WindowCutter
from flowact.train.objectives.codec import CodecObjectiveConfig, DecoderObjective
from flowact.train.optim import OptimSettings, warmup_hold_decay
from flowact.train.stage import Batch, Place, RunContext, Stage, Update
from recipes.encode import run_model
from recipes.nano import BANK, CODEC_DOORS, DECODER_OUTER, Loss, served

LEAD = 0.1
"""Share of the real chunk in what a dreamt one begins with, for the decoder."""


def drawing(context: RunContext) -> Stage:
    """A decoder that draws what the backbone leaves, told what the body does: its latents are frozen, so no backbone
    is lost.

    `--data` is a folder of recipes.encode; codec, backbone and the decoded frames are those of the runs beside `<out>`.
    Two chunks in five are made by the serving loop and two say nothing but motion; mouths and hands count most. It may
    start from another decoder.
    """
    runs = context.out.parent
    folder = run_model(runs, "backbone")
    teacher = load_model(MMDiT, folder / "backbone").to(context.device).eval()
    anchor = load_model(Anchor, folder / "anchor")
    begin = run_model(runs, "codec") if context.start_from is None else context.start_from / "codec"
    net = _told_of_motion(load_model(VideoVAE, begin)).to(context.device)
    for frozen in (net.encoder, net.reference_encoder, net.normaliser, net.look_head, net.look_normaliser):
        frozen.requires_grad_(False)

    def dreamt(split: str, **how: Any) -> DreamBatches:
        store = LatentStore.load(context.data / split)
        cutter = WindowCutter(store, anchor, BANK, CHUNKS_IN_STREAM)
        dreams = dream(teacher, served(anchor, context.device), cutter, lead=LEAD)
        return DreamBatches(
            FrameStore.open(runs / "frames" / split), store.latents, store.rests, store.motion, dreams, **how
        )

    objective = DecoderObjective(CodecObjectiveConfig(mouth_weight=16.0, hand_weight=4.0, latent_noise=0.2))
    objective = objective.to(context.device)
    held_out = dreamt("val", clips=12, crop_cells=anchor.config.grid)
    judged = {
        name: next(replace(held_out, dreamt_share=made, resting_share=at_rest)(Place(seed=0)))
        for name, made, at_rest in (("real", 0.0, 0.0), ("dreamt", 1.0, 0.0), ("resting", 0.0, 1.0))
    }

    def learn(batch: Batch, step: int) -> Loss:
        return objective(net, batch)

    def evaluate(step: int) -> dict[str, float]:
        net.normaliser.eval()  # its statistics are part of the latents that must not change
        net.look_normaliser.eval()
        found: dict[str, float] = {}
        for name, batch in judged.items():
            _, metrics = objective(net, {k: v.to(context.device) for k, v in batch.items()})
            found |= {f"{name}_{k}": float(v) for k, v in metrics.items() if k.startswith(("psnr", "read_drawn"))}
        return found

    return Stage(
        name="drawing",
        networks={"codec": net, "objective": objective},
        make_batches=dreamt("train", clips=6, crop_cells=10),
        updates=(
            Update(
                ("codec", "objective"),
                learn,
                optim=OptimSettings(
                    lr=2e-3,
                    matrix_lr=0.02,
                    lr_schedule=warmup_hold_decay(0.02, 0.7, 0.02),
                    outer=(*DECODER_OUTER, "objective.*"),
                ),
                ema_decay=0.99,
            ),
        ),
        train_steps=10_000,
        minutes=context.minutes,
        evaluate=evaluate,
        evaluate_every=200,
        checkpoint_every=200,
        export=lambda folder: save_model(net, net.config, folder, torch.bfloat16),
        entry_points=CODEC_DOORS,
    )


def _told_of_motion(codec: VideoVAE) -> VideoVAE:
    """The codec with a decoder that can be told what the body does; what is new says nothing yet."""
    if codec.config.motion_dim:
        return codec
    net = VideoVAE(replace(codec.config, motion_dim=MOTION_WIDTH))
    net.load_state_dict({**net.state_dict(), **codec.state_dict()})
    return net

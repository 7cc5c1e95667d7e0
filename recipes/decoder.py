"""The last two chapters of the pictures: a decoder that is told what the body does, then for what the backbone makes
(decisions 0008, 0014 to 0016).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flowact.core.clock import CHUNKS_IN_STREAM
from flowact.core.motion import MOTION_WIDTH
from flowact.models.anchor import Anchor
from flowact.models.mmdit.model import MMDiT
from flowact.models.video_vae.closeup import Closeup, Part
from flowact.models.video_vae.config import CloseupConfig
from flowact.models.video_vae.model import VideoVAE
from flowact.models.weights import load_model, save_model
from flowact.train.data.closeups import CloseupBatches, look_at_stills
from flowact.train.data.dreams import DreamBatches, Dreams, dream
from flowact.train.data.flow import measure_common_flow
from flowact.train.data.frames import FrameStore
from flowact.train.data.latents import LatentStore, WindowCutter
from flowact.train.objectives.closeup import paint_error, place_error
from flowact.train.objectives.codec import CodecObjectiveConfig, DecoderObjective
from flowact.train.objectives.square import SquareReading
from flowact.train.optim import OptimSettings, warmup_hold_decay
from flowact.train.stage import Batch, Place, RunContext, Stage, Update, taking_turns
from recipes.encode import run_model
from recipes.nano import BANK, CODEC_DOORS, DECODER_OUTER, Loss, served

CLOSEUPS: dict[Part, CloseupConfig] = {
    "eyes": CloseupConfig(side_px=96, width_4=40, width_2=24),
    "mouth": CloseupConfig(side_px=80, blocks_4=4),
    "hand": CloseupConfig(side_px=128, width_4=64),
}
ROWS: dict[Part, int] = {"eyes": 40, "mouth": 48, "hand": 24}
"""Squares in a batch."""
VEIL_TINT: dict[Part, float] = {"eyes": 0.08, "mouth": 0.25, "hand": 0.0}
"""How far off the colours of what was decoded may be: teeth are bluish."""
READINGS: dict[Part, dict[str, float]] = {"eyes": {"label_weight": 0.5}, "mouth": {"label_weight": 0.5}, "hand": {}}
"""How much it counts that they read alike (`objectives.square`)."""
LEAD = 0.1
"""Share of the real chunk in what a dreamt one begins with, for the decoder."""


def telling(context: RunContext) -> Stage:
    """A decoder that is told what the body does, on latents of the codec and on latents at rest, which say nothing.

    `--data` is a folder of recipes.encode; codec and decoded frames are those of the runs beside `<out>`. It needs no
    backbone and spoils none: the latents are frozen. It may start from another decoder. Where bodies go on average is
    measured first, and no more is known of motion by a decoder that was never told.
    """
    begin = run_model(context.out.parent, "codec") if context.start_from is None else context.start_from / "codec"
    return _stage(context, "telling", begin, None, dreamt_share=0.0, resting_share=0.5, paint_price=0.03)


def drawing(context: RunContext) -> Stage:
    """The same on what the backbone makes: two chunks in five are made by the serving loop.

    The backbone is that of the runs beside `<out>`, and the decoder goes on from the run `told` there.
    """
    runs = context.out.parent
    folder = run_model(runs, "backbone")
    teacher = load_model(MMDiT, folder / "backbone").to(context.device).eval()
    anchor = load_model(Anchor, folder / "anchor")

    def dreams(store: LatentStore) -> Dreams:
        cutter = WindowCutter(store, anchor, BANK, CHUNKS_IN_STREAM)
        return dream(teacher, served(anchor, context.device), cutter, lead=LEAD)

    begin = run_model(runs, "told") if context.start_from is None else context.start_from / "codec"
    return _stage(context, "drawing", begin, dreams, dreamt_share=0.4, resting_share=0.3, paint_price=0.1)


def closeup(context: RunContext) -> list[Stage]:
    """Eyes, mouths and hands, painted into holes of true frames.

    The decoder is that of the run `decoder` beside `<out>`, or of the model to start from; the rest of it stays.
    """
    runs = context.out.parent
    folder = run_model(runs, "decoder") if context.start_from is None else context.start_from / "codec"
    net = _with_closeups(load_model(VideoVAE, folder)).to(context.device).eval()
    teller, finders = net.teller, {"eyes": net.eyes_finder, "mouth": net.mouth_finder}
    assert teller is not None
    stores = {split: LatentStore.load(context.data / split) for split in ("train", "val")}
    frames = {split: FrameStore.open(runs / "frames" / split) for split in stores}
    stills = {split: look_at_stills(net, frames[split], stores[split]) for split in stores}

    def chapter(part: Part, closeup: Closeup) -> Stage:
        finder = finders.get(part)
        reading = SquareReading(part, closeup.side_px, **READINGS[part]).to(context.device)
        networks: dict[str, nn.Module] = {"closeup": closeup, "reading": reading}
        if finder is not None:
            networks["finder"] = finder
        batches = {
            split: CloseupBatches(
                frames[split],
                stores[split],
                stills[split],
                teller,
                closeup,
                part,
                ROWS[part],
                veil_tint=VEIL_TINT[part],
            )
            for split in stores
        }
        held_out = batches["val"](Place(seed=0))
        judged = [{k: v.to(context.device) for k, v in next(held_out).items()} for _ in range(5)]

        def learn(batch: Batch, step: int) -> Loss:
            loss, metrics = paint_error(closeup, batch, reading)
            if finder is None:
                return loss, metrics
            off, found = place_error(finder, batch)
            return loss + off, metrics | found

        def evaluate(step: int) -> dict[str, float]:
            found = [learn(batch, step)[1] for batch in judged]
            return {name: float(torch.stack([one[name] for one in found]).mean()) for name in found[0]}

        return Stage(
            name=part.rstrip("s") + "s",
            networks=networks,
            make_batches=batches["train"],
            updates=(
                Update(
                    tuple(networks),
                    learn,
                    optim=OptimSettings(
                        lr=2e-3,
                        matrix_lr=0.02,
                        lr_schedule=warmup_hold_decay(0.02, 0.7, 0.02),
                        outer=("closeup.head.weight", *(f"{name}.*" for name in networks if name != "closeup")),
                    ),
                    ema_decay=0.99,
                ),
            ),
            train_steps=10_000,
            minutes=None if context.minutes is None else context.minutes / len(CLOSEUPS),
            evaluate=evaluate,
            evaluate_every=500,
            checkpoint_every=500,
            log_every=50,
            export=lambda folder: save_model(net, net.config, folder, torch.bfloat16),
            entry_points=("hole",),
        )

    return [chapter(part, closeup) for part, closeup in net.closeups.items()]


def _with_closeups(codec: VideoVAE) -> VideoVAE:
    """The codec with close-ups, new ones where it has none."""
    sizes: dict[str, Any] = {part: getattr(codec.config, part) or size for part, size in CLOSEUPS.items()}
    net = VideoVAE(replace(codec.config, **sizes))
    net.load_state_dict({**net.state_dict(), **codec.state_dict()})
    return net


def _stage(
    context: RunContext,
    name: str,
    begin: Path,
    dreams: Callable[[LatentStore], Dreams] | None,
    dreamt_share: float,
    resting_share: float,
    paint_price: float,
) -> Stage:
    stores = {split: LatentStore.load(context.data / split) for split in ("train", "val")}
    frames = {split: FrameStore.open(context.out.parent / "frames" / split) for split in stores}
    net = load_model(VideoVAE, begin)
    if dreams is None or not net.config.motion_dim:
        net = _told_of_motion(net, frames["train"], stores["train"])
    net = net.to(context.device)
    for frozen in (
        net.encoder, net.reference_encoder, net.normaliser, net.look_head, net.look_normaliser,
        net.eyes_finder, net.mouth_finder, *net.closeups.values(),
    ):  # fmt: skip
        if frozen is not None:
            frozen.requires_grad_(False)
    made = {split: None if dreams is None else dreams(store) for split, store in stores.items()}

    def batches(split: str, **how: Any) -> DreamBatches:
        return DreamBatches(frames[split], stores[split], made[split], **how)

    objective = DecoderObjective(
        CodecObjectiveConfig(
            mouth_weight=16.0, hand_weight=4.0, paint_price=paint_price, flow_weight=0.2, latent_noise=0.2
        )
    ).to(context.device)
    shares = {"real": (0.0, 0.0), "resting": (0.0, 1.0)} | ({} if dreams is None else {"dreamt": (1.0, 0.0)})
    grid = stores["val"].latents.shape[-1]
    judged = {
        kind: next(batches("val", clips=12, crop_cells=grid, tint=0.0, dreamt_share=a, resting_share=b)(Place(seed=0)))
        for kind, (a, b) in shares.items()
    }

    def learn(batch: Batch, step: int) -> Loss:
        return objective(net, batch)

    def evaluate(step: int) -> dict[str, float]:
        net.normaliser.eval()  # its statistics are part of the latents that must not change
        net.look_normaliser.eval()
        found: dict[str, float] = {}
        for kind, batch in judged.items():
            _, metrics = objective(net, {k: v.to(context.device) for k, v in batch.items()})
            kept = ("psnr", "read_drawn", "paint", "flow_beside")
            found |= {f"{kind}_{k}": float(v) for k, v in metrics.items() if k.startswith(kept)}
        return found

    return Stage(
        name=name,
        networks={"codec": net, "objective": objective},
        # Small crops show most mouths in an hour; only in large ones does a hand belong to an arm.
        make_batches=taking_turns(
            batches("train", clips=8, crop_cells=6, dreamt_share=dreamt_share, resting_share=resting_share),
            batches("train", clips=3, crop_cells=10, dreamt_share=dreamt_share, resting_share=resting_share),
        ),
        updates=(
            Update(
                ("codec", "objective"),
                learn,
                optim=OptimSettings(
                    lr=2e-3,
                    matrix_lr=0.02,
                    lr_schedule=warmup_hold_decay(0.02, 0.7, 0.02),
                    outer=(*DECODER_OUTER, "codec.painter.trust.weight", "objective.*"),
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


def _told_of_motion(codec: VideoVAE, frames: FrameStore, store: LatentStore) -> VideoVAE:
    """The codec with a decoder that can be told what the body does, and knows where bodies go on average."""
    net = VideoVAE(replace(codec.config, motion_dim=MOTION_WIDTH))
    net.load_state_dict({**net.state_dict(), **codec.state_dict()})
    assert net.teller is not None
    with torch.no_grad():
        net.teller.field.copy_(measure_common_flow(frames, store, net.config.field_grid))
    return net

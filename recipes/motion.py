"""What a person does, from voice and prompt: (recipes.perform) -> `moving`. No picture is needed (decision 0011)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.diffusion.levels import warp
from flowact.diffusion.plan import Staircase
from flowact.memory.bank import BankConfig
from flowact.models.anchor import Anchor, AnchorConfig
from flowact.models.lips import Lips, LipsConfig
from flowact.models.mmdit.config import MMDiTConfig
from flowact.models.mmdit.model import MMDiT
from flowact.models.motion_codec import MotionCodec, MotionCodecConfig
from flowact.models.weights import load_model, save_model
from flowact.rollout.window import roughen_memory
from flowact.train.data.latents import LatentStore, WindowCutter
from flowact.train.objectives.flow import flow_loss, flow_report
from flowact.train.optim import warmup_hold_decay
from flowact.train.stage import Batch, Place, RunContext, Stage, Update
from recipes.nano import ROUGHNESS, SHIFT, Loss, optim, prepared, windows

BANK = BankConfig(long=0, short=12)
PLAN = Staircase(chunks=1, micro_steps=3, shift=SHIFT)
NOISE_SCALE = 1.25
"""Deviation of the noise that motion is served with: what has mass is averaged later, and with 1 heads hardly turn."""
GUIDANCE_WEIGHT = 2.0
"""How strongly motion that is served follows voice and prompt: with 1 mouths open four fifths as far as they should."""
ROWS = 64


def moving(context: RunContext) -> Stage:
    """Flow matching of one chunk of motion at a time. `--data` is a folder of recipes.perform."""
    store = LatentStore.load(context.data / "train")
    if context.start_from is None:
        codec, net = measured_codec(store), MMDiT(sizes(store))
    else:
        codec = load_model(MotionCodec, context.start_from / "motion_codec")
        net = load_model(MMDiT, context.start_from / "motion")
    net, lips = net.to(context.device), measured_lips(store)
    unchanged = Anchor(AnchorConfig(net.config.latent_channels, net.config.grid))

    def cutter_of(scores: LatentStore) -> WindowCutter:
        return WindowCutter(in_latents_of_motion(scores, codec), unchanged, BANK, chunks=1)

    cutter, held_out = cutter_of(store), cutter_of(LatentStore.load(context.data / "val"))
    judged = next(held_out.batches(256, Place(seed=0))).to(context.device)

    def learn(batch: Batch, step: int) -> Loss:
        window = prepared(batch, context.device)
        window = replace(window, bank=roughen_memory(window.bank, ROUGHNESS))
        level = warp(torch.rand(len(window.clean), 1), SHIFT).to(window.clean)
        return flow_loss(net, window, level, torch.randn_like(window.clean))

    return Stage(
        name="moving",
        networks={"motion": net},
        make_batches=lambda place: windows(cutter, ROWS, place),
        updates=(Update(("motion",), learn, optim=optim(1.0, warmup_hold_decay(0.02, 0.6, 0.02)), ema_decay=0.998),),
        train_steps=20_000,
        minutes=context.minutes,
        evaluate=lambda step: flow_report(net, judged),
        evaluate_every=500,
        export=lambda folder: export(net, codec, lips, folder),
        entry_points=("remember",),
    )


def sizes(store: LatentStore) -> MMDiTConfig:
    """A small network for latents of one cell."""
    return MMDiTConfig(
        width=256,
        depth=5,
        heads=4,
        latent_channels=MotionCodecConfig().latents,
        grid=1,
        patch=1,
        audio_dim=store.audio.shape[-1],
        text_dim=store.text.shape[-1],
        audio_tokens=1,
        text_tokens=1,
    )


def measured_codec(store: LatentStore) -> MotionCodec:
    """The directions in which bodies move, in a store of performances."""
    codec = MotionCodec(MotionCodecConfig())
    codec.measure(motion_of(store)[::2].flatten(0, 1).float())
    return codec


def measured_lips(store: LatentStore) -> Lips:
    """What lips do to speech, in a store of performances."""
    lips = Lips(LipsConfig(store.audio.shape[-1]))
    lips.measure(store.audio.flatten(0, 2).float(), motion_of(store).flatten(0, 2).float())
    return lips


def in_latents_of_motion(store: LatentStore, codec: MotionCodec) -> LatentStore:
    """A store of performances with latents of the codec in place of motion itself."""
    latents = codec.encode(motion_of(store).float()).half()[:, None]
    nothing = torch.zeros_like(latents[:, :, 0])
    return replace(store, latents=latents, rests=nothing, looks=nothing)


def motion_of(store: LatentStore) -> Tensor:
    """Motion [N, T, 4, M] of a store of performances."""
    return store.latents[:, 0].flatten(2).unflatten(-1, (FRAMES_PER_LATENT, -1))


def export(net: MMDiT, codec: MotionCodec, lips: Lips, folder: Path) -> None:
    """Write the network for motion, the codec that it was trained with, and lips."""
    save_model(net, net.config, folder / "motion", torch.bfloat16)
    save_model(codec, codec.config, folder / "motion_codec", torch.float32)
    save_model(lips, lips.config, folder / "lips", torch.float32)

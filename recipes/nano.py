"""The default model, `flowact-nano`, chapter by chapter, as FlowAct-R1 tells it. `make train-nano` runs them all.

codec -> (recipes.encode) -> backbone: full visibility, autoregressive adaptation with
generated memory, audio-motion alignment -> student: one guided evaluation per stair. `recipes/motion.py` stands beside,
`recipes/decoder.py` comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowact.core.clock import CHUNKS_IN_STREAM, LATENTS_PER_CHUNK
from flowact.core.errors import ConfigError
from flowact.diffusion.guidance import EmbeddedGuidance, NoGuidance
from flowact.diffusion.levels import draw_independent, draw_staircase, staircase_levels, warp
from flowact.diffusion.plan import Staircase
from flowact.memory.bank import BankConfig
from flowact.models.anchor import Anchor, AnchorConfig
from flowact.models.mmdit.config import MMDiTConfig
from flowact.models.mmdit.model import MMDiT
from flowact.models.video_vae.model import VideoVAE
from flowact.models.weights import load_model, save_model
from flowact.rollout.generate import Serving
from flowact.rollout.window import Window, drift_memory, drop_conditions, roughen_memory
from flowact.train.data.frames import FrameBatches, FrameStore, build_frame_store
from flowact.train.data.latents import LatentStore, WindowCutter
from flowact.train.generated_memory import GeneratedMemory, GeneratedMemoryConfig
from flowact.train.objectives.codec import CodecObjective, CodecObjectiveConfig
from flowact.train.objectives.flow import flow_loss, flow_report, full_visibility_loss
from flowact.train.objectives.segment import SegmentDistillation
from flowact.train.optim import LrSchedule, OptimSettings, constant, warmup_cosine, warmup_hold_decay
from flowact.train.stage import Batch, Place, RunContext, Stage, Update

BANK = BankConfig(long=3, short=1)
SHIFT = 2.0
TEACHER_PLAN = Staircase(micro_steps=2, shift=SHIFT)
STUDENT_PLAN = Staircase(micro_steps=1, shift=SHIFT)
ROWS = 12
DROP = 0.1
ROUGHNESS = 0.3
DRIFT = 0.4
STREAMED = 12
"""Chunks that generated memory streams through at most, from a real memory on. True motion keeps it to its pose."""
NOISE_SCALE, MOUTH_NOISE_SCALE = 0.7, 0.5
"""Deviation of the noise that the undistilled model is served with: calmer and cleaner than 1, most so at the mouth."""
VOICE_WEIGHT = 3.0
"""Weight of the voice at the mouth that the undistilled model is served with."""
CHAPTERS = {"pretrain": 0.1, "adapt": 0.5, "align": 0.4}
"""Share of the training time of each chapter of the backbone."""

DECODER_OUTER = ("codec.painter.*_flow.weight", "codec.painter.head.weight")
CODEC_OUTER = (
    *DECODER_OUTER,
    "codec.encoder.mean.weight",
    "codec.encoder.stem.weight",
    "codec.look_head.weight",
    "objective.*",
)

CODEC_DOORS = ("encode", "decode", "layers", "look", "rest", "initial_encode_state", "initial_decode_state")

Loss = tuple[Tensor, dict[str, Tensor]]


def codec(context: RunContext) -> list[Stage]:
    """The codec: first on crops around the face, where a second buys three times the pixels that matter, then whole,
    then close up, with the labels of the mouth weighing more, until a reader finds its opening in the latents.

    `--data` is a folder of `flowact studio render`; the frames are decoded once into `<out>/../frames`.
    """
    frames = context.out.parent / "frames"
    for split in ("train", "val"):
        if not (frames / split / "index.npz").is_file():
            build_frame_store(context.data, frames / split, split)
    start = context.start_from
    net = (VideoVAE() if start is None else load_model(VideoVAE, start / "codec")).to(context.device)
    objective = CodecObjective(net.config.latent_channels).to(context.device)
    mouths = CodecObjectiveConfig(mouth_weight=10.0, label_weight=3.0)
    held_out = FrameBatches(FrameStore.open(frames / "val"), clips=8, crop_px=256, tint=0.0)
    judged = held_out.draw(np.random.default_rng(0))

    def evaluate(step: int) -> dict[str, float]:
        with torch.inference_mode():
            _, found = objective(net, {k: v.to(context.device) for k, v in judged.items()})
        return {name: float(value) for name, value in found.items() if name.startswith("psnr")}

    def chapter(
        name: str, crop_px: int, clips: int, share: float, schedule: LrSchedule, config: CodecObjectiveConfig
    ) -> Stage:
        def learn(batch: Batch, step: int) -> Loss:
            objective.config = config
            return objective(net, batch)

        batches = FrameBatches(FrameStore.open(frames / "train"), clips=clips, crop_px=crop_px)
        return Stage(
            name=name,
            networks={"codec": net, "objective": objective},
            make_batches=batches,
            updates=(
                Update(
                    ("codec", "objective"),
                    learn,
                    optim=OptimSettings(lr=2e-3, matrix_lr=0.02, lr_schedule=schedule, outer=CODEC_OUTER),
                    ema_decay=0.99,
                ),
            ),
            train_steps=round(40_000 * share),
            minutes=None if context.minutes is None else context.minutes * share,
            evaluate=evaluate,
            evaluate_every=100,
            checkpoint_every=200,
            export=lambda folder: save_model(net, net.config, folder, torch.bfloat16),
            entry_points=CODEC_DOORS,
        )

    return [
        chapter("crops", 160, 6, 0.50, warmup_hold_decay(0.03, 0.2, 0.5), CodecObjectiveConfig()),
        chapter("whole", 256, 4, 0.27, warmup_hold_decay(0.02, 0.9, 0.02), CodecObjectiveConfig()),
        chapter("mouths", 128, 10, 0.23, warmup_hold_decay(0.03, 0.7, 0.02), mouths),
    ]


def backbone(context: RunContext) -> list[Stage]:
    """The three chapters before distillation. `--data` is a folder of recipes.encode, with `train/` in it.

    With `--start-from` the first chapter is left out, and half of the memory is generated from the first step on.
    """
    fresh = context.start_from is None
    store = LatentStore.load(context.data / "train")
    net, anchor = beginning(store, context)
    cutter = WindowCutter(store, anchor, BANK, CHUNKS_IN_STREAM)
    memory = GeneratedMemory(
        GeneratedMemoryConfig(every=120, rows=24, share_from=0.0 if fresh else 0.5),
        ("backbone", net),
        served(anchor, context.device),
        cutter,
        WindowCutter(store, anchor, BANK, min(STREAMED, store.length // LATENTS_PER_CHUNK)),
    )

    held_out = WindowCutter(LatentStore.load(context.data / "val"), anchor, BANK, CHUNKS_IN_STREAM)
    judged = next(held_out.batches(32, Place(seed=0), rare=0.0)).to(context.device)
    rising = next(held_out.batches(32, Place(seed=0), rare=1.0)).to(context.device)

    def evaluate(step: int) -> dict[str, float]:
        hands = {
            f"rising_{name}": value for name, value in flow_report(net, rising).items() if name.startswith("clean")
        }
        return {**flow_report(net, judged), **hands}

    def pretrain(batch: Batch, step: int) -> Loss:
        window = prepared(batch, context.device)
        level = warp(torch.rand(len(window.clean), 1), SHIFT).to(window.clean)
        return full_visibility_loss(net, window, level, torch.randn_like(window.clean))

    def stream(exact: float) -> Callable[[Batch, int], Loss]:
        """`exact`: share of the windows that stand at the very levels of a one-pass staircase."""

        def learn(batch: Batch, step: int) -> Loss:
            window = prepared(batch, context.device)
            window = replace(window, bank=roughen_memory(drift_memory(window.bank, DRIFT), ROUGHNESS))
            # A stream that is filling holds fewer chunks than a full one; serving meets that at every start.
            chunks = CHUNKS_IN_STREAM if float(torch.rand(())) < 0.8 else int(torch.randint(1, CHUNKS_IN_STREAM, ()))
            level = draw_levels(len(window.clean), exact)[:, CHUNKS_IN_STREAM - chunks :].to(window.clean)
            part = window.chunks(0, chunks)
            return flow_loss(net, part, level, torch.randn_like(part.clean))

        return learn

    def chapter(
        name: str, objective: Callable[[Batch, int], Loss], lr: float, schedule: LrSchedule, **hooks: object
    ) -> Stage:
        return Stage(
            name=name,
            networks={"backbone": net},
            make_batches=lambda place: windows(cutter, ROWS, place),
            updates=(Update(("backbone",), objective, optim=optim(lr, schedule), ema_decay=0.995),),
            train_steps=round(20_000 * CHAPTERS[name]),
            minutes=None if context.minutes is None else context.minutes * CHAPTERS[name],
            evaluate=evaluate,
            evaluate_every=200,
            export=lambda folder: export(net, anchor, folder),
            entry_points=("remember",),
            **hooks,  # type: ignore[arg-type]
        )

    self_forcing = {"rollout": memory.rollout, "on_step": memory.on_step}
    return [
        *([chapter("pretrain", pretrain, 1.0, constant)] if fresh else []),
        chapter("adapt", stream(exact=0.2), 1.0, constant, **self_forcing),
        chapter("align", stream(exact=0.6), 0.8, warmup_hold_decay(0.02, 0.98, 0.02), **self_forcing),
    ]


def student(context: RunContext) -> Stage:
    """One guided evaluation per stair, by regression on the teacher in `<out>/../backbone/align/model`."""
    store = LatentStore.load(context.data / "train")
    folder = teacher_folder(context.out)
    teacher = load_model(MMDiT, folder / "backbone").to(context.device).eval().requires_grad_(False)
    anchor = load_model(Anchor, folder / "anchor")
    net = load_model(MMDiT, folder / "backbone").to(context.device).train()
    cutter = WindowCutter(store, anchor, BANK, CHUNKS_IN_STREAM)
    memory = GeneratedMemory(
        GeneratedMemoryConfig(share_from=0.5, rows=8),
        ("backbone", net),
        Serving(STUDENT_PLAN, EmbeddedGuidance(VOICE_WEIGHT), calm(anchor, context.device)),
        cutter,
        WindowCutter(store, anchor, BANK, min(STREAMED, store.length // LATENTS_PER_CHUNK)),
    )
    distillation = SegmentDistillation(teacher, TEACHER_PLAN, anchor.mouth.to(context.device))

    def regress(batch: Batch, step: int) -> Loss:
        window: Window = batch["window"].to(context.device)
        chunks = CHUNKS_IN_STREAM if float(torch.rand(())) < 0.8 else int(torch.randint(1, CHUNKS_IN_STREAM, ()))
        part = window.chunks(0, chunks)
        return distillation.loss(net, part, torch.randn_like(part.clean))

    return Stage(
        name="student",
        networks={"backbone": net},
        make_batches=lambda place: windows(cutter, ROWS, place),
        updates=(Update(("backbone",), regress, optim=optim(0.3, warmup_cosine(0.02, 0.05)), ema_decay=0.99),),
        train_steps=3000,
        minutes=context.minutes,
        rollout=memory.rollout,
        on_step=memory.on_step,
        export=lambda out: export(net, anchor, out),
        entry_points=("remember",),
    )


def backbone_config(store: LatentStore) -> MMDiTConfig:
    """Nano, with the widths of the latents and features at hand."""
    channels, grid = store.latents.shape[3:5]
    return MMDiTConfig(
        latent_channels=channels,
        grid=grid,
        audio_dim=store.audio.shape[-1],
        text_dim=store.text.shape[-1],
        sees_colours=True,
        motion_dim=store.motion.shape[-1],
    )


def beginning(store: LatentStore, context: RunContext) -> tuple[MMDiT, Anchor]:
    """A new backbone and the anchor measured for it, or those of the model to start from."""
    if context.start_from is None:
        return MMDiT(backbone_config(store)).to(context.device), measured_anchor(store)
    net = load_model(MMDiT, context.start_from / "backbone").to(context.device)
    return net, load_model(Anchor, context.start_from / "anchor")


def served(anchor: Anchor, device: torch.device) -> Serving:
    """How the undistilled model is let run, one pass a stair."""
    return Serving(STUDENT_PLAN, NoGuidance(), calm(anchor, device))


def calm(anchor: Anchor, device: torch.device) -> Tensor:
    """Deviation of the noise that chunks begin with, [H, W]."""
    return anchor.noise_scale(NOISE_SCALE, MOUTH_NOISE_SCALE).to(device)


def measured_anchor(store: LatentStore) -> Anchor:
    """The map between codec latents and stream latents, measured on the training clips."""
    channels, grid = store.latents.shape[3:5]
    anchor = Anchor(AnchorConfig(channels, grid))
    latents, rests, looks = (x[:, 0].float() for x in (store.latents, store.rests, store.looks))
    anchor.measure(latents, rests, looks, store.mouths())
    return anchor


def windows(cutter: WindowCutter, rows: int, place: Place) -> Iterator[Batch]:
    """Batches of training windows."""
    for window in cutter.batches(rows, place):
        yield {"window": window}


def prepared(batch: Batch, device: torch.device) -> Window:
    """The batch's window on the device, with voice and prompt dropped now and then."""
    window: Window = batch["window"].to(device)
    return replace(window, conditions=drop_conditions(window.conditions, DROP))


def optim(lr: float, schedule: LrSchedule) -> OptimSettings:
    """Muon on the blocks' matrices, AdamW on what leads into and out of the network."""
    return OptimSettings(
        lr=1e-3 * lr,
        matrix_lr=0.01 * lr,
        lr_schedule=schedule,
        outer=("*_in.*", "*video_out*", "*modulation*"),
    )


def export(net: MMDiT, anchor: Anchor, folder: Path) -> None:
    """Write the backbone and the anchor that it was trained with."""
    save_model(net, net.config, folder / "backbone", torch.bfloat16)
    save_model(anchor, anchor.config, folder / "anchor", torch.float32)


def teacher_folder(out: Path) -> Path:
    """Where `backbone` left its model, beside the run in `out`.

    Raises:
        ConfigError: it has not been trained yet.
    """
    folder = out.parent / "backbone" / "align" / "model"
    if not folder.is_dir():
        raise ConfigError(
            f"The teacher is not in {folder}. Train it first: flowact train nano.backbone --out {out.parent}/backbone"
        )
    return folder


def draw_levels(rows: int, served: float) -> Tensor:
    """Noise levels of the three chunks: a share as a one-pass staircase is served, the others four in five on a
    staircase of any offset, and each for itself.
    """
    stairs = torch.rand(rows, 1) < 0.8
    drawn = torch.where(
        stairs, draw_staircase(rows, CHUNKS_IN_STREAM, SHIFT), draw_independent(rows, CHUNKS_IN_STREAM, SHIFT)
    )
    exact = torch.tensor(staircase_levels(CHUNKS_IN_STREAM, SHIFT)).expand(rows, -1)
    return torch.where(torch.rand(rows, 1) < served, exact, drawn)

"""The audio encoder, from nothing: a corpus of synthetic speech, some minutes of training, a report on a strange voice.

python -m recipes.audio corpus FOLDER           two hours of speech with labels, no pictures: about a minute
flowact train audio.hearing --data FOLDER --out RUN --device cpu
flowact train audio.further --data FOLDER --out RUN --start-from weights/nano --device cpu
python -m recipes.audio report FOLDER WEIGHTS   how well it hears new sentences of known and of strange voices
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import torch
import typer

from flowact.core.errors import ConfigError
from flowact.models.audio.encoder import AudioEncoder
from flowact.models.weights import load_model, save_model
from flowact.train.data.hearing import CorpusConfig, HearingCorpus, make_corpus
from flowact.train.data.hearing_batches import HearingAugment, hearing_batches
from flowact.train.objectives.audio import HearingObjective, measure_hearing
from flowact.train.optim import OptimSettings, warmup_cosine
from flowact.train.stage import RunContext, Stage, Update

app = typer.Typer(
    help="Corpora of synthetic speech for the audio encoder, and how well it hears.", add_completion=False
)
CORPORA = {
    "train": CorpusConfig(clips=720),
    "known_voices": CorpusConfig(clips=40, seed=100_000, heldout_sentences=True),
    "strange_voice": CorpusConfig(clips=40, seed=200_000, heldout_voice=True, heldout_sentences=True),
}


def hearing(context: RunContext) -> list[Stage]:
    """Train the default audio encoder on the corpora in `context.data`.

    The second chapter bends the voices further than rooms and microphones do: with three synthetic speakers the
    encoder would else learn these three.
    """
    torch.manual_seed(context.seed)
    encoder = AudioEncoder().to(context.device)
    mild = HearingAugment(warp=1.18, tilt_db=0.0)
    return [
        _chapter(context, encoder, "hearing", mild, steps=700, lr=2e-3, share=0.3),
        _chapter(context, encoder, "hearing_strangers", HearingAugment(), steps=1600, lr=1.5e-3, share=0.7),
    ]


def further(context: RunContext) -> Stage:
    """More of the second chapter for a model that starts from another: its backbone and its motion have learnt from
    these features, so they are held where they are. Its lips are to be measured anew (recipes.lips).
    """
    if context.start_from is None:
        raise ConfigError("audio.further goes on from a model: pass --start-from, for example weights/nano.")
    encoder, known = (load_model(AudioEncoder, context.start_from / "audio").to(context.device) for _ in range(2))
    known.eval().requires_grad_(False)
    return _chapter(context, encoder, "hearing", HearingAugment(), steps=1300, lr=1.5e-3, share=1.0, known=known)


def _chapter(
    context: RunContext,
    encoder: AudioEncoder,
    name: str,
    augment: HearingAugment,
    steps: int,
    lr: float,
    share: float,
    known: AudioEncoder | None = None,
) -> Stage:
    corpus = HearingCorpus.load(context.data / "train.npz")
    strange = HearingCorpus.load(context.data / "strange_voice.npz")
    optim = OptimSettings(lr=lr, matrix_lr=None, lr_schedule=warmup_cosine(0.05), weight_decay=0.01)
    return Stage(
        name=name,
        networks={"audio": encoder},
        make_batches=hearing_batches(corpus, augment, encoder.config.mel),
        updates=(Update(("audio",), HearingObjective(encoder, known=known), optim=optim, ema_decay=None),),
        train_steps=steps,
        minutes=None if context.minutes is None else context.minutes * share,
        evaluate=lambda step: measure_hearing(encoder, strange, degraded=True),
        evaluate_every=steps,
        export=lambda folder: save_model(encoder, encoder.config, folder, torch.float16),
        # Sound spans ten orders of magnitude: half precision would drown the quiet bands.
        precision=torch.float32,
        entry_points=("listen",),
    )


@app.command("corpus")
def _corpus(
    folder: Annotated[Path, typer.Argument(help="where to put the corpora")],
    workers: Annotated[int, typer.Option(help="processes", min=1)] = 2,
) -> None:
    """Speak two hours to train on, and twice 400 s of new sentences to test on; one npz each."""
    for name, config in CORPORA.items():
        made = make_corpus(config, workers)
        made.save(folder / f"{name}.npz")
        typer.echo(f"{name}: {made.hours:.2f} h")


@app.command("report")
def _report(
    folder: Annotated[Path, typer.Argument(help="folder of the corpora")],
    weights: Annotated[Path, typer.Argument(help="a saved audio encoder, such as weights/nano/audio")],
) -> None:
    """Measure on new sentences: known and strange voices, as synthesised and degraded."""
    encoder = load_model(AudioEncoder, weights)
    found = {
        f"{name}, {'degraded' if degraded else 'clean'}": measure_hearing(
            encoder, HearingCorpus.load(folder / f"{name}.npz"), degraded
        )
        for name in ("known_voices", "strange_voice")
        for degraded in (False, True)
    }
    typer.echo(json.dumps(found, indent=1))


if __name__ == "__main__":
    app()

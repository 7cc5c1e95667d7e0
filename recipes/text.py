"""The text encoder before it meets the video model: a minute of one core on captions and on what people would type."""

from __future__ import annotations

import numpy as np
import torch

from flowact.models.text.config import TextConfig
from flowact.models.weights import save_model
from flowact.studio.performance import GESTURES
from flowact.train.data.prompts import (
    DOINGS,
    UNSAID,
    LabelledPrompt,
    asked_prompts,
    caption_prompts,
    encode_prompts,
    prompt_batches,
)
from flowact.train.objectives.text import PromptObjective, PromptReader, measure_prompts
from flowact.train.optim import OptimSettings, warmup_cosine
from flowact.train.stage import RunContext, Stage, Update

FREE_PROMPTS = """
talk none: a man speaking to the audience | talk none: she answers the question at length
listen none: listening closely to his friend | listen none: the woman quietly hears what you tell her
think none: pondering the question for a while | think none: he is lost in thought
surprise none: her eyes widen, totally surprised | surprise none: shocked by the news
smile none: smiling happily at the viewer | smile none: a big friendly grin
laugh none: laughing at a joke | laugh none: he giggles and chuckles
idle none: waiting silently for the call to begin | idle none: the man rests and keeps still
any wave: the woman waves her hand at us | any wave: waving goodbye to everyone
any nod: he is nodding his head slowly | any nod: a clear nod of approval
any shake: shaking her head to say no | any shake: he shakes his head twice
any point: pointing at something with his finger | any point: she points to the left
any shrug: shrugging, no idea | any shrug: a quick shrug of both shoulders
any hand_to_chin: one hand rests under the chin | any hand_to_chin: stroking his chin
any open_palms: palms open toward the viewer | any open_palms: hands spread wide, palms up
any clap: applauding loudly | any clap: he is clapping for the winner
any thumbs_up: a thumbs up for the camera | any thumbs_up: she holds her thumb up
talk beat: speaking with lively hand gestures | talk beat: he gestures while explaining
think hand_to_chin: thinking hard, hand on the chin | talk wave: she talks and waves at the camera
listen nod: listening and nodding along | laugh clap: laughing and clapping
"""
"""Hand-written prompts that no training sees: "doing gesture: text"; a gesture alone leaves the doing open."""


def _free_prompts() -> list[LabelledPrompt]:
    """The hand-written test prompts with their labels; they name no mood."""
    found = []
    for line in FREE_PROMPTS.strip().replace("\n", " | ").split(" | "):
        label, _, text = line.partition(": ")
        doing, gesture = label.split()
        said = UNSAID if doing == "any" else DOINGS.index(doing)
        found.append(LabelledPrompt(text, said, GESTURES.index(gesture), UNSAID))
    return found


def reading(context: RunContext) -> Stage:
    """Train the default text encoder on captions and typed wishes; phrases held out and free prompts are measured."""
    torch.manual_seed(context.seed)
    config = TextConfig()
    reader = PromptReader(config).to(context.device)
    captions = caption_prompts(1200, seed=context.seed * 1_000_000)
    asked = asked_prompts(6000, np.random.default_rng(context.seed))
    train = encode_prompts([p for p in captions if not p.heldout] + asked, config)
    tests = {
        "held_phrases": encode_prompts([p for p in captions if p.heldout], config),
        "free": encode_prompts(_free_prompts(), config),
    }

    def evaluate(step: int) -> dict[str, float]:
        return {
            f"{name}/{key}": value for name, t in tests.items() for key, value in measure_prompts(reader, t).items()
        }

    optim = OptimSettings(lr=2e-3, matrix_lr=None, lr_schedule=warmup_cosine(0.05), weight_decay=0.05)
    return Stage(
        name="reading",
        networks={"reader": reader},
        make_batches=prompt_batches(train),
        updates=(Update(("reader",), PromptObjective(reader), optim=optim, ema_decay=None),),
        train_steps=900,
        minutes=context.minutes,
        evaluate=evaluate,
        evaluate_every=400,
        export=lambda folder: save_model(reader.encoder, config, folder, torch.float16),
        precision=torch.float32,
    )

from __future__ import annotations

import numpy as np
import torch

from flowact.models.text.config import TextConfig
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
from flowact.train.stage import Place

SMALL = TextConfig(width=32, buckets=512, max_words=12)


def test_asked_prompts_say_their_labels() -> None:
    prompts = asked_prompts(300, np.random.default_rng(0))
    waving = [p for p in prompts if "goodbye" in p.text]
    assert any("waving" in p.text for p in waving)
    assert all(p.gesture == GESTURES.index("wave") for p in waving)
    assert all(p.doing != UNSAID for p in prompts if p.gesture == GESTURES.index("none"))


def test_captions_carry_the_action_of_their_segment() -> None:
    prompts = caption_prompts(40)
    assert all("nod" in p.text for p in prompts if p.gesture == GESTURES.index("nod") and "small nods" not in p.text)
    assert any(p.heldout for p in prompts)
    laughs = [p for p in prompts if p.text in ("laughing", "a person laughs")]
    assert all(p.doing == DOINGS.index("laugh") for p in laughs)


def test_training_separates_actions() -> None:
    torch.manual_seed(0)
    asked = [LabelledPrompt(text, 7, GESTURES.index(text), UNSAID) for text in ("wave", "nod", "point", "clap")]
    prompts = encode_prompts([*asked] * 4 + [LabelledPrompt("be glad", 4, UNSAID, 1)], SMALL)
    reader = PromptReader(SMALL)
    objective = PromptObjective(reader)
    optimiser = torch.optim.Adam(reader.parameters(), lr=5e-3)
    batches = prompt_batches(prompts, rows=16, word_dropout=0.0)(Place(seed=0))
    for step in range(40):
        loss, values = objective(next(batches), step)
        assert torch.isfinite(loss)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert set(values) == {"doing", "gesture", "mood", "contrast"}
    assert measure_prompts(reader, prompts)["action_accuracy"] == 1.0
    same = reader.encoder.encode(["wave!", "Wave", "nod"]).flatten(1)
    assert torch.allclose(same[0], same[1], atol=1e-5)
    assert torch.cosine_similarity(same[0], same[2], dim=0) < 0.7

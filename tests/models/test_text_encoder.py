from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch

from flowact.core.errors import ConfigError
from flowact.models.text.config import TextConfig
from flowact.models.text.encoder import TextEncoder
from flowact.models.text.tokenizer import split_words, word_grams


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder().eval()


def test_shape_scale_and_size(encoder: TextEncoder) -> None:
    tokens = encoder.encode(["She waves.", "", "a b c"])
    assert tokens.shape == (3, 4, 128)
    torch.testing.assert_close(tokens.square().mean(-1), torch.ones(3, 4), rtol=1e-3, atol=1e-3)
    assert sum(p.numel() for p in encoder.parameters()) <= 1_000_000


def test_empty_prompts_share_learned_tokens(encoder: TextEncoder) -> None:
    tokens = encoder.encode(["", "   ", "?!", "hello"])
    assert torch.equal(tokens[0], tokens[1])
    assert torch.equal(tokens[0], tokens[2])
    assert not torch.allclose(tokens[0], tokens[3])
    encoder(encoder.tokenize(["", "x"]).ids).sum().backward()
    assert encoder.null.grad is not None
    assert torch.isfinite(encoder.position.grad).all()
    encoder.zero_grad()


def test_prompt_does_not_depend_on_its_neighbours(encoder: TextEncoder) -> None:
    together = encoder.encode(["waves", "a much longer prompt about something else", ""])
    torch.testing.assert_close(together[:1], encoder.encode(["waves"]))


def test_word_order_case_and_punctuation(encoder: TextEncoder) -> None:
    first, same, swapped = encoder.encode(["Nods, then waves.", "nods then WAVES", "waves then nods"])
    torch.testing.assert_close(first, same)
    assert not torch.allclose(first, swapped, atol=1e-3)


def test_long_prompt_is_cut_and_counted(encoder: TextEncoder) -> None:
    words = [f"word{i}" for i in range(100)]
    read = encoder.tokenize([" ".join(words), "short"])
    assert read.dropped_words == (60, 0)
    torch.testing.assert_close(encoder.encode([" ".join(words)]), encoder.encode([" ".join(words[:40])]))


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("Élève's Straße", ["élèves", "strasse"]),
        ("他挥手", ["他", "挥", "手"]),
        ("ОНА кивает", ["она", "кивает"]),
        ("waves 👋 twice", ["waves", "👋", "twice"]),
        ("x" * 40, ["x" * 16, "x" * 16, "x" * 8]),
    ],
)
def test_any_script_is_read(encoder: TextEncoder, prompt: str, words: list[str]) -> None:
    assert split_words(prompt) == words
    assert (encoder.tokenize([prompt]).ids[0, : len(words), 0] > 0).all()


def test_related_words_share_grams() -> None:
    assert len(set(word_grams("waving")) & set(word_grams("waves"))) >= 3
    assert len(word_grams("x" * 16)) <= TextConfig().max_grams


def test_config_survives_json_and_refuses_nonsense() -> None:
    assert TextConfig(**json.loads(json.dumps(asdict(TextConfig(tokens=8))))) == TextConfig(tokens=8)
    with pytest.raises(ConfigError, match=r"1\.\.8"):
        TextConfig(tokens=9)

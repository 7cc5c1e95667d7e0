from __future__ import annotations

from typing import Any

import pytest
import torch

from flowact.core.errors import ConfigError
from flowact.models.text.t5 import T5Config, T5TextEncoder, load_t5


def spell(prompts: list[str], max_length: int, **_: Any) -> dict[str, torch.Tensor]:
    """A tokenizer of letters: enough to drive a real T5 without its vocabulary."""
    ids = torch.zeros(len(prompts), max_length, dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        letters = [*(ord(letter) % 90 + 2 for letter in prompt[: max_length - 1]), 1]
        ids[row, : len(letters)] = torch.tensor(letters)
    return {"input_ids": ids, "attention_mask": (ids > 0).long()}


@pytest.fixture(scope="module")
def reading() -> T5TextEncoder:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    settings = transformers.T5Config(vocab_size=100, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4)
    return T5TextEncoder(T5Config(tokens=8), transformers.T5EncoderModel(settings), spell)


def test_fixed_tokens_with_zeros_after_the_end(reading: T5TextEncoder) -> None:
    tokens = reading.encode(["abc", "a very long prompt", ""])
    assert tokens.shape == (3, reading.tokens, reading.width) == (3, 8, 32)
    assert (tokens[0, 4:] == 0).all()
    assert (tokens[1] != 0).any(-1).all()
    assert not tokens.requires_grad


def test_prompt_does_not_depend_on_its_neighbours(reading: T5TextEncoder) -> None:
    together = reading.encode(["abc", "longer one"])
    torch.testing.assert_close(together[:1], reading.encode(["abc"]))


def test_missing_model_is_explained() -> None:
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="download"):
        load_t5(T5Config(name="/nowhere/t5"))

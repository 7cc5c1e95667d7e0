"""T5, UMT5 and Flan-T5 as text encoders, from the hub or from a folder (extra `hub`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from flowact.core.errors import ConfigError


@dataclass(frozen=True)
class T5Config:
    """Which T5 and how much of a prompt.

    Attributes:
        name: hub name or folder of an encoder of the T5 family.
        tokens: tokens given per prompt; a longer prompt is cut, a shorter one filled with zeros.
        download: ask the hub when the model is not on this machine.
    """

    name: str = "google/umt5-small"
    tokens: int = 64
    download: bool = False


class T5TextEncoder(nn.Module):
    """A frozen T5 encoder behind the `Reading` interface.

    Args:
        config: how many tokens to give.
        encoder: called as `encoder(input_ids=, attention_mask=)`, answers with `last_hidden_state`.
        tokenizer: of the same model.
    """

    def __init__(self, config: T5Config, encoder: nn.Module, tokenizer: Callable[..., Any]) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder.requires_grad_(False).eval()
        self.tokenizer = tokenizer

    @property
    def width(self) -> int:
        """Width of each token."""
        return int(self.encoder.config.d_model)  # type: ignore[union-attr, arg-type]

    @property
    def tokens(self) -> int:
        """Tokens per prompt."""
        return self.config.tokens

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Tensor:
        """B prompts -> tokens [B, L, D]; zeros after the end of a prompt."""
        read = self.tokenizer(
            list(prompts), max_length=self.tokens, padding="max_length", truncation=True, return_tensors="pt"
        )
        device = next(self.encoder.parameters()).device
        ids, mask = read["input_ids"].to(device), read["attention_mask"].to(device)
        hidden: Tensor = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden * mask[..., None]


def load_t5(config: T5Config) -> T5TextEncoder:
    """Open a T5 encoder and its tokenizer.

    Raises:
        ConfigError: `transformers` is not installed, or the model is neither on this machine nor could be fetched.
    """
    try:
        from transformers import AutoConfig, AutoTokenizer, T5EncoderModel, UMT5EncoderModel
    except ImportError as error:
        raise ConfigError("T5 needs the package 'transformers'; install it with: pip install 'flowact[hub]'") from error
    offline = not config.download
    try:
        kind = AutoConfig.from_pretrained(config.name, local_files_only=offline).model_type
        loader = UMT5EncoderModel if kind == "umt5" else T5EncoderModel
        encoder = loader.from_pretrained(config.name, local_files_only=offline)
        tokenizer = AutoTokenizer.from_pretrained(config.name, local_files_only=offline)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"T5 model {config.name!r} could not be opened (download={config.download}): {error}; give a folder that "
            "holds it, or set download=True on a machine with network"
        ) from error
    return T5TextEncoder(config, encoder, tokenizer)

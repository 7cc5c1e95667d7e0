"""The default text encoder: hashed words, one block of self-attention, a few learned queries that read the result."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from flowact.models.text.config import TextConfig
from flowact.models.text.tokenizer import TokenizedPrompts, tokenize


class _Attend(nn.Module):
    """Pre-norm attention of `x` to `words`, then an MLP, each added to `x`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_x, self.norm_words, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, words: Tensor, hidden: Tensor) -> Tensor:
        """[B, Q, D] and [B, W, D] -> [B, Q, D]; words where `hidden` [B, W] is true are seen by nobody."""
        keys = self.norm_words(words)
        read, _ = self.attention(self.norm_x(x), keys, keys, key_padding_mask=hidden, need_weights=False)
        x = x + read
        return x + self.mlp(self.norm_mlp(x))


class TextEncoder(nn.Module):
    """Prompts to tokens [B, L, D]; an empty prompt gives learned tokens of its own."""

    def __init__(self, config: TextConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or TextConfig()
        self.grams = nn.Embedding(config.buckets + 1, config.width, padding_idx=0)
        # Small, so that n-grams never met in training say next to nothing.
        nn.init.normal_(self.grams.weight[1:], std=0.02)
        self.position = nn.Parameter(torch.randn(config.max_words, config.width) * 0.1)
        self.start = nn.Parameter(torch.randn(config.width) * 0.1)
        self.queries = nn.Parameter(torch.randn(config.tokens, config.width))
        self.null = nn.Parameter(torch.randn(config.tokens, config.width))
        self.mix = _Attend(config.width, config.heads)
        self.pool = _Attend(config.width, config.heads)
        self.out = nn.Linear(config.width, config.width)

    @property
    def width(self) -> int:
        """Width of each token."""
        return self.config.width

    @property
    def tokens(self) -> int:
        """Tokens per prompt."""
        return self.config.tokens

    def tokenize(self, prompts: Sequence[str]) -> TokenizedPrompts:
        """Prompts as numbers, with the count of words that did not fit."""
        return tokenize(prompts, self.config)

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Tensor:
        """B prompts -> tokens [B, L, D], without gradients; training calls the module with ids of `tokenize`."""
        return self(self.tokenize(prompts).ids.to(self.queries.device))

    def forward(self, ids: Tensor) -> Tensor:
        """Bucket ids [B, words, grams] of `tokenize` -> tokens [B, L, D], root mean square 1.

        Columns that are 0 in every row may be cut off: it saves time and changes nothing.
        """
        rows = len(ids)
        grams = (ids > 0).sum(dim=2, keepdim=True)
        words = self.grams(ids).sum(dim=2) * grams.clamp(min=1).rsqrt() + self.position[: ids.shape[1]]
        # The start word is always there, so that attention over an empty prompt is defined.
        words = torch.cat([self.start.expand(rows, 1, -1), words], dim=1)
        hidden = functional.pad(grams[..., 0] == 0, (1, 0))
        words = self.mix(words, words, hidden)
        pooled = self.pool(self.queries.expand(rows, -1, -1), words, hidden)
        empty = grams.sum(dim=(1, 2)) == 0
        chosen = torch.where(empty[:, None, None], self.null, self.out(pooled))
        return functional.rms_norm(chosen, chosen.shape[-1:])

"""Words to hash buckets: every script can be read, no word is unknown, and related words share buckets."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flowact.models.text.config import TextConfig

_LONGEST_WORD = 16
# Ideographs and kana stand alone, as their writing has no spaces; then words; then symbols such as emoji.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")


@dataclass(frozen=True)
class TokenizedPrompts:
    """Prompts as numbers.

    Attributes:
        ids: [B, words, grams] int64 bucket ids, 0 where there is nothing.
        dropped_words: words of each prompt that were too many to be read.
    """

    ids: Tensor
    dropped_words: tuple[int, ...]


def split_words(prompt: str) -> list[str]:
    """Lower-case words of a prompt; punctuation is left out, very long words are cut into pieces."""
    text = unicodedata.normalize("NFKC", prompt).casefold().replace("'", "").replace("\u2019", "")
    words = [word for word in _WORD.findall(text) if not unicodedata.category(word[0]).startswith("P")]
    return [word[i : i + _LONGEST_WORD] for word in words for i in range(0, len(word), _LONGEST_WORD)]


def word_grams(word: str) -> list[str]:
    """The word itself and its 3- and 4-grams, with marked ends: what fastText showed to carry most of a meaning."""
    marked = f"<{word}>"
    return [marked] + [marked[i : i + n] for n in (3, 4) for i in range(len(marked) - n + 1) if n < len(marked)]


def tokenize(prompts: Sequence[str], config: TextConfig) -> TokenizedPrompts:
    """B prompts -> ids [B, max_words, max_grams] and the number of words dropped from each."""
    ids = torch.zeros(len(prompts), config.max_words, config.max_grams, dtype=torch.int64)
    dropped = []
    for row, prompt in enumerate(prompts):
        words = split_words(prompt)
        dropped.append(max(0, len(words) - config.max_words))
        for column, word in enumerate(words[: config.max_words]):
            grams = word_grams(word)[: config.max_grams]
            buckets = [zlib.crc32(gram.encode()) % config.buckets + 1 for gram in grams]
            ids[row, column, : len(buckets)] = torch.tensor(buckets)
    return TokenizedPrompts(ids, tuple(dropped))

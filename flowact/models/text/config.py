"""Settings of the default text encoder."""

from __future__ import annotations

from dataclasses import dataclass

from flowact.core.errors import ConfigError


@dataclass(frozen=True)
class TextConfig:
    """The default text encoder: hashed character n-grams, one transformer block, learned queries.

    Attributes:
        tokens: tokens given per prompt.
        width: width of each token.
        buckets: hash buckets for words and their n-grams; id 0 is padding and none of them.
        max_words: words read; the rest is dropped and counted.
        max_grams: n-grams read per word.
        heads: attention heads.
    """

    tokens: int = 4
    width: int = 128
    buckets: int = 4096
    max_words: int = 40
    max_grams: int = 32
    heads: int = 4

    def __post_init__(self) -> None:
        smallest = min(self.max_words, self.max_grams, self.buckets)
        if not 1 <= self.tokens <= 8 or self.width % self.heads or smallest < 1:
            raise ConfigError(
                f"text encoder settings do not fit: tokens {self.tokens} must be 1..8, width {self.width} a multiple "
                f"of heads {self.heads}, and max_words, max_grams and buckets at least 1; use the defaults"
            )

"""Joint attention over several token streams, with keys kept before RoPE so that memory can be moved in time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowact.nn.rope import rotate


@dataclass(frozen=True)
class KV:
    """Keys (not rotated) and values of remembered tokens, one block: both [B, A, N, head_dim]."""

    k: Tensor
    v: Tensor


class QKV(nn.Module):
    """Queries, keys and values of one token stream, queries and keys RMS-normalised per head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.proj = nn.Linear(width, 3 * width)
        self.scale_q = nn.Parameter(torch.ones(width // heads))
        self.scale_k = nn.Parameter(torch.ones(width // heads))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, T, N, D] -> three of [B, A, T, N, head_dim]."""
        q, k, v = self.proj(x).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 4, 1, 2, 5)
        return rms(q) * self.scale_q.to(v.dtype), rms(k) * self.scale_k.to(v.dtype), v


def rms(x: Tensor) -> Tensor:
    """Scale the last axis to unit root mean square."""
    return F.rms_norm(x, x.shape[-1:], eps=1e-6)


def attend(q: Tensor, k: Tensor, v: Tensor, angles_q: Tensor, angles_k: Tensor, mask: Tensor) -> Tensor:
    """Rotate, attend, and merge heads: [B, A, N, head_dim] -> [B, N, D]. `mask` [B, M] is True where a key is seen."""
    bias = mask[:, None, None, :]
    out = F.scaled_dot_product_attention(rotate(q, angles_q), rotate(k, angles_k), v, attn_mask=bias)
    return out.transpose(1, 2).flatten(2)


def join(memory: KV | None, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Put remembered keys and values before the fresh ones."""
    if memory is None:
        return k, v
    return torch.cat((memory.k, k), 2), torch.cat((memory.v, v), 2)

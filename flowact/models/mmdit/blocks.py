"""Blocks of the MMDiT: two streams of weights, one attention."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flowact.nn.attention import KV, QKV, attend, join
from flowact.nn.mlp import MLP
from flowact.nn.modulation import modulate


@dataclass(frozen=True)
class Scene:
    """What a block needs to know about its tokens, equal for all blocks.

    Attributes:
        conditions: number of condition tokens in each latent frame; they come first.
        modulation: [B, T, 6, D] shared part of adaLN, per latent frame.
        angles: [T * N, head_dim / 2] RoPE angles of the tokens.
        memory_angles: [M, head_dim / 2] of the remembered tokens.
        mask: [B, M + T * N] True where a key may be seen.
    """

    conditions: int
    modulation: Tensor
    angles: Tensor
    memory_angles: Tensor | None
    mask: Tensor


class Stream(nn.Module):
    """Weights of one token stream in one block (adaLN-single: a shared modulation plus a table of the block)."""

    def __init__(self, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(6, width))
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.qkv = QKV(width, heads)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.mlp = MLP(width, mlp_ratio * width)

    def shifts(self, modulation: Tensor) -> tuple[Tensor, ...]:
        """The six adaLN vectors of each latent frame: each [B, T, 1, D]."""
        return tuple((modulation + self.table)[:, :, :, None].unbind(2))


class Block(nn.Module):
    """One MM-attention block. With `dual`, condition and video tokens have their own weights; else they share."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, dual: bool) -> None:
        super().__init__()
        self.streams = nn.ModuleList(Stream(width, heads, mlp_ratio) for _ in range(2 if dual else 1))

    def forward(self, x: Tensor, scene: Scene, memory: KV | None) -> tuple[Tensor, KV]:
        """Tokens [B, T, N, D], conditions first in each frame -> the same, and their fresh keys and values."""
        streams: list[Stream] = list(self.streams)  # type: ignore[arg-type]
        sizes = [x.shape[2]] if len(streams) == 1 else [scene.conditions, x.shape[2] - scene.conditions]
        parts = x.split(sizes, 2)
        mods = [s.shifts(scene.modulation) for s in streams]
        qkv = [s.qkv(modulate(s.norm1(p), m[0], m[1])) for s, p, m in zip(streams, parts, mods)]
        q, k, v = (torch.cat([t[i] for t in qkv], 3).flatten(2, 3) for i in range(3))
        keys, values = join(memory, k, v)
        angles_k = scene.angles if scene.memory_angles is None else torch.cat((scene.memory_angles, scene.angles))
        mixed = attend(q, keys, values, scene.angles, angles_k, scene.mask).unflatten(1, x.shape[1:3]).split(sizes, 2)
        done = []
        for s, p, m, a in zip(streams, parts, mods, mixed):
            y = p + m[2] * s.out(a)
            done.append(y + m[5] * s.mlp(modulate(s.norm2(y), m[3], m[4])))
        return torch.cat(done, 2), KV(k, v)

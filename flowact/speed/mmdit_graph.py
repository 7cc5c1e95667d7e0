"""The backbone written for a graph compiler: same weights, same numbers, fewer and larger operations.

What differs from `MMDiT.forward`, all of it exact:
- What only levels, roles and positions decide comes in as an argument: it is the same for every shift of a plan.
- RoPE turns pairs with one small matrix product; strided slices and interleaving are slow on CPUs.
- Keys of the memory are rotated once, where they are made, not in every evaluation.
- The last block of `RememberGraph` ends after its keys and values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowact.core.types import Conditions
from flowact.nn.attention import rms
from flowact.nn.modulation import modulate

if TYPE_CHECKING:
    from flowact.models.mmdit.blocks import Block, Stream
    from flowact.models.mmdit.model import MMDiT

HIDDEN = -1e4
"""Added to the score of a key that nobody may see: its share of the softmax is zero in every number format."""


class _Trunk(nn.Module):
    """What both graphs share: tokens of the frames, and the blocks."""

    turn: Tensor

    def __init__(self, model: MMDiT) -> None:
        super().__init__()
        self.model, self.config = model, model.config
        head_dim = self.config.width // self.config.heads
        # (x @ turn) is x turned by a quarter in each pair: (even, odd) -> (-odd, even).
        turn = torch.zeros(head_dim, head_dim)
        even = torch.arange(0, head_dim, 2)
        turn[even + 1, even], turn[even, even + 1] = -1.0, 1.0
        self.register_buffer("turn", turn)

    def rotate(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Turn x [B, A, N, head_dim] by angles whose cosines and sines are [N, head_dim], pair by pair."""
        return x * cos + (x @ self.turn) * sin

    @property
    def frame_inputs(self) -> int:
        """How many of the first arguments tell of the frames: latents [B, T, C, H, W] at unit variance, sound, words,
        whether these are given [B, T], and, if the model is told of it, motion and whether it is given.
        """
        return 7 if self.config.motion_dim else 5

    def tokens(self, frames: tuple[Tensor, ...], backdrop: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, T, N, D] of the frames, conditions first, and what conditions add to the steering [B, T, D]."""
        m, (latents, audio, text, heard, told, *moves) = self.model, frames
        motion, moved = moves or (audio[..., :0], heard)
        given = Conditions(audio, text, motion, heard, told, moved)
        voice, prompt = m._condition_tokens(given)
        mean_voice, mean_prompt = voice.mean(2, keepdim=True), prompt.mean(2, keepdim=True)
        video = m.video_in(m._patch(latents)) + m.place + backdrop
        video = video + mean_voice * m.where_heard + mean_prompt * m.where_told
        if m.motion_in is not None:
            video = video + m.motion_in(given, backdrop)
        steer = m.steer(torch.cat((mean_voice, mean_prompt), -1)).flatten(2)
        return torch.cat((voice, prompt, video), 2), steer

    def queries_keys_values(
        self, block: Block, x: Tensor, mods: list[tuple[Tensor, ...]], cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys, and values, of all tokens: three of [B, A, T * N, head_dim]."""
        c, parts = self.config, self.parts(block, x)
        projected = [s.qkv.proj(modulate(s.norm1(p), m[0], m[1])) for s, p, m in parts_with(block, parts, mods)]
        qkv = torch.cat(projected, 2) if len(projected) > 1 else projected[0]
        heads = qkv.flatten(1, 2).unflatten(-1, (3, c.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = rms(heads[0]), rms(heads[1])
        if len(parts) == 1:
            only = streams_of(block)[0].qkv
            q, k = q * only.scale_q, k * only.scale_k
        else:  # the two streams' scales, laid out token by token
            q, k = (
                (y.unflatten(2, (-1, c.condition_tokens + c.video_tokens)) * scale).flatten(2, 3)
                for y, scale in ((q, self.token_scales(block, "scale_q")), (k, self.token_scales(block, "scale_k")))
            )
        return self.rotate(q, cos, sin), self.rotate(k, cos, sin), heads[2]

    def token_scales(self, block: Block, name: str) -> Tensor:
        """The scale of queries or keys of each token of a frame in a block of two streams: [N, head_dim]."""
        first, second = (getattr(s.qkv, name) for s in streams_of(block))
        return torch.cat(
            (first.expand(self.config.condition_tokens, -1), second.expand(self.config.video_tokens, -1))
        ).detach()

    def parts(self, block: Block, x: Tensor) -> list[Tensor]:
        """Tokens of each weight stream of a block."""
        n = self.config.condition_tokens
        return [x] if len(block.streams) == 1 else [x[:, :, :n], x[:, :, n:]]

    def finish(self, block: Block, x: Tensor, mods: list[tuple[Tensor, ...]], mixed: Tensor) -> Tensor:
        """The rest of a block after attention: [B, T, N, D] and attended [B, A, T * N, head_dim] -> [B, T, N, D]."""
        tokens = self.config.condition_tokens + self.config.video_tokens
        attended = self.parts(block, mixed.transpose(1, 2).flatten(2).unflatten(1, (-1, tokens)))
        done = []
        for (stream, part, mod), seen in zip(parts_with(block, self.parts(block, x), mods), attended):
            y = part + mod[2] * stream.out(seen)
            done.append(y + mod[5] * stream.mlp(modulate(stream.norm2(y), mod[3], mod[4])))
        return torch.cat(done, 2) if len(done) > 1 else done[0]

    def modulation(self, block: Block, shared: Tensor) -> list[tuple[Tensor, ...]]:
        """The six adaLN vectors of each stream of a block."""
        return [s.shifts(shared) for s in streams_of(block)]

    def blocks(self) -> list[Block]:
        """The blocks, typed."""
        return cast("list[Block]", list(self.model.blocks))


class RememberGraph(_Trunk):
    """Memory frames to keys and values of every block."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Args: frames (`frame_inputs`); steering [B, T, D]; cosines and sines [M, head_dim]; bias [B, 1, 1, M]; what
        the portrait's colours add to the backdrop [B, 1, Nv, D].

        Returns:
            Rotated keys and values [blocks, B, A, M, head_dim], and the backdrop [B, 1, Nv, D].
        """
        m, latents = self.model, inputs[0]
        base, cos, sin, bias, colours = inputs[self.frame_inputs :]
        backdrop = m.backdrop_in(m._patch(torch.cat((latents[:, :1], latents[:, -1:]), 2))) + colours
        x, steer = self.tokens(inputs[: self.frame_inputs], backdrop)
        shared = self.model.modulation(base + steer).unflatten(-1, (6, -1))
        keys, values, blocks = [], [], self.blocks()
        for i, block in enumerate(blocks):
            mods = self.modulation(block, shared)
            q, k, v = self.queries_keys_values(block, x, mods, cos, sin)
            keys.append(k)
            values.append(v)
            if i + 1 < len(blocks):
                x = self.finish(block, x, mods, F.scaled_dot_product_attention(q, k, v, attn_mask=bias))
        return torch.stack(keys), torch.stack(values), backdrop


class StreamGraph(_Trunk):
    """Frames of the stream, and what is remembered, to what the network adds to the best linear guess."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Args: frames (`frame_inputs`); steering [B, T, D] and the last adaLN pair [B, T, 1, D]; cosines and sines of
        the stream [T * N, head_dim]; bias [B, 1, 1, M + T * N]; what `RememberGraph` returned, for these B rows.

        Returns:
            [B, T, Nv, C * p * p], still in patches.
        """
        m = self.model
        base, out_shift, out_scale, cos, sin, bias, keys, values, backdrop = inputs[self.frame_inputs :]
        x, steer = self.tokens(inputs[: self.frame_inputs], backdrop)
        shared = m.modulation(base + steer).unflatten(-1, (6, -1))
        for i, block in enumerate(self.blocks()):
            mods = self.modulation(block, shared)
            q, k, v = self.queries_keys_values(block, x, mods, cos, sin)
            k, v = torch.cat((keys[i], k), 2), torch.cat((values[i], v), 2)
            x = self.finish(block, x, mods, F.scaled_dot_product_attention(q, k, v, attn_mask=bias))
        video = x[:, :, self.config.condition_tokens :]
        return cast(Tensor, m.video_out(modulate(m.norm_out(video), out_shift, out_scale)))


def streams_of(block: Block) -> list[Stream]:
    """The weight streams of a block, typed."""
    return cast("list[Stream]", list(block.streams))


def parts_with(
    block: Block, parts: list[Tensor], mods: list[tuple[Tensor, ...]]
) -> list[tuple[Stream, Tensor, tuple[Tensor, ...]]]:
    """Weights, tokens and modulation of each stream, side by side."""
    return list(zip(streams_of(block), parts, mods))

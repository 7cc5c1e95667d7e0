"""The backbone: a multimodal diffusion transformer over latent frames, read top-down like FlowAct-R1's figure 2.

    text + audio tokens ─┐
                         ├─ MM-attention blocks ── velocity of every latent frame
    video tokens ────────┘        ▲
                       keys and values of the memory bank (reference, long, short)

Memory never sees the stream ("fake-causal"), so `remember` runs it once and `forward` reads its keys and values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flowact.core.types import Frames, Role
from flowact.models.mmdit.blocks import Block, Scene
from flowact.models.mmdit.config import MMDiTConfig
from flowact.nn.attention import KV
from flowact.nn.modulation import ScalarEmbedding, modulate
from flowact.nn.rope import rope_angles


@dataclass(frozen=True)
class Remembered:
    """What the stream sees of the memory: keys and values of every block, their places in time, and which count.

    Attributes:
        kv: one `KV` per block, M tokens each, keys not rotated.
        index: [M, 3] time, row, column of each token.
        valid: [B, M] bool.
    """

    kv: tuple[KV, ...]
    index: Tensor
    valid: Tensor


class MMDiT(nn.Module):
    """Velocity of noisy latent frames, given their conditions and what is remembered."""

    def __init__(self, config: MMDiTConfig) -> None:
        super().__init__()
        self.config = c = config
        cells = c.latent_channels * c.patch**2
        self.video_in = nn.Linear(cells, c.width)
        self.place = nn.Parameter(torch.randn(c.video_tokens, c.width) * 0.02)
        self.audio_in = nn.Linear(4 * c.audio_dim, c.audio_tokens * c.width)
        self.text_in = nn.Linear(c.text_dim, c.width)
        self.text_query = nn.Parameter(torch.randn(c.text_tokens, c.width) * 0.02)
        self.null_audio = nn.Parameter(torch.randn(c.audio_tokens, c.width) * 0.02)
        self.null_text = nn.Parameter(torch.randn(c.text_tokens, c.width) * 0.02)
        self.where_heard = nn.Parameter(torch.randn(c.video_tokens, c.width) * 0.1)
        self.level_in = ScalarEmbedding(c.width)
        self.guidance_in = ScalarEmbedding(c.width)
        self.role_in = nn.Embedding(len(Role), c.width)
        self.steer = nn.Linear(2 * c.width, c.width)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(c.width, 6 * c.width))
        self.blocks = nn.ModuleList(
            Block(c.width, c.heads, c.mlp_ratio, dual=i < c.dual_blocks) for i in range(c.depth)
        )
        self.norm_out = nn.LayerNorm(c.width, elementwise_affine=False, eps=1e-6)
        self.modulation_out = nn.Sequential(nn.SiLU(), nn.Linear(c.width, 2 * c.width))
        self.video_out = nn.Linear(c.width, cells)
        self._start()

    def _start(self) -> None:
        """Begin as the best linear guess: gates and output at zero, so that `forward` returns the skip alone."""
        for layer in (self.modulation[1], self.modulation_out[1], self.video_out, self.guidance_in.net[2]):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def forward(self, frames: Frames, remembered: Remembered | None = None, guidance: Tensor | None = None) -> Tensor:
        """Velocity (noise - clean) of `frames`, [B, T, C, H, W].

        `guidance` [B] is the guidance weight a distilled model was asked to imitate, divided by 10; None means none.
        The network corrects the best linear guess for unit-variance latents, so copying the memory need not be learnt.
        """
        x, _ = self._run(frames, remembered, guidance)
        shift, scale = self.modulation_out(self._steering(frames, guidance)).chunk(2, -1)
        tokens = x[:, -frames.latents.shape[1] * self.config.video_tokens :]
        per_frame = tokens.unflatten(1, (frames.latents.shape[1], -1))
        out = self.video_out(modulate(self.norm_out(per_frame), shift[:, :, None], scale[:, :, None]))
        level = frames.level[:, :, None, None, None].float()
        power = (1 - level) ** 2 + level**2
        return (2 * level - 1) / power * frames.latents + self._unpatch(out).float() / power.sqrt()

    def remember(self, memory: Frames) -> Remembered:
        """Keys and values of memory frames, which see only one another."""
        _, kv = self._run(memory, None, None)
        frame = self._frame_of_token(memory)
        return Remembered(kv, self._index(memory), memory.valid[:, frame])

    def _run(
        self, frames: Frames, remembered: Remembered | None, guidance: Tensor | None
    ) -> tuple[Tensor, tuple[KV, ...]]:
        heard, said = self._condition_tokens(frames)
        video = self._patch(frames) + self.place
        video = video + heard.mean(2, keepdim=True) * self.where_heard
        conditions = torch.cat((heard, said), 2).flatten(1, 2)
        x = torch.cat((conditions, video.flatten(1, 2)), 1)
        steering = self._steering(frames, guidance) + self.steer(torch.cat((heard.mean(2), said.mean(2)), -1))
        scene = self._scene(frames, remembered, conditions.shape[1], steering)
        kv = []
        for i, block in enumerate(self.blocks):
            x, fresh = block(x, scene, remembered.kv[i] if remembered else None)
            kv.append(fresh)
        return x, tuple(kv)

    def _condition_tokens(self, frames: Frames) -> tuple[Tensor, Tensor]:
        """Audio and text tokens of each latent frame, [B, T, La, D] and [B, T, Lt, D]; queries pool the text."""
        c, given = self.config, frames.conditions
        audio = self.audio_in(given.audio.flatten(2)).unflatten(-1, (c.audio_tokens, c.width))
        words = self.text_in(given.text)
        weight = (self.text_query @ words.transpose(-1, -2) * c.width**-0.5).softmax(-1)
        text = weight @ words + self.text_query
        audio = torch.where(given.audio_present[:, :, None, None] > 0, audio, self.null_audio)
        text = torch.where(given.text_present[:, :, None, None] > 0, text, self.null_text)
        return audio, text

    def _steering(self, frames: Frames, guidance: Tensor | None) -> Tensor:
        """What adaLN says of each latent frame: its noise level, its role, and the guidance asked for. [B, T, D]."""
        base = self.level_in(frames.level) + self.role_in(frames.role)
        return base if guidance is None else base + self.guidance_in(guidance)[:, None]

    def _scene(self, frames: Frames, remembered: Remembered | None, conditions: int, steering: Tensor) -> Scene:
        head_dim = self.config.width // self.config.heads
        frame = self._frame_of_token(frames)
        valid = frames.valid[:, frame]
        angles_memory = None
        if remembered is not None:
            valid = torch.cat((remembered.valid, valid), 1)
            angles_memory = rope_angles(remembered.index, head_dim)
        return Scene(
            conditions=conditions,
            modulation=self.modulation(steering).unflatten(-1, (6, -1)),
            frame=frame,
            angles=rope_angles(self._index(frames), head_dim),
            memory_angles=angles_memory,
            mask=valid,
        )

    def _frame_of_token(self, frames: Frames) -> Tensor:
        t = torch.arange(frames.latents.shape[1], device=frames.latents.device)
        return torch.cat(
            (t.repeat_interleave(self.config.condition_tokens), t.repeat_interleave(self.config.video_tokens))
        )

    def _index(self, frames: Frames) -> Tensor:
        """Time, row and column of every token; condition tokens sit in the middle of their frame. [N, 3]."""
        side = self.config.grid // self.config.patch
        device = frames.latents.device
        row, column = torch.meshgrid(*2 * (torch.arange(side, device=device).float(),), indexing="ij")
        cells = torch.stack((torch.zeros_like(row), row, column), -1).flatten(0, 1)
        middle = torch.tensor([0.0, (side - 1) / 2, (side - 1) / 2], device=device).expand(
            self.config.condition_tokens, 3
        )
        time = torch.stack((frames.position.float(), *2 * (torch.zeros_like(frames.position).float(),)), -1)[:, None]
        return torch.cat(((time + middle).flatten(0, 1), (time + cells).flatten(0, 1)))

    def _patch(self, frames: Frames) -> Tensor:
        """[B, T, C, H, W] -> [B, T, N, D]; noisy latents are brought to unit variance first."""
        level = frames.level[:, :, None, None, None]
        x = frames.latents / ((1 - level) ** 2 + level**2).sqrt()
        p = self.config.patch
        x = x.unflatten(-1, (-1, p)).unflatten(-3, (-1, p))  # B T C h p w p
        out: Tensor = self.video_in(
            x.permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(2, 3).to(self.video_in.weight.dtype)
        )
        return out

    def _unpatch(self, tokens: Tensor) -> Tensor:
        """[B, T, N, C * p * p] -> [B, T, C, H, W]."""
        c = self.config
        side = c.grid // c.patch
        x = tokens.unflatten(2, (side, side)).unflatten(-1, (c.latent_channels, c.patch, c.patch))
        return x.permute(0, 1, 4, 2, 5, 3, 6).flatten(3, 4).flatten(4, 5)

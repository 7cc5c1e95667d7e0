"""The backbone: a multimodal diffusion transformer over latent frames, read top-down like FlowAct-R1's figure 2.

    text + audio tokens ─┐
                         ├─ MM-attention blocks ── velocity of every latent frame
    video tokens ────────┘        ▲
          ▲            keys and values of the memory bank (reference, long, short)
    portrait and newest latent at the same place

Memory never sees the stream ("fake-causal"), so `remember` runs it once and `forward` reads its keys and values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowact.core.errors import ShapeError
from flowact.core.types import Conditions, Frames, Role
from flowact.models.mmdit.blocks import Block, Scene
from flowact.models.mmdit.config import MMDiTConfig
from flowact.models.mmdit.moves import Moves
from flowact.nn.attention import KV
from flowact.nn.modulation import ScalarEmbedding, modulate
from flowact.nn.rope import rope_angles

_PALETTE = 8
"""The whole portrait is told to every token in so many rows and columns: a hand has the colour of the face."""


@dataclass(frozen=True)
class Remembered:
    """What the stream sees of the memory: keys and values of every block, their places in time, and which count.

    Attributes:
        kv: one `KV` per block, M tokens each, keys not rotated.
        index: [M, 3] time, row, column of each token.
        valid: [B, M] bool.
        backdrop: [B, 1, N, D] the portrait, its colours and the newest latent, for the tokens that lie over them.
    """

    kv: tuple[KV, ...]
    index: Tensor
    valid: Tensor
    backdrop: Tensor


class MMDiT(nn.Module):
    """Velocity of noisy latent frames, given their conditions and what is remembered."""

    def __init__(self, config: MMDiTConfig) -> None:
        super().__init__()
        self.config = c = config
        cells = c.latent_channels * c.patch**2
        self.video_in = nn.Linear(cells, c.width)
        self.backdrop_in = nn.Linear(2 * cells, c.width)
        if c.sees_colours:
            self.colours_in = nn.Linear(3 * (2 * c.patch) ** 2, c.width)
            self.palette_in = nn.Linear(3 * _PALETTE**2, c.width)
        self.place = nn.Parameter(torch.randn(c.video_tokens, c.width) * 0.02)
        self.audio_in = nn.Linear(4 * c.audio_dim, c.audio_tokens * c.width)
        self.text_in = nn.Linear(c.text_dim, c.width)
        self.text_query = nn.Parameter(torch.randn(c.text_tokens, c.width) * 0.02)
        self.null_audio = nn.Parameter(torch.randn(c.audio_tokens, c.width) * 0.02)
        self.null_text = nn.Parameter(torch.randn(c.text_tokens, c.width) * 0.02)
        self.where_heard = nn.Parameter(torch.randn(c.video_tokens, c.width) * 0.1)
        self.where_told = nn.Parameter(torch.zeros(c.video_tokens, c.width))
        self.motion_in = Moves(c) if c.motion_dim else None
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
        shift, scale = self.modulation_out(self._steering(frames, guidance))[:, :, None].chunk(2, -1)
        video = x[:, :, self.config.condition_tokens :]
        out = self.video_out(modulate(self.norm_out(video), shift, scale))
        level = frames.level[:, :, None, None, None].float()
        power = (1 - level) ** 2 + level**2
        return (2 * level - 1) / power * frames.latents + self._unpatch(out).float() / power.sqrt()

    def remember(self, memory: Frames) -> Remembered:
        """Keys and values of memory frames, which see only one another; the portrait comes first, the newest last."""
        _, kv = self._run(memory, None, None)
        valid = memory.valid.repeat_interleave(self.config.condition_tokens + self.config.video_tokens, 1)
        return Remembered(kv, self._index(memory), valid, self._backdrop(memory))

    def _run(
        self, frames: Frames, remembered: Remembered | None, guidance: Tensor | None
    ) -> tuple[Tensor, tuple[KV, ...]]:
        heard, said = self._condition_tokens(frames.conditions)
        video = self.video_in(self._patch(self._unit_variance(frames))) + self.place
        video = video + heard.mean(2, keepdim=True) * self.where_heard + said.mean(2, keepdim=True) * self.where_told
        backdrop = self._backdrop(frames) if remembered is None else remembered.backdrop
        video = video + backdrop
        if self.motion_in is not None:
            video = video + self.motion_in(frames.conditions, backdrop)
        x = torch.cat((heard, said, video), 2)
        steering = self._steering(frames, guidance) + self.steer(torch.cat((heard.mean(2), said.mean(2)), -1))
        scene = self._scene(frames, remembered, steering)
        kv = []
        for i, block in enumerate(self.blocks):
            x, fresh = block(x, scene, remembered.kv[i] if remembered else None)
            kv.append(fresh)
        return x, tuple(kv)

    def _backdrop(self, frames: Frames) -> Tensor:
        """Portrait (first) and newest latent of the memory among `frames`, [B, 1, N, D]; zeros if there is none."""
        remembered = (frames.role != Role.STREAM).sum()
        newest = frames.latents.index_select(1, (remembered - 1).clamp(min=0)[None])
        out: Tensor = self.backdrop_in(self._patch(torch.cat((frames.latents[:, :1], newest), 2)))
        return (out + self._colours(frames)) * (remembered > 0)

    def _colours(self, frames: Frames) -> Tensor | float:
        """The portrait's colours, those of each place and the palette of all of it: [B, 1, N, D]."""
        small = frames.colours
        if not self.config.sees_colours:
            return 0.0
        if small is None:
            if bool((frames.role != Role.STREAM).any()):
                raise ShapeError("this backbone sees the portrait's colours; expected them in the memory, got none")
            return 0.0
        here: Tensor = self.colours_in(self._patch(F.pixel_unshuffle(small, 2)[:, None]))
        palette: Tensor = self.palette_in(F.adaptive_avg_pool2d(small, _PALETTE).flatten(1).to(here.dtype))
        return here + palette[:, None, None]

    def _condition_tokens(self, given: Conditions) -> tuple[Tensor, Tensor]:
        """Audio and text tokens of each latent frame, [B, T, La, D] and [B, T, Lt, D]; queries pool the text."""
        c = self.config
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

    def _scene(self, frames: Frames, remembered: Remembered | None, steering: Tensor) -> Scene:
        c = self.config
        head_dim = c.width // c.heads
        mask = frames.valid.repeat_interleave(c.condition_tokens + c.video_tokens, 1)
        angles_memory = None
        if remembered is not None:
            mask = torch.cat((remembered.valid, mask), 1)
            angles_memory = rope_angles(remembered.index, head_dim)
        return Scene(
            conditions=c.condition_tokens,
            modulation=self.modulation(steering).unflatten(-1, (6, -1)),
            angles=rope_angles(self._index(frames), head_dim),
            memory_angles=angles_memory,
            mask=mask,
        )

    def _index(self, frames: Frames) -> Tensor:
        """Time, row and column of every token; condition tokens sit in the middle of their frame. [T * N, 3]."""
        side = self.config.grid // self.config.patch
        cells = torch.arange(side, device=frames.latents.device).float()
        row, column = (x.flatten() for x in torch.meshgrid(cells, cells, indexing="ij"))
        middle = torch.full((self.config.condition_tokens,), (side - 1) / 2, device=row.device)
        row, column = torch.cat((middle, row)), torch.cat((middle, column))
        time = frames.position.float()[:, None].expand(-1, len(row))
        return torch.stack((time, row.expand_as(time), column.expand_as(time)), -1).flatten(0, 1)

    @staticmethod
    def _unit_variance(frames: Frames) -> Tensor:
        level = frames.level[:, :, None, None, None]
        return frames.latents / ((1 - level) ** 2 + level**2).sqrt()

    def _patch(self, latents: Tensor) -> Tensor:
        """[B, T, C, H, W] -> [B, T, N, C * p * p]."""
        p = self.config.patch
        x = latents.unflatten(-1, (-1, p)).unflatten(-3, (-1, p))  # B T C h p w p
        return x.permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(2, 3).to(self.video_in.weight.dtype)

    def _unpatch(self, tokens: Tensor) -> Tensor:
        """[B, T, N, C * p * p] -> [B, T, C, H, W]."""
        c = self.config
        side = c.grid // c.patch
        x = tokens.unflatten(2, (side, side)).unflatten(-1, (c.latent_channels, c.patch, c.patch))
        return x.permute(0, 1, 4, 2, 5, 3, 6).flatten(3, 4).flatten(4, 5)

"""The backbone on compiled graphs: `remember` and evaluations, as `rollout.generate.Backbone` wants them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.core.types import Frames
from flowact.nn.rope import rope_angles
from flowact.speed.graph import Maker, Shape, key_of, trace
from flowact.speed.mmdit_graph import HIDDEN, RememberGraph, StreamGraph

if TYPE_CHECKING:
    import openvino as ov

    from flowact.models.mmdit.config import MMDiTConfig
    from flowact.models.mmdit.model import MMDiT

_MOST_PLACES = 64


@dataclass(frozen=True)
class Recalled:
    """What the stream sees of the memory.

    Attributes:
        keys: [blocks, B, A, M, head_dim], rotated.
        values: the same shape.
        backdrop: [B, 1, Nv, D].
        bias: [B, 1, 1, M], `HIDDEN` where a slot is empty.
    """

    keys: Tensor
    values: Tensor
    backdrop: Tensor
    bias: Tensor


@dataclass(frozen=True)
class _Place:
    """All that levels, roles and positions decide: constant from shift to shift, so it is computed once.

    Attributes:
        base: [B, T, D] steering of level, role and guidance.
        out_shift, out_scale: [B, T, 1, D] of the last adaLN.
        cos, sin: [T * N, head_dim] of RoPE, each angle twice.
        unit: [B, T, 1, 1, 1] what latents are multiplied by to have unit variance.
        skip: [B, T, 1, 1, 1] velocity = skip * latents + unit * output of the graph.
    """

    base: Tensor
    out_shift: Tensor
    out_scale: Tensor
    cos: Tensor
    sin: Tensor
    unit: Tensor
    skip: Tensor


class FastBackbone:
    """An MMDiT whose work is done by compiled graphs. Any number of rows and latent frames."""

    def __init__(self, model: MMDiT, maker: Maker) -> None:
        """Take the graphs from the maker's cache, at the same time, or have them made."""
        self.model, self.config, self.precision = model, model.config, maker.precision
        key = key_of(StreamGraph(model))
        with ThreadPoolExecutor(2) as pool:
            remember = pool.submit(maker.graph, "remember", key, lambda: remember_graph(model), True)
            stream = pool.submit(maker.graph, "stream", key, lambda: stream_graph(model), True)
            self._remember, self._stream = remember.result(), stream.result()
        self._places: dict[tuple[str, ...], _Place] = {}

    def remember(self, memory: Frames) -> Recalled:
        """Keys and values of memory frames, which see only one another; the portrait comes first, the newest last."""
        place = self._place(memory, None)
        bias = self._bias(memory.valid)
        inputs = self._inputs(memory, place)
        colours = self._colours(memory)
        keys, values, backdrop = self._remember(*inputs, place.base, place.cos, place.sin, bias, colours)
        return Recalled(keys, values, backdrop, bias)

    def __call__(self, frames: Frames, remembered: Recalled, guidance: Tensor | None = None) -> Tensor:
        """Velocity (noise - clean) of `frames`, [B, T, C, H, W]; `guidance` [B] as for `MMDiT.forward`."""
        place = self._place(frames, guidance)
        bias = torch.cat((remembered.bias, self._bias(frames.valid)), -1)
        (out,) = self._stream(
            *self._inputs(frames, place), place.base, place.out_shift, place.out_scale, place.cos, place.sin,
            bias, remembered.keys, remembered.values, remembered.backdrop,
        )  # fmt: skip
        return place.skip * frames.latents + place.unit * self.model._unpatch(out)

    @torch.no_grad()
    def _colours(self, memory: Frames) -> Tensor:
        """What the model makes of the portrait's colours, [B, 1, Nv, D]."""
        c = self.config
        with torch.autocast("cpu", enabled=False):
            return torch.zeros(len(memory.latents), 1, c.video_tokens, c.width) + self.model._colours(memory)

    def _inputs(self, frames: Frames, place: _Place) -> tuple[Tensor, ...]:
        given = frames.conditions
        told = (given.audio, given.text, given.audio_present, given.text_present)
        moves = (given.motion, given.motion_present) if self.config.motion_dim else ()
        return place.unit * frames.latents, *told, *moves

    def _bias(self, valid: Tensor) -> Tensor:
        """[B, T] -> [B, 1, 1, T * N]."""
        tokens = self.config.condition_tokens + self.config.video_tokens
        return torch.where(valid, 0.0, HIDDEN).repeat_interleave(tokens, 1)[:, None, None]

    def _place(self, frames: Frames, guidance: Tensor | None) -> _Place:
        numbers = [frames.level, frames.role, frames.position, *([] if guidance is None else [guidance])]
        key = tuple(str(x.tolist()) for x in numbers)
        if key not in self._places:
            if len(self._places) >= _MOST_PLACES:
                self._places.clear()
            self._places[key] = self._find_place(frames, guidance)
        return self._places[key]

    @torch.no_grad()
    def _find_place(self, frames: Frames, guidance: Tensor | None) -> _Place:
        model = self.model
        with torch.autocast("cpu", enabled=False):
            base = model._steering(frames, guidance)
            shift, scale = model.modulation_out(base)[:, :, None].chunk(2, -1)
            angles = rope_angles(model._index(frames), self.config.width // self.config.heads)
            level = frames.level[:, :, None, None, None].float()
            power = (1 - level) ** 2 + level**2
        return _Place(
            base=base,
            out_shift=shift.contiguous(),
            out_scale=scale.contiguous(),
            cos=angles.cos().repeat_interleave(2, -1),
            sin=angles.sin().repeat_interleave(2, -1),
            unit=power.rsqrt(),
            skip=(2 * level - 1) / power,
        )


def remember_graph(model: MMDiT) -> ov.Model:
    """Trace `RememberGraph`; rows and slots are free."""
    example, shapes = _frames_inputs(model.config, 1, 5)
    c = model.config
    more, more_shapes = _angles(c, 5)
    further: list[tuple[Tensor, Shape]] = [
        (torch.zeros(1, 1, 1, len(more[0])), (-1, 1, 1, -1)),
        (torch.randn(1, 1, c.video_tokens, c.width), (-1, 1, c.video_tokens, c.width)),
    ]
    inputs, all_shapes = (*example, *more, *(x for x, _ in further)), (*shapes, *more_shapes, *(s for _, s in further))
    return trace(RememberGraph(model), inputs, all_shapes)


def stream_graph(model: MMDiT) -> ov.Model:
    """Trace `StreamGraph`; rows, latent frames and slots of the memory are free."""
    c, rows, time, slots = model.config, 2, 6, 5
    example, shapes = _frames_inputs(c, rows, time)
    angles, angle_shapes = _angles(c, time)
    per_frame, head_dim = c.condition_tokens + c.video_tokens, c.width // c.heads
    remembered = slots * per_frame
    kv_shape = (c.depth, -1, c.heads, -1, head_dim)
    further = [
        (torch.randn(rows, time, 1, c.width), (-1, -1, 1, c.width)),
        (torch.randn(rows, time, 1, c.width), (-1, -1, 1, c.width)),
        *zip(angles, angle_shapes),
        (torch.zeros(rows, 1, 1, remembered + time * per_frame), (-1, 1, 1, -1)),
        (torch.randn(c.depth, rows, c.heads, remembered, head_dim), kv_shape),
        (torch.randn(c.depth, rows, c.heads, remembered, head_dim), kv_shape),
        (torch.randn(rows, 1, c.video_tokens, c.width), (-1, 1, c.video_tokens, c.width)),
    ]
    return trace(StreamGraph(model), (*example, *(x for x, _ in further)), (*shapes, *(s for _, s in further)))


def _frames_inputs(c: MMDiTConfig, rows: int, time: int) -> tuple[list[Tensor], list[Shape]]:
    """Example and shapes of what both graphs take first: the frames, and steering."""
    sizes: list[Shape] = [
        (c.latent_channels, c.grid, c.grid),
        (4, c.audio_dim),
        (-1, c.text_dim),
        (),
        (),
        *([(FRAMES_PER_LATENT, c.motion_dim), ()] if c.motion_dim else []),
        (c.width,),
    ]
    example = [torch.randn(rows, time, *(max(n, 2) if n < 0 else n for n in size)) for size in sizes]
    return example, [(-1, -1, *size) for size in sizes]


def _angles(c: MMDiTConfig, time: int) -> tuple[list[Tensor], list[Shape]]:
    head_dim = c.width // c.heads
    tokens = time * (c.condition_tokens + c.video_tokens)
    return [torch.randn(tokens, head_dim) for _ in range(2)], [(-1, head_dim)] * 2

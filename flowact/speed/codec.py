"""The video codec with its decoder on compiled graphs; encoding, once per session, stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from flowact.core.arms import BONES
from flowact.core.clock import FRAMES_PER_LATENT, LATENTS_PER_CHUNK
from flowact.core.errors import ShapeError
from flowact.speed.decoder_graph import DecoderGraph
from flowact.speed.float32 import addresses_in_float32
from flowact.speed.graph import Graph, Maker, Shape, key_of, trace

if TYPE_CHECKING:
    import openvino as ov

    from flowact.models.video_vae.closeup import Closeup, Draw, Part
    from flowact.models.video_vae.model import VideoVAE
    from flowact.models.video_vae.state import DecodeState, EncodeState

SKIPS = (1, 2)
"""Which `every` `FastCodec.decode` knows."""


class FastCodec:
    """A VideoVAE whose `decode` is done by compiled graphs, and returns bytes."""

    def __init__(self, model: VideoVAE, size: int, maker: Maker) -> None:
        """Pictures of `size` x `size` pixels. What films and live sessions need is made, and what they need at once
        is loaded.
        """
        self.model, self.config = model, model.config
        self._size, self._maker = size, maker
        self._key = key_of(_decoder(model, size, 1), size)
        self._graphs: dict[tuple[int, int], Graph] = {}
        self._draw = {part: _drawing(part, closeup, maker) for part, closeup in model.closeups.items()}
        for time, every in ((LATENTS_PER_CHUNK, 1), (1, 1)):
            self._graph(time, every)
        if not maker.holds(_role(1, 2), self._key):
            self._graph(1, 2)

    def encode(self, clip: Tensor, state: EncodeState) -> tuple[Tensor, EncodeState]:
        """As `VideoVAE.encode`."""
        return self.model.encode(clip, state)

    def look(self, reference_pixels: Tensor) -> Tensor:
        """As `VideoVAE.look`."""
        return self.model.look(reference_pixels)

    def rest(self, reference_pixels: Tensor) -> Tensor:
        """As `VideoVAE.rest`."""
        return self.model.rest(reference_pixels)

    def initial_encode_state(self, reference_pixels: Tensor) -> EncodeState:
        """As `VideoVAE.initial_encode_state`."""
        return self.model.initial_encode_state(reference_pixels)

    def initial_decode_state(self, reference_pixels: Tensor) -> DecodeState:
        """As `VideoVAE.initial_decode_state`, in the number format and layout that graphs take."""
        state = self.model.initial_decode_state(reference_pixels)
        memory = tuple(x.float().contiguous() for x in state.memory)
        plain = {name: x.float().contiguous() for name, x in state._asdict().items() if name != "memory"}
        return state._replace(memory=memory, **plain)

    def decode(
        self, latents: Tensor, state: DecodeState, motion: Tensor | None = None, every: int = 1
    ) -> tuple[Tensor, DecodeState]:
        """As `VideoVAE.decode`, but the clip [B, 4T / every, 3, H, W] is uint8: 0..255 stands for -1..1, and a decoder
        that can be told of motion must be.

        Raises:
            ShapeError: the latents do not fit the portrait in `state` or the codec, or motion is missing.
        """
        told = self._told(latents, state, motion)
        expected = (self.config.latent_channels, *state.features_16.shape[-2:])
        fits = latents.ndim == 5 and latents.shape[2:] == expected and len(latents) == len(state.pixels)
        if not fits or state.pixels.shape[-2:] != (self._size, self._size) or every not in SKIPS:
            raise ShapeError(
                f"FastCodec.decode: got latents {tuple(latents.shape)} for a portrait {tuple(state.pixels.shape)} with "
                f"every={every}, expected {(len(state.pixels), 'T', *expected)}, a side of {self._size} pixels and "
                f"every in {SKIPS}; make the state from a portrait of this model's size."
            )
        graph = self._graph(latents.shape[1], every)
        given = (latents, state.pixels, state.features_8, state.features_16, state.sheet, *state.memory, *told)
        rows = [graph(*(x[i : i + 1] for x in given)) for i in range(len(latents))]
        frames, sheet, *memory = (torch.cat(parts) if len(parts) > 1 else parts[0] for parts in zip(*rows))
        clip = frames.unflatten(0, (len(latents), -1)).permute(0, 1, 4, 2, 3)
        state = state._replace(sheet=sheet, memory=tuple(memory))
        return self.model.draw_closer(clip, state, motion, every, self._draw), state

    def _told(self, latents: Tensor, state: DecodeState, motion: Tensor | None) -> tuple[Tensor, ...]:
        """What a graph takes last: palette and what moved, if this decoder can be told."""
        if not self.config.motion_dim:
            return ()
        expected = (*latents.shape[:2], FRAMES_PER_LATENT, self.config.motion_dim)
        if motion is None or motion.shape != expected:
            got = None if motion is None else tuple(motion.shape)
            raise ShapeError(f"FastCodec.decode: got motion {got}, expected {expected}; give that of the chunk.")
        return state.palette, state.moved(motion.float())

    def _graph(self, time: int, every: int) -> Graph:
        """The graph for `time` latent frames, loaded at the first use."""
        if (time, every) not in self._graphs:
            model, size = self.model, self._size
            self._graphs[time, every] = self._maker.graph(
                _role(time, every), self._key, lambda: decoder_graph(model, size, time, every)
            )
        return self._graphs[time, every]


def decoder_graph(codec: VideoVAE, size: int, time: int, every: int) -> ov.Model:
    """Trace `DecoderGraph` for one row of `time` latent frames."""
    c, coarse = codec.config, size // 16
    sizes: list[Shape] = [
        (1, time, c.latent_channels, coarse, coarse),
        (1, 3, size, size),
        (1, c.reference_width_8, size // 8, size // 8),
        (1, c.reference_width_16, coarse, coarse),
        (1, codec.sheet_channels, size // 4, size // 4),
        *[(1, c.trunk_width, coarse, coarse)] * c.trunk_blocks,
        *([(1, codec.palette.width(c.reference_width_16))] if codec.palette else []),
        *([(1, time, FRAMES_PER_LATENT, c.motion_dim)] if c.motion_dim else []),
    ]
    example = [torch.rand(*s) for s in sizes]
    return addresses_in_float32(trace(_decoder(codec, size, every), example, sizes))


def _drawing(part: Part, closeup: Closeup, maker: Maker) -> Draw:
    """A close-up on a graph."""
    graph = maker.graph(f"closeup-{part}", key_of(closeup), lambda: closeup_graph(closeup))

    def draw(cuts: Tensor, stills: Tensor, numbers: Tensor, bones: Tensor) -> Tensor:
        # A graph knows no inputs that are empty.
        return graph(cuts, stills, numbers, *((bones,) if closeup.of_bones else ()))[0]

    return draw


class _Squares(nn.Module):
    """A close-up without bones, for `trace`."""

    def __init__(self, closeup: Closeup) -> None:
        super().__init__()
        self.closeup = closeup

    def forward(self, cuts: Tensor, stills: Tensor, numbers: Tensor) -> Tensor:
        drawn: Tensor = self.closeup(cuts, stills, numbers, cuts.new_zeros(1, 0, 2, 3))
        return drawn


def closeup_graph(closeup: Closeup) -> ov.Model:
    """Trace a close-up of any number of squares."""
    sizes: list[Shape] = [
        (3, closeup.side_px, closeup.side_px),
        (closeup.still_channels, closeup.side_px, closeup.side_px),
        (closeup.told,),
        *([(BONES, 2, 3)] if closeup.of_bones else []),
    ]
    example = [torch.rand(4, *s) for s in sizes]
    return trace(closeup if closeup.of_bones else _Squares(closeup), example, [(-1, *s) for s in sizes])


def _role(time: int, every: int) -> str:
    return f"decoder-{time}-{every}"


def _decoder(codec: VideoVAE, size: int, every: int) -> DecoderGraph:
    return DecoderGraph(codec, size, size, every).eval()

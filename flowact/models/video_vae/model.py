"""The video codec: 4 frames <-> 1 latent frame, 16x smaller, causal in time, both halves aided by the portrait.

    clip -> ENCODER -> latents [B, T, 8, H/16, W/16]: what the portrait does not show
               ^                      |
               |                      v
    portrait -> REFERENCE ENCODER -> TRUNK  (1/16, latent rate, looks one latent frame back) <- motion, if told
                   |                  | 2 pictures each, the second and the fourth
                   |                  v
                   +-- features -> warp by the coarse flow -> PAINTER at 1/8
                   |                                            v
                   +-- pixels ---> warp by the fine flow ---> PAINTER at 1/4 -> sheets: flow, paint, mask
                   |                                            v            +-> and half way between every two
                   +-- pixels ---> warp by the sheets' flow -> mask * warped + (1 - mask) * paint
                   |                                            v
                   +-- pixels ---------------------------> CLOSE-UPS at 1/2 of eyes, mouth and hands, if told

An encoder that sees the portrait need not code looks, and noise on the latents makes that the cheaper way: see
docs/decisions/0010. What the backbone is told of the portrait itself is its `look`, shaped as one latent frame. A
decoder may be told what the body does as well (0014): eyes, mouths and hands are then drawn from numbers.

Pixels are [B, F, 3, H, W] in -1..1 with F = 4T and sides that are multiples of 16. State is an argument and a result.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowact.core.clock import FRAMES_PER_LATENT
from flowact.core.errors import ShapeError
from flowact.models.video_vae.blocks import CausalBlock, blocks, conv
from flowact.models.video_vae.closeup import Closeup, Draw, Finder, Part, Shots, face_shots, follow_irises, hand_shots
from flowact.models.video_vae.config import SPATIAL_FACTOR, VideoVAEConfig
from flowact.models.video_vae.sheets import PAINTED, SHEET, SHEET_MASK, STEP, Layers, alternate, halfway, move
from flowact.models.video_vae.state import DecodeState, EncodeState, Memory
from flowact.models.video_vae.told import ARM_MAPS, SKIN_MAPS, Palette, Teller, Telling, Told
from flowact.models.video_vae.warp import enlarge, warp

_AT_REST = 4.0
"""A mask that shows the portrait: before the first picture nobody has moved."""


class Encoder(nn.Module):
    """Four frames at once, beside the portrait's features, to the latent mean."""

    def __init__(self, config: VideoVAEConfig) -> None:
        super().__init__()
        c = config
        self.stem = conv(FRAMES_PER_LATENT * 3 * 64, c.encoder_width_8, 1)
        self.portrait_8 = conv(c.reference_width_8, c.encoder_width_8, 1)
        self.fine = blocks(c.encoder_blocks_8, c.encoder_width_8)
        self.down = conv(c.encoder_width_8 * 4, c.encoder_width_16, 1)
        self.portrait_16 = conv(c.reference_width_16, c.encoder_width_16, 1)
        self.coarse = nn.ModuleList(CausalBlock(c.encoder_width_16) for _ in range(c.encoder_blocks_16))
        self.mean = conv(c.encoder_width_16, c.latent_channels, 1)

    def forward(self, clip: Tensor, state: EncodeState) -> tuple[Tensor, EncodeState]:
        """Clip [B, 4T, 3, H, W] to means [B*T, C, H/16, W/16]."""
        times = clip.shape[1] // FRAMES_PER_LATENT
        quads = clip.unflatten(1, (-1, FRAMES_PER_LATENT)).flatten(2, 3).flatten(0, 1)
        x = F.pixel_unshuffle(quads, 8).contiguous(memory_format=torch.channels_last)
        x = self.fine(self.stem(x) + self.portrait_8(state.features_8).repeat_interleave(times, 0))
        x = self.down(F.pixel_unshuffle(x, 2)) + self.portrait_16(state.features_16).repeat_interleave(times, 0)
        x, memory = _look_back(self.coarse, x, state.memory)
        return self.mean(x), state._replace(memory=memory)


class ReferenceEncoder(nn.Module):
    """The portrait to features at 1/8 (to be warped) and 1/16 (to be compared). Runs once per session."""

    def __init__(self, config: VideoVAEConfig) -> None:
        super().__init__()
        c = config
        self.stem = conv(3 * 64, c.reference_width_8, 1)
        self.fine = blocks(c.reference_blocks, c.reference_width_8)
        self.down = conv(c.reference_width_8 * 4, c.reference_width_16, 1)
        self.coarse = blocks(c.reference_blocks, c.reference_width_16)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Portrait [B, 3, H, W] to features at 1/8 and at 1/16."""
        x = F.pixel_unshuffle(pixels, 8).contiguous(memory_format=torch.channels_last)
        fine = self.fine(self.stem(x))
        return fine, self.coarse(self.down(F.pixel_unshuffle(fine, 2)))


class Trunk(nn.Module):
    """Latents beside the portrait's features, at latent rate, to features of each frame at 1/8."""

    def __init__(self, config: VideoVAEConfig) -> None:
        super().__init__()
        c = config
        self.enter = conv(c.latent_channels + c.reference_width_16, c.trunk_width, 3)
        palette = Palette.width(c.reference_width_16)
        self.told_16 = Told(c.trunk_width, FRAMES_PER_LATENT, c.told_width_16, palette) if c.motion_dim else None
        self.coarse = nn.ModuleList(CausalBlock(c.trunk_width) for _ in range(c.trunk_blocks))
        self.unfold = conv(c.trunk_width, PAINTED * 4 * c.frame_width_8, 1)
        self.told_8 = Told(c.frame_width_8, 1, c.told_width_8, palette) if c.motion_dim else None

    def forward(
        self, latents: Tensor, features_16: Tensor, memory: Memory, told: Telling | None
    ) -> tuple[Tensor, Memory]:
        """Latents [B, T, C, h, w], and the portrait, to features of the pictures that are painted [B*2T, D, 2h, 2w]."""
        beside = features_16[:, None].expand(-1, latents.shape[1], -1, -1, -1).to(latents.dtype)
        x = torch.cat([latents, beside], 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        x = self.enter(x)
        if self.told_16 is not None and told is not None:
            arms = F.avg_pool2d(told.arms_4, 4).unflatten(0, (-1, FRAMES_PER_LATENT)).flatten(1, 2)
            x = self.told_16(x, told.motion.flatten(0, 1), arms, told.palette)
        x, memory = _look_back(self.coarse, x, memory)
        x = F.pixel_shuffle(self.unfold(x).unflatten(1, (PAINTED, -1)).flatten(0, 1), 2)
        if self.told_8 is not None and told is not None:
            told = told.every(STEP)
            x = self.told_8(x, told.motion.flatten(0, 2)[:, None], F.avg_pool2d(told.arms_4, 2), told.palette)
        return x, memory


class Painter(nn.Module):
    """Frame features and the portrait to sheets: what can be moved is moved, what is new is painted."""

    def __init__(self, config: VideoVAEConfig) -> None:
        super().__init__()
        c = config
        self.reach_px = c.flow_reach_px
        self.coarse_flow = conv(c.frame_width_8, 2, 3, gain=0.0)
        self.trust = conv(c.frame_width_8, 1, 3, gain=0.0) if c.motion_dim else None
        self.join_8 = conv(c.frame_width_8 + c.reference_width_8, c.frame_width_8, 1)
        self.fine_8 = blocks(c.frame_blocks_8, c.frame_width_8)
        self.up = conv(c.frame_width_8, 4 * c.frame_width_4, 1)
        self.fine_flow = conv(c.frame_width_4, 2, 3, gain=0.0)
        self.join_4 = conv(c.frame_width_4 + 48, c.frame_width_4, 1)
        self.arms = conv(ARM_MAPS + SKIN_MAPS, c.frame_width_4, 3) if c.motion_dim else None
        self.fine_4 = blocks(c.frame_blocks_4, c.frame_width_4)
        self.head = conv(c.frame_width_4, 4 * 16, 1, gain=0.1)
        assert self.head.bias is not None
        with torch.no_grad():
            self.head.bias[48:] = 2.0  # the first output is the unmoved portrait: training starts from the copy

    def forward(self, x: Tensor, state: DecodeState, told: Telling | None) -> tuple[Tensor, Tensor]:
        """Features of F pictures [B*F, D, H/8, W/8], and what is told of these, to their sheets
        [B*F, SHEET, H/4, W/4] and the portrait where they move it [B*F, 3, H, W], both float32.
        """
        width = state.pixels.shape[-1]
        flow = self.coarse_flow(x) * self.reach_px
        if self.trust is not None and told is not None:
            flow = flow + 2 * self.trust(x).sigmoid() * told.common
        moved = warp(state.features_8, flow, width).to(x.dtype)
        x = self.fine_8(self.join_8(_beside(x, moved)))
        x = F.pixel_shuffle(self.up(x), 2)
        flow = enlarge(flow, 2) + self.fine_flow(x) * self.reach_px
        moved = move(state.pixels, flow)
        x = self.join_4(_beside(x, F.pixel_unshuffle(moved, 4).to(x.dtype)))
        if self.arms is not None and told is not None:
            x = x + self.arms(told.coloured_arms().to(x.dtype))
        x = self.fine_4(x)
        return torch.cat([flow, self.head(x).float()], 1), moved


class VideoVAE(nn.Module):
    """The codec. `encode` and `decode` take and return their state, so a stream may be cut at any latent frame.

    Latents leave the encoder with zero mean and unit variance per channel: batch statistics in training, a fixed
    affine map in eval mode. There is no KL term; noise on the latents in training keeps them smooth.

    Class attributes:
        step: of so many pictures one is painted.
        sheet_channels: of `DecodeState.sheet`.
    """

    step = STEP
    sheet_channels = SHEET

    def __init__(self, config: VideoVAEConfig | None = None) -> None:
        super().__init__()
        self.config = config or VideoVAEConfig()
        self.encoder = Encoder(self.config)
        self.normaliser = nn.BatchNorm2d(self.config.latent_channels, affine=False, momentum=0.02)
        self.reference_encoder = ReferenceEncoder(self.config)
        self.look_head = conv(self.config.reference_width_16, self.config.latent_channels, 1)
        self.look_normaliser = nn.BatchNorm2d(self.config.latent_channels, affine=False, momentum=0.02)
        self.trunk = Trunk(self.config)
        self.palette = Palette(self.config.reference_width_16) if self.config.motion_dim else None
        self.teller = Teller(self.config.field_grid) if self.config.motion_dim else None
        self.painter = Painter(self.config)
        c = self.config
        self.eyes_finder = Finder("eyes", c.reference_width_16) if c.eyes else None
        self.eyes = Closeup("eyes", c.eyes) if c.eyes else None
        self.mouth_finder = Finder("mouth", c.reference_width_16) if c.mouth else None
        self.mouth = Closeup("mouth", c.mouth) if c.mouth else None
        self.hand = Closeup("hand", c.hand) if c.hand else None
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def closeups(self) -> dict[Part, Closeup]:
        """Those that it has, in the order in which they are drawn."""
        parts: dict[Part, Closeup | None] = {"eyes": self.eyes, "mouth": self.mouth, "hand": self.hand}
        return {part: closeup for part, closeup in parts.items() if closeup is not None}

    def initial_encode_state(self, reference_pixels: Tensor) -> EncodeState:
        """State before the first frame of clips whose portraits are [B, 3, H, W] in -1..1."""
        features_8, features_16 = self._see(reference_pixels)
        c = self.config
        return EncodeState(features_8, features_16, _blank(features_16, c.encoder_width_16, c.encoder_blocks_16))

    def initial_decode_state(self, reference_pixels: Tensor, whole: Tensor | None = None) -> DecodeState:
        """State before the first frame, with the portrait [B, 3, H, W] in -1..1 looked at once. Where that is a part of
        a portrait, `whole` is all of it, for its colours.
        """
        features_8, features_16 = self._see(reference_pixels)
        c = self.config
        memory = _blank(features_16, c.trunk_width, c.trunk_blocks)
        palette = features_16.new_zeros(len(features_16), 0)
        if self.palette is not None and whole is None:
            palette = self.palette(reference_pixels, features_16)
        elif self.palette is not None and whole is not None:
            palette = self.palette(whole, self._see(whole)[1])
        nowhere = features_16.new_zeros(len(features_16), 0)
        finders = (self.eyes_finder, self.mouth_finder)
        eyes, mouth = (nowhere if finder is None else finder(features_16) for finder in finders)
        stance = features_16.new_zeros(len(features_16), c.motion_dim, dtype=torch.float32)
        sheet = features_8.new_zeros(len(features_8), SHEET, *_sides(features_8, 2), dtype=torch.float32)
        sheet[:, -SHEET_MASK:] = _AT_REST
        return DecodeState(reference_pixels, features_8, features_16, palette, eyes, mouth, stance, sheet, memory)

    def look(self, reference_pixels: Tensor) -> Tensor:
        """Portrait [B, 3, H, W] in -1..1 to its look [B, C, H/16, W/16], unit variance: where face and mouth are."""
        look: Tensor = self.look_normaliser(self.look_head(self._see(reference_pixels)[1]).float())
        return look

    def rest(self, reference_pixels: Tensor) -> Tensor:
        """Portrait [B, 3, H, W] in -1..1 to its latents at rest [B, C, H/16, W/16]: itself, beside itself."""
        still = reference_pixels[:, None].expand(-1, FRAMES_PER_LATENT, -1, -1, -1)
        return self.encode(still, self.initial_encode_state(reference_pixels))[0][:, 0]

    def encode(self, clip: Tensor, state: EncodeState) -> tuple[Tensor, EncodeState]:
        """Clip [B, 4T, 3, H, W] in -1..1 to latents [B, T, C, H/16, W/16]. A still picture is four equal frames.

        Raises:
            ShapeError: the number of frames is not a multiple of four.
        """
        if clip.ndim != 5 or clip.shape[1] == 0 or clip.shape[1] % FRAMES_PER_LATENT:
            raise ShapeError(
                f"VideoVAE.encode: got a clip of shape {tuple(clip.shape)}, expected [B, F, 3, H, W] with F a "
                f"multiple of {FRAMES_PER_LATENT}; repeat the last frame or cut the rest."
            )
        if len(clip) != len(state.features_16) or clip.shape[3:] != _sides(state.features_8, 8):
            raise ShapeError(
                f"VideoVAE.encode: got a clip of shape {tuple(clip.shape)} with {len(state.features_16)} portraits of "
                f"{tuple(_sides(state.features_8, 8))} pixels; make the state from portraits of the same size."
            )
        mean, state = self.encoder(clip, state)
        latents: Tensor = self.normaliser(mean.float())
        return latents.unflatten(0, (len(clip), -1)), state

    def decode(
        self, latents: Tensor, state: DecodeState, motion: Tensor | None = None, every: int = 1
    ) -> tuple[Tensor, DecodeState]:
        """Latents [B, T, C, H/16, W/16] to a clip [B, 4T / every, 3, H, W], float32, about -1..1 (not clamped).

        Args:
            latents: of the clip.
            state: what came before.
            motion: [B, T, 4, M] what the body does, for a decoder that can be told; None tells nothing.
            every: 2 leaves those pictures out that lie half way between two others; the state after is the same.

        Raises:
            ShapeError: the latents do not fit the portrait in `state` or the codec's channels.
        """
        layers, state = self.layers(latents, state, motion, every)
        return self.draw_closer(layers.pixels, state, motion, every), state

    def draw_closer(
        self,
        clip: Tensor,
        state: DecodeState,
        motion: Tensor | None,
        every: int = 1,
        draw: Mapping[Part, Draw] | None = None,
    ) -> Tensor:
        """Decoded pictures [B, F, 3, H, W], uint8 or in -1..1, with eyes, mouth and hands drawn again where that can
        be; as they are, if nothing was told. `motion` and `every` as for `decode`; `draw` replaces parts by their
        equals.
        """
        if motion is None or self.teller is None:
            return clip
        shown = slice(every - 1, None, every)
        moved, motion = (x[:, :, shown].flatten(1, 2) for x in (state.moved(motion), motion))
        shots: tuple[Shots, ...]
        for part, closeup in self.closeups.items():
            if part == "hand":
                shots = hand_shots(motion, Palette.skin(state.palette))
            else:
                # A mouth goes with the head, but its shape is told as it is: who believes what has changed since a
                # portrait whose mouth is open opens it twice as far.
                place = state.eyes if part == "eyes" else state.mouth
                irises = follow_irises(moved) if part == "eyes" else None
                shots = (face_shots(place, self.teller.follow(place, moved), motion, irises),)
            for one, behind in zip(shots, (None, *shots)):
                clip = closeup.redraw(clip, state.pixels, one, (draw or {}).get(part), behind)
        return clip

    def layers(
        self,
        latents: Tensor,
        state: DecodeState,
        motion: Tensor | None,
        every: int = 1,
        window: Tensor | None = None,
    ) -> tuple[Layers, DecodeState]:
        """`decode`, taken apart: training asks what was painted, and shows parts of pictures.

        `window` [B, 3] says which part this is: column, row and side, in shares of the picture; None is all of it.
        """
        expected = (self.config.latent_channels, *state.features_16.shape[-2:])
        if latents.ndim != 5 or latents.shape[2:] != expected or len(latents) != len(state.pixels):
            raise ShapeError(
                f"VideoVAE.decode: got latents of shape {tuple(latents.shape)}, expected "
                f"{(len(state.pixels), 'T', *expected)}; make the state from a portrait of the same size."
            )
        told = None
        if self.teller is not None and motion is not None:
            told = self.teller(state.moved(motion), state.palette, window, state.pixels.shape[-1])
        x, memory = self.trunk(latents, state.features_16, state.memory, told)
        drawn = self.painter(x, state, None if told is None else told.every(STEP))
        sheets, moved = (y.unflatten(0, (len(latents), -1)) for y in drawn)
        state, last = state._replace(sheet=sheets[:, -1], memory=memory), state.sheet
        if every == 1:
            between = halfway(last, sheets)
            passed = move(state.pixels, between[:, :, :2].flatten(0, 1)).unflatten(0, moved.shape[:2])
            sheets, moved = alternate(between, sheets), alternate(passed, moved)
        return Layers.of(sheets, moved), state

    def _see(self, reference_pixels: Tensor) -> tuple[Tensor, Tensor]:
        if reference_pixels.ndim != 4 or reference_pixels.shape[1] != 3:
            raise ShapeError(
                f"VideoVAE portrait: got shape {tuple(reference_pixels.shape)}, expected [B, 3, H, W]; "
                "pass one RGB picture per row."
            )
        _check_sides(*reference_pixels.shape[-2:])
        features: tuple[Tensor, Tensor] = self.reference_encoder(reference_pixels)
        return features


def _blank(features_16: Tensor, channels: int, count: int) -> Memory:
    rows, _, height, width = features_16.shape
    return tuple(features_16.new_zeros(rows, channels, height, width, dtype=torch.float32) for _ in range(count))


def _sides(features: Tensor, factor: int) -> torch.Size:
    return torch.Size(factor * side for side in features.shape[-2:])


def _look_back(stack: nn.ModuleList, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
    after = []
    for block, before in zip(stack, memory, strict=True):
        x, last = block(x, before)
        after.append(last)
    return x, tuple(after)


def _beside(x: Tensor, moved: Tensor) -> Tensor:
    return torch.cat([x, moved], 1).contiguous(memory_format=torch.channels_last)


def _check_sides(height: int, width: int) -> None:
    if height % SPATIAL_FACTOR or width % SPATIAL_FACTOR or min(height, width) < 2 * SPATIAL_FACTOR:
        raise ShapeError(
            f"VideoVAE: got pictures of {height}x{width} pixels, expected sides that are multiples of "
            f"{SPATIAL_FACTOR}, at least {2 * SPATIAL_FACTOR}; resize or crop."
        )

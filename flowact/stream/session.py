"""One living avatar: it hears, imagines and shows, chunk by chunk. All state of a stream lives here, nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowact.core.clock import FRAMES_PER_CHUNK, FRAMES_PER_LATENT, LATENTS_PER_CHUNK, SAMPLES_PER_FRAME
from flowact.core.errors import SessionError
from flowact.core.types import Chunk, Conditions, Frames
from flowact.diffusion.guidance import Guidance
from flowact.memory.bank import MemoryBank
from flowact.models.anchor import small_colours
from flowact.models.video_vae.state import DecodeState
from flowact.rollout.generate import Backbone, StreamState, shift

if TYPE_CHECKING:
    from flowact.stream.avatar import Avatar


@dataclass(frozen=True)
class ResumePoint:
    """What a stream needs to go on after one of its latent frames as if nothing had come after it.

    Attributes:
        bank: memory with the latents up to this one.
        decoding: state of the codec after this one.
        moved: what the body did up to this one; None for a model that has no network for it.
    """

    bank: MemoryBank
    decoding: DecodeState
    moved: MemoryBank | None


class Session:
    """A stream of one person. Use it in this order, for every chunk:

    `hear` sound until `ready`, then `condition` -> `generate` -> `decode`.
    """

    _hearing: Any
    _features: Tensor
    _past_frames: int
    _used_frames: int
    _heard_samples: int

    def __init__(self, avatar: Avatar, portrait: NDArray[np.uint8], seed: int = 0) -> None:
        """Look at the portrait, uint8 RGB [H, W, 3] of the model's size, once."""
        self.avatar = avatar
        self.noise = torch.Generator().manual_seed(seed)
        pixels = to_pixels(portrait[None, None], avatar.device)
        with avatar.computing():
            look = avatar.codec.look(pixels[:, 0])
            self._rest = avatar.codec.rest(pixels[:, 0]).float()
            self._decoding = avatar.codec.initial_decode_state(pixels[:, 0])
        standard = avatar.anchor.standardise(look)[:, None]
        colours = small_colours(pixels[:, 0], self._rest.shape[-1])
        self._state = StreamState.start(MemoryBank.start(avatar.config.bank, standard, self._nothing(), colours))
        # What the body does up to the chunk that enters next, and up to what is decoded: chunks in flight lie between.
        self._ahead = self._moved = None if avatar.mover is None else avatar.mover.start(self._nothing())
        self._before = self.point
        self._listen_afresh()

    @property
    def point(self) -> ResumePoint:
        """Where the stream stands: what was decoded and remembered up to now."""
        return ResumePoint(self._state.bank, self._decoding, self._moved)

    @property
    def ready(self) -> bool:
        """Whether enough sound was heard for the next chunk."""
        return self._features.shape[1] >= FRAMES_PER_CHUNK

    @property
    def frames_wanted(self) -> int:
        """Video frames of sound to hear until `ready`, rounded up; 0 when it is."""
        if self.ready:
            return 0
        hearing = self.avatar.hearing
        last = self._used_frames + FRAMES_PER_CHUNK
        blocks = -(-last // hearing.block_frames)
        samples = (blocks * hearing.block_frames + hearing.lookahead_frames) * SAMPLES_PER_FRAME
        return -(-(samples - self._heard_samples) // SAMPLES_PER_FRAME)

    def hear(self, samples: NDArray[np.float32]) -> None:
        """Take in 16 kHz mono samples in -1..1, in pieces of any length."""
        heard, self._hearing = self.avatar.hearing.encode(
            torch.from_numpy(np.ascontiguousarray(samples))[None].to(self.avatar.device), self._hearing
        )
        self._heard_samples += len(samples)
        past = min(self._past_frames, heard.shape[1])
        self._past_frames -= past
        self._features = torch.cat((self._features, heard[:, past:].float()), 1)

    def condition(self, prompt: str) -> Conditions:
        """What steers the next chunk: the oldest 12 voice features that were heard, a behaviour prompt, and what the
        body does to both.

        Raises:
            SessionError: not enough sound was heard; push more, or silence.
        """
        if not self.ready:
            raise SessionError(
                f"The next chunk needs {FRAMES_PER_CHUNK} voice features but {self._features.shape[1]} are ready. "
                "Call hear() with more sound (silence counts) before condition()."
            )
        voice, self._features = self._features.split([FRAMES_PER_CHUNK, self._features.shape[1] - FRAMES_PER_CHUNK], 1)
        self._used_frames += FRAMES_PER_CHUNK
        text = self.avatar.read(prompt)[:, None].expand(-1, LATENTS_PER_CHUNK, -1, -1)
        present = torch.ones(1, LATENTS_PER_CHUNK, device=self.avatar.device)
        voice = voice.unflatten(1, (LATENTS_PER_CHUNK, FRAMES_PER_LATENT))
        given = Conditions(voice, text, voice[..., :0], present, present, torch.zeros_like(present))
        return given if self._ahead is None else self._move(self._ahead, given)

    def generate(
        self,
        conditions: Conditions,
        is_unwanted: Callable[[], bool] | None = None,
        guidance: Guidance | None = None,
    ) -> Chunk | None:
        """Let a chunk enter and move the stream by one; the finished chunk, or None while the stream fills.

        Args:
            conditions: of the chunk that enters.
            is_unwanted: asked before every evaluation of the backbone. Once it is true the shift is given up with None,
                and only `resume` leads on.
            guidance: of this shift; the model's own by default.
        """
        avatar = self.avatar
        backbone = avatar.backbone if is_unwanted is None else _Watched(avatar.backbone, is_unwanted)
        how = avatar.guidance if guidance is None else guidance
        shape = (1, LATENTS_PER_CHUNK, *self._rest.shape[1:])
        noise = avatar.noise_scale * torch.randn(shape, generator=self.noise).to(avatar.device)
        self._before = self.point
        with avatar.computing():
            try:
                done, self._state = shift(backbone, avatar.plan, how, self._state, conditions, noise)
            except _UnwantedError:
                return None
        if done is not None:
            self._moved = self._after(self._moved, done)
        return done

    def decode(self, chunk: Chunk, every: int = 1) -> NDArray[np.uint8]:
        """The pictures of a finished chunk of T latent frames: uint8 RGB [4T, H, W, 3].

        Only every `every`-th is made, 1 or 2, and shown so many times.
        """
        with self.avatar.computing():
            latents = self.avatar.anchor.absolute(chunk.latents.float(), self._rest)
            motion = chunk.conditions.motion if self.avatar.motion_dim else None
            clip, self._decoding = self.avatar.codec.decode(latents, self._decoding, motion, every)
        frames = to_frames(clip[0])
        return frames if every == 1 else frames.repeat(every, 0)

    def decode_stepwise(self, chunk: Chunk, every: int = 1) -> Iterator[tuple[NDArray[np.uint8], ResumePoint]]:
        """The pictures [4, H, W, 3] of each latent frame of the chunk that `generate` just returned, and the point
        from which the stream can be resumed after them. `every` as for `decode`.
        """
        before = self._before
        for i in range(chunk.latents.shape[1]):
            frames, shown = self.decode(chunk.part(i, i + 1), every), chunk.part(0, i + 1)
            yield frames, ResumePoint(before.bank.commit(shown), self._decoding, self._after(before.moved, shown))

    def resume(self, point: ResumePoint, voice: NDArray[np.float32]) -> None:
        """Forget all that came after `point`, also the chunks in flight, and go on from there.

        Args:
            point: where to go on.
            voice: the last sound before it, 16 kHz, whole video frames; it tells the hearing how loud the voice is.
        """
        self._state = StreamState((), point.bank, self._state.next_index)
        self._before, self._decoding = point, point.decoding
        self._ahead = self._moved = point.moved
        self._listen_afresh(len(voice) // SAMPLES_PER_FRAME)
        self.hear(voice)

    def _move(self, ahead: MemoryBank, given: Conditions) -> Conditions:
        """Let the body move to voice and prompt for one more chunk, and tell the backbone of it."""
        noise = torch.randn((1, LATENTS_PER_CHUNK, *ahead.recent.shape[2:]), generator=self.noise)
        with self.avatar.computing():
            # A portrait is taken to stand at rest: what the body does is what moves since then (decision 0015).
            motion, self._ahead = self.avatar.mover.move(ahead, given, noise.to(self.avatar.device))
        return replace(given, motion=motion, motion_present=torch.ones_like(given.audio_present))

    def _after(self, moved: MemoryBank | None, shown: Chunk) -> MemoryBank | None:
        """What the body did, with the motion of a finished chunk."""
        return None if moved is None else self.avatar.mover.follow(moved, shown)

    def _listen_afresh(self, past_frames: int = 0) -> None:
        """Begin to hear; the features of the first `past_frames` video frames belong to the past and are dropped."""
        hearing = self.avatar.hearing
        self._hearing = hearing.initial_state(1)
        self._features = torch.zeros(1, 0, hearing.width, device=self.avatar.device)
        self._past_frames = self._used_frames = past_frames
        self._heard_samples = 0

    def _nothing(self) -> Conditions:
        """Conditions of one latent frame that nobody steered."""
        avatar = self.avatar
        absent = torch.zeros(1, 1, device=avatar.device)
        audio = torch.zeros(1, 1, FRAMES_PER_LATENT, avatar.hearing.width, device=avatar.device)
        still = torch.zeros(1, 1, FRAMES_PER_LATENT, avatar.motion_dim, device=avatar.device)
        return Conditions(audio, torch.zeros_like(avatar.read(""))[:, None], still, absent, absent, absent)


class _UnwantedError(Exception):
    """Nobody waits for the result any more."""


class _Watched:
    """A backbone that computes only while its result is wanted."""

    def __init__(self, backbone: Backbone, is_unwanted: Callable[[], bool]) -> None:
        self._backbone, self._is_unwanted = backbone, is_unwanted

    def __call__(self, frames: Frames, remembered: object, guidance: Tensor | None, /) -> Tensor:
        if self._is_unwanted():
            raise _UnwantedError
        return self._backbone(frames, remembered, guidance)

    def remember(self, memory: Frames, /) -> object:
        return self._backbone.remember(memory)


def to_pixels(frames: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 [B, F, H, W, 3] -> float [B, F, 3, H, W] in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(frames)).to(device).permute(0, 1, 4, 2, 3).float() / 127.5 - 1


def to_frames(clip: Tensor) -> NDArray[np.uint8]:
    """float [F, 3, H, W] in about -1..1, or uint8, -> uint8 [F, H, W, 3]."""
    if clip.dtype == torch.uint8:
        return np.ascontiguousarray(clip.permute(0, 2, 3, 1).numpy())
    bytes_ = clip.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(bytes_.permute(0, 2, 3, 1).cpu().numpy())

"""One living avatar: it hears, imagines and shows, chunk by chunk. All state of a stream lives here, nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowact.core.clock import FRAMES_PER_CHUNK, FRAMES_PER_LATENT, LATENTS_PER_CHUNK
from flowact.core.errors import SessionError
from flowact.core.types import Chunk, Conditions
from flowact.memory.bank import MemoryBank
from flowact.rollout.generate import StreamState, shift

if TYPE_CHECKING:
    from flowact.stream.avatar import Avatar


class Session:
    """A stream of one person. Use it in this order, for every chunk:

    `hear` sound until `ready`, then `condition` -> `generate` -> `decode`.
    """

    def __init__(self, avatar: Avatar, portrait: NDArray[np.uint8], seed: int = 0) -> None:
        """Look at the portrait, uint8 RGB [H, W, 3] of the model's size, once."""
        self.avatar = avatar
        self._noise = torch.Generator().manual_seed(seed)
        pixels = to_pixels(portrait[None, None], avatar.device)
        with avatar.computing():
            still = pixels.expand(-1, FRAMES_PER_LATENT, -1, -1, -1)
            latents, _ = avatar.codec.encode(still, avatar.codec.initial_encode_state(1, *pixels.shape[-2:]))
            self._reference = latents[:, 0].float()
            self._decoding = avatar.codec.initial_decode_state(pixels[:, 0])
        self._hearing = avatar.hearing.initial_state(1)
        self._features = torch.zeros(1, 0, avatar.hearing.width, device=avatar.device)
        standard = avatar.anchor.standardise(self._reference)[:, None]
        self._state = StreamState.start(MemoryBank.start(avatar.config.bank, standard, self._nothing()))

    @property
    def ready(self) -> bool:
        """Whether enough sound was heard for the next chunk."""
        return self._features.shape[1] >= FRAMES_PER_CHUNK

    def hear(self, samples: NDArray[np.float32]) -> None:
        """Take in 16 kHz mono samples in -1..1, in pieces of any length."""
        heard, self._hearing = self.avatar.hearing.encode(
            torch.from_numpy(np.ascontiguousarray(samples))[None].to(self.avatar.device), self._hearing
        )
        self._features = torch.cat((self._features, heard.float()), 1)

    def condition(self, prompt: str) -> Conditions:
        """What steers the next chunk: the oldest 12 voice features that were heard, and a behaviour prompt.

        Raises:
            SessionError: not enough sound was heard; push more, or silence.
        """
        if not self.ready:
            raise SessionError(
                f"The next chunk needs {FRAMES_PER_CHUNK} voice features but {self._features.shape[1]} are ready. "
                "Call hear() with more sound (silence counts) before condition()."
            )
        voice, self._features = self._features.split([FRAMES_PER_CHUNK, self._features.shape[1] - FRAMES_PER_CHUNK], 1)
        text = self.avatar.read(prompt)[:, None].expand(-1, LATENTS_PER_CHUNK, -1, -1)
        present = torch.ones(1, LATENTS_PER_CHUNK, device=self.avatar.device)
        return Conditions(voice.unflatten(1, (LATENTS_PER_CHUNK, FRAMES_PER_LATENT)), text, present, present)

    def generate(self, conditions: Conditions) -> Chunk | None:
        """Let a chunk enter and move the stream by one; the finished chunk, or None while the stream fills."""
        avatar = self.avatar
        shape = (1, LATENTS_PER_CHUNK, *self._reference.shape[1:])
        noise = avatar.config.noise_scale * torch.randn(shape, generator=self._noise).to(avatar.device)
        with avatar.computing():
            done, self._state = shift(avatar.backbone, avatar.plan, avatar.guidance, self._state, conditions, noise)
        return done

    def decode(self, chunk: Chunk) -> NDArray[np.uint8]:
        """The pictures of a finished chunk: uint8 RGB [12, H, W, 3]."""
        with self.avatar.computing():
            latents = self.avatar.anchor.absolute(chunk.latents.float(), self._reference)
            clip, self._decoding = self.avatar.codec.decode(latents, self._decoding)
        return to_frames(clip[0])

    def _nothing(self) -> Conditions:
        """Conditions of one latent frame that nobody steered."""
        avatar = self.avatar
        absent = torch.zeros(1, 1, device=avatar.device)
        audio = torch.zeros(1, 1, FRAMES_PER_LATENT, avatar.hearing.width, device=avatar.device)
        return Conditions(audio, torch.zeros_like(avatar.read(""))[:, None], absent, absent)


def to_pixels(frames: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 [B, F, H, W, 3] -> float [B, F, 3, H, W] in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(frames)).to(device).permute(0, 1, 4, 2, 3).float() / 127.5 - 1


def to_frames(clip: Tensor) -> NDArray[np.uint8]:
    """float [F, 3, H, W] in about -1..1 -> uint8 [F, H, W, 3]."""
    bytes_ = clip.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(bytes_.permute(0, 2, 3, 1).cpu().numpy())

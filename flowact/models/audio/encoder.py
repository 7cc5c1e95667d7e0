"""The default audio encoder: a small causal network, late by a stated look-ahead, trained to read lips from sound."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from flowact.core.clock import SAMPLES_PER_FRAME
from flowact.models.audio.blocks import CausalConv1d, ChannelNorm, ResidualBlock
from flowact.models.audio.config import CUES, AudioConfig
from flowact.models.audio.hearing import check_samples
from flowact.models.audio.mel import LogMel, MelState

_PIECE_FRAMES = 1500


@dataclass(frozen=True)
class AudioState:
    """One batch of streams between two pushes; never changed in place, so keeping it is a snapshot.

    Attributes:
        pending: samples [B, < 640] that do not fill a video frame yet.
        mel: state of the front end.
        contexts: left context of every convolution, in order.
        frames_heard: whole video frames of audio heard.
    """

    pending: Tensor
    mel: MelState
    contexts: tuple[Tensor, ...]
    frames_heard: int


@dataclass(frozen=True)
class Heard:
    """Everything the network says about F video frames.

    Attributes:
        bottleneck: [B, F, bottleneck], root mean square 1 per frame.
        viseme_logits: [B, F, visemes].
        cue_logits: [B, F, len(CUES)].
    """

    bottleneck: Tensor
    viseme_logits: Tensor
    cue_logits: Tensor

    def features(self) -> Tensor:
        """[B, F, D]: bottleneck, viseme posteriors (sum 1), cues: 0..1, but the last (pitch) -1..1."""
        cues = torch.cat([self.cue_logits[..., :-1].sigmoid(), self.cue_logits[..., -1:].tanh()], dim=-1)
        return torch.cat([self.bottleneck, self.viseme_logits.softmax(dim=-1), cues], dim=-1)


class AudioEncoder(nn.Module):
    """16 kHz speech to 25 features a second, each late by `lookahead_frames` (see `Hearing` for the exact timing)."""

    def __init__(self, config: AudioConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or AudioConfig()
        self.mel = LogMel(config.mel)
        fast = [CausalConv1d(config.mel.bands + 1, config.width, kernel=5, stride=2)]
        slow = [CausalConv1d(config.width, config.width, kernel=4, stride=2)]
        self.layers = nn.ModuleList(
            [
                *fast,
                *(ResidualBlock(config.width, dilation=1) for _ in range(config.fast_blocks)),
                *slow,
                *(ResidualBlock(config.width, dilation=2 ** (i % 4)) for i in range(config.slow_blocks)),
            ]
        )
        self.norm = ChannelNorm(config.width)
        self.bottleneck = nn.Linear(config.width, config.bottleneck)
        self.heads = nn.Linear(config.bottleneck, config.visemes + len(CUES))

    @property
    def width(self) -> int:
        """Number of values per feature vector."""
        return self.config.features

    @property
    def lookahead_frames(self) -> int:
        """Video frames of audio after a frame that its feature may have heard."""
        return self.config.lookahead_frames

    @property
    def block_frames(self) -> int:
        """One: a feature is given as soon as its look-ahead was heard."""
        return 1

    def initial_state(self, rows: int) -> AudioState:
        """State of `rows` streams that have heard nothing."""
        contexts = tuple(layer.initial_context(rows) for layer in self.layers)  # type: ignore[operator]
        mel = self.mel.initial_state(rows)
        return AudioState(mel.tail.new_zeros(rows, 0), mel, contexts, 0)

    @torch.no_grad()
    def encode(self, samples: Tensor, state: AudioState) -> tuple[Tensor, AudioState]:
        """Push samples [B, S >= 0]; return ready features [B, F, D] and the next state.

        Raises:
            ShapeError: the samples are not floats [B, S] with the rows of the state.
        """
        check_samples(samples, rows=state.pending.shape[0])
        waiting = torch.cat([state.pending, samples.to(state.pending)], dim=1)
        whole = waiting.shape[1] - waiting.shape[1] % SAMPLES_PER_FRAME
        state = replace(state, pending=waiting[:, whole:].clone())
        if whole == 0:
            return waiting.new_zeros(waiting.shape[0], 0, self.width), state
        heard, state = self.listen(waiting[:, :whole], state)
        early = max(0, self.lookahead_frames - (state.frames_heard - whole // SAMPLES_PER_FRAME))
        return heard.features()[:, early:], state

    def flush(self, state: AudioState) -> tuple[Tensor, AudioState]:
        """End the stream: fill the last frame and the look-ahead with silence, return the features still owed.

        The returned state is a fresh one.
        """
        rows, pending = state.pending.shape
        silence = (-pending) % SAMPLES_PER_FRAME + self.lookahead_frames * SAMPLES_PER_FRAME
        features, _ = self.encode(state.pending.new_zeros(rows, silence), state)
        return features, self.initial_state(rows)

    def encode_all(self, samples: Tensor) -> Tensor:
        """Whole recordings [B, S] at once -> [B, ceil(S / 640), D]; the end is padded with silence."""
        check_samples(samples)
        state = self.initial_state(samples.shape[0])
        parts = []
        # Pieces of a minute keep the memory small for an hour of sound.
        for piece in samples.split(_PIECE_FRAMES * SAMPLES_PER_FRAME, dim=1):
            features, state = self.encode(piece, state)
            parts.append(features)
        return torch.cat([*parts, self.flush(state)[0]], dim=1)

    def listen(self, samples: Tensor, state: AudioState, filters: Tensor | None = None) -> tuple[Heard, AudioState]:
        """Run the network on whole video frames [B, F * 640]; output n belongs to frame `n - lookahead_frames`.

        Differentiable: training calls it with a fresh state and other mel `filters`.
        """
        bands, mel = self.mel(samples, state.mel, filters)
        x = bands.transpose(1, 2)
        contexts = []
        for layer, context in zip(self.layers, state.contexts, strict=True):
            x, after = layer(x, context)
            contexts.append(after)
        bottleneck = self.bottleneck(self.norm(x).transpose(1, 2))
        bottleneck = functional.rms_norm(bottleneck, bottleneck.shape[-1:])
        visemes, cues = self.heads(bottleneck).split([self.config.visemes, len(CUES)], dim=-1)
        frames = state.frames_heard + samples.shape[1] // SAMPLES_PER_FRAME
        return Heard(bottleneck, visemes, cues), AudioState(state.pending, mel, tuple(contexts), frames)

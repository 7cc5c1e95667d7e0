"""Classifier-free guidance (Ho & Salimans 2022): how several evaluations become one velocity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from flowact.core.types import Frames

Predict = Callable[[Frames, "Tensor | None"], Tensor]
"""(stream, guidance weight given to the network or None) -> velocity."""

GUIDANCE_UNIT = 10.0
"""Guidance weights are divided by this before they are embedded, so that they lie in about 0..1."""


class Guidance(Protocol):
    """Turns a predictor into a guided velocity."""

    def __call__(self, predict: Predict, stream: Frames) -> Tensor:
        """Velocity of the stream."""
        ...


@dataclass(frozen=True)
class NoGuidance:
    """The conditional velocity itself: one evaluation."""

    def __call__(self, predict: Predict, stream: Frames) -> Tensor:
        """Velocity of the stream."""
        return predict(stream, None)


@dataclass(frozen=True)
class ClassifierFree:
    """v_u + weight * (v_c - v_u), where v_u hears nothing and is told nothing: two evaluations."""

    weight: float = 2.0

    def __call__(self, predict: Predict, stream: Frames) -> Tensor:
        """Velocity of the stream."""
        with_all = predict(stream, None)
        blind = replace(stream, conditions=stream.conditions.without("audio", "text"))
        without = predict(blind, None)
        return without + self.weight * (with_all - without)


@dataclass(frozen=True)
class VoiceGuidance:
    """v + (weight - 1) * region * (v - v_deaf): the voice counts more where it shows, at the mouth. Two evaluations.

    Guiding the whole frame pushes the pose as well, which smears; the prompt is left as it is.

    Attributes:
        weight: 1 is plain.
        region: [H, W] in 0..1, where in the frame the mouth is.
    """

    weight: float
    region: Tensor

    def __call__(self, predict: Predict, stream: Frames) -> Tensor:
        """Velocity of the stream."""
        heard = predict(stream, None)
        deaf = predict(replace(stream, conditions=stream.conditions.without("audio")), None)
        return heard + (self.weight - 1) * self.region * (heard - deaf)


@dataclass(frozen=True)
class EmbeddedGuidance:
    """For a distilled model that was told the weight and learnt the result: one evaluation."""

    weight: float = 2.0

    def __call__(self, predict: Predict, stream: Frames) -> Tensor:
        """Velocity of the stream."""
        rows = stream.latents.shape[0]
        weight = torch.full((rows,), self.weight / GUIDANCE_UNIT, device=stream.latents.device)
        return predict(stream, weight)

"""Causal one-dimensional layers whose left context is an explicit argument."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class CausalConv1d(nn.Module):
    """Convolution over time that sees only the past: output n hears inputs up to `stride * (n + 1) - 1`.

    Attributes:
        context: number of past inputs to be handed in, `dilation * (kernel - 1) + 1 - stride`.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride=stride, dilation=dilation)
        self.context = dilation * (kernel - 1) + 1 - stride

    def initial_context(self, rows: int) -> Tensor:
        """Zeros [B, C, context]: silence came before."""
        return self.conv.weight.new_zeros(rows, self.conv.in_channels, self.context)

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, T] with T a multiple of the stride -> ([B, C', T / stride], next context)."""
        padded = torch.cat([context, x], dim=2)
        return self.conv(padded), padded[:, :, padded.shape[2] - self.context :].clone()


class ChannelNorm(nn.Module):
    """Root-mean-square normalisation over channels, each time alone, so it cannot look ahead."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, T] -> the same shape."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-6) * self.gain[:, None]


class ResidualBlock(nn.Module):
    """Norm, causal convolution, GELU, 1x1 convolution, added to the input."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.mix = CausalConv1d(channels, channels, kernel=3, dilation=dilation)
        self.out = nn.Conv1d(channels, channels, 1)
        nn.init.normal_(self.out.weight, std=0.3 / channels**0.5)

    def initial_context(self, rows: int) -> Tensor:
        """Context of the convolution."""
        return self.mix.initial_context(rows)

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, T] -> (the same shape, next context)."""
        mixed, context = self.mix(self.norm(x), context)
        return x + self.out(functional.gelu(mixed)), context

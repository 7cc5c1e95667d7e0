"""The bricks of the codec: a convolution with a stated gain, the residual block, and the causal block."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from flowact.nn.causal_conv import CausalMix
from flowact.nn.norm import PixelRMSNorm


def conv(inputs: int, outputs: int, kernel: int, gain: float = 1.0) -> nn.Conv2d:
    """A same-size dense convolution whose weights start at gain/sqrt(fan-in) and whose bias starts at zero."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.normal_(layer.weight, std=gain * (inputs * kernel * kernel) ** -0.5)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """x + conv(silu(conv(norm(x)))), nearly the identity at first: deeper stacks then train from the first step."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = PixelRMSNorm(channels)
        self.expand = conv(channels, channels, 3, gain=1.4)
        self.project = conv(channels, channels, 3, gain=0.3)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out: [N, C, H, W]."""
        return x + self.project(F.silu(self.expand(self.norm(x))))


class CausalBlock(nn.Module):
    """A look at the latent frame before, then a residual block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.look_back = CausalMix(channels)
        self.body = ResidualBlock(channels)

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """X [B*T, C, H, W] and the memory [B, C, H, W] to the same two shapes."""
        x, after = self.look_back(x, before)
        return self.body(x), after


def blocks(count: int, channels: int) -> nn.Sequential:
    """`count` residual blocks in a row."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))

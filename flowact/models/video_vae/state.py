"""What the codec remembers between two calls: an argument and a result, never changed in place."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from flowact.core.motion import seen_from

Memory = tuple[Tensor, ...]


class EncodeState(NamedTuple):
    """What the encoder remembers: the portrait's features, and the last latent frame.

    Attributes:
        features_8, features_16: [B, C, H/8, W/8] and [B, C, H/16, W/16], compared with the frames.
        memory: per causal block, [B, C, H/16, W/16].
    """

    features_8: Tensor
    features_16: Tensor
    memory: Memory


class DecodeState(NamedTuple):
    """What the decoder remembers: the portrait, its features, and the last latent frame.

    Attributes:
        pixels: [B, 3, H, W] the portrait.
        features_8: [B, C, H/8, W/8], warped and pasted.
        features_16: [B, C, H/16, W/16], compared with the latents to find the flow.
        palette: [B, P] the portrait's colours; P is 0 for a decoder that cannot be told of motion.
        eyes, mouth: [B, 2] where they are, column and row in shares of the picture; [B, 0] where nobody asks.
        stance: [B, M] how the portrait stands, zeros: at rest (0019); M is 0 for a decoder that cannot be told.
        sheet: [B, SHEET, H/4, W/4] of the last picture: the next one lies half way between it and one that is painted.
            [B, 0, H/4, W/4] where it is not known, in parts of clips: the next one is then as the one after it.
        memory: per causal block, [B, C, H/16, W/16].
    """

    pixels: Tensor
    features_8: Tensor
    features_16: Tensor
    palette: Tensor
    eyes: Tensor
    mouth: Tensor
    stance: Tensor
    sheet: Tensor
    memory: Memory

    def amid(self) -> DecodeState:
        """The same for clips that are cut out of longer ones: what came before is not known."""
        return self._replace(sheet=self.sheet[:, :0])

    def moved(self, motion: Tensor) -> Tensor:
        """What motion [B, T, 4, M] changes in the portrait."""
        return seen_from(motion, self.stance[:, None, None])

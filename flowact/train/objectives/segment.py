"""Step distillation by regression: one guided evaluation replaces all micro-steps of a stair.

FlowAct-R1, first two parts of its distillation: the guidance weight becomes an input, and inside each of the three
segments of the noise trajectory the steps are reduced to one. The student's single step must land where the guided
teacher's several steps land: velocity = (x_high - x_low) / (level_high - level_low).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from flowact.core.clock import LATENTS_PER_CHUNK
from flowact.diffusion.guidance import GUIDANCE_UNIT, VoiceGuidance
from flowact.diffusion.path import add_noise, spread
from flowact.diffusion.plan import Staircase
from flowact.models.mmdit.model import MMDiT
from flowact.rollout.generate import denoise, levels_per_frame, stack
from flowact.rollout.window import Window, split_chunks


@dataclass(frozen=True)
class SegmentDistillation:
    """The objective: a frozen teacher, the plan it follows, and the voice guidance it is asked for.

    Attributes:
        teacher: frozen undistilled network.
        plan: the teacher's staircase, with its micro-steps.
        region: [H, W] in 0..1, where in the frame the voice is guided.
        weights: (lowest, highest) guidance weight, drawn evenly for each batch.
    """

    teacher: MMDiT
    plan: Staircase
    region: Tensor
    weights: tuple[float, float] = (1.0, 3.0)

    def loss(self, student: MMDiT, window: Window, noise: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted error of the student's one step, [B, T, C, H, W] against the teacher's many."""
        low, high = self.weights
        weight = low + (high - low) * float(torch.rand(()))
        entering = self.plan.entering[-(window.clean.shape[1] // LATENTS_PER_CHUNK) :]
        level = torch.tensor(entering).repeat_interleave(LATENTS_PER_CHUNK).expand(len(noise), -1).to(noise)
        chunks = split_chunks(window, add_noise(window.clean, noise, level), entering)
        with torch.no_grad():
            landed = denoise(self.teacher, self.plan, VoiceGuidance(weight, self.region), chunks, window.bank)
        start = stack(chunks, entering)
        fall = level - levels_per_frame(landed, tuple(c.level for c in landed)).to(level)
        target = (start.latents - torch.cat([c.latents for c in landed], 1)) / spread(fall, start.latents)
        asked = torch.full((len(noise),), weight / GUIDANCE_UNIT, device=noise.device)
        predicted = student(start, student.remember(window.bank.view()), asked).float()
        # A stair's landing error, not its slope's, is what the next shift sees.
        error = (predicted - target).square() * spread(fall, target).square()
        loss = (error * window.weight).sum() / window.weight.expand_as(error).sum()
        return loss, {"landing": loss.detach()}

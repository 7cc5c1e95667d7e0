"""What the text encoder learns before it meets the video model: prompts that ask for the same action look alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from flowact.models.text.config import TextConfig
from flowact.models.text.encoder import TextEncoder
from flowact.studio.performance import GESTURES
from flowact.train.data.prompts import DOINGS, MOODS, UNSAID
from flowact.train.stage import Batch, Values

_SIZES = {"doing": len(DOINGS), "gesture": len(GESTURES), "mood": len(MOODS)}


class PromptReader(nn.Module):
    """A text encoder and linear readers of its tokens, which are thrown away after training."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.encoder = TextEncoder(config)
        self.read = nn.Linear(config.tokens * config.width, sum(_SIZES.values()))

    def forward(self, ids: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Bucket ids [B, words, grams] -> (flat tokens [B, L * D], logits by label [B, choices])."""
        flat = self.encoder(ids).flatten(1)
        return flat, dict(zip(_SIZES, self.read(flat).split(list(_SIZES.values()), dim=-1)))


class PromptObjective:
    """Cross-entropy of the labels, and a supervised contrast: equal (doing, gesture) attract, others repel.

    The contrast is that of Khosla et al. 2020, "Supervised contrastive learning", equation 2.
    """

    def __init__(self, reader: PromptReader, contrast: float = 0.3, temperature: float = 0.2) -> None:
        self.reader = reader
        self.contrast = contrast
        self.temperature = temperature

    def __call__(self, batch: Batch, train_step: int) -> tuple[Tensor, Values]:
        """Batch of `prompt_batches` -> (loss, values to log)."""
        flat, logits = self.reader(batch["ids"])
        parts = {name: _cross_entropy(logits[name], batch[name]) for name in _SIZES}
        parts["contrast"] = self._contrast(flat, batch["doing"], batch["gesture"])
        loss = parts["doing"] + parts["gesture"] + 0.5 * parts["mood"] + self.contrast * parts["contrast"]
        return loss, {name: part.detach() for name, part in parts.items()}

    def _contrast(self, flat: Tensor, doing: Tensor, gesture: Tensor) -> Tensor:
        said = gesture != UNSAID
        unit = functional.normalize(flat[said], dim=-1)
        action = doing[said] * len(GESTURES) + gesture[said]
        itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
        likeness = (unit @ unit.T / self.temperature).masked_fill(itself, -1e4)
        alike = (action[:, None] == action) & ~itself
        score = (likeness.log_softmax(dim=-1) * alike).sum(-1) / alike.sum(-1).clamp(min=1)
        return -score[alike.any(-1)].sum() / alike.any(-1).sum().clamp(min=1)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the labels that are said; 0 when none is."""
    said = (labels != UNSAID).sum().clamp(min=1)
    return functional.cross_entropy(logits, labels, ignore_index=UNSAID, reduction="sum") / said


@torch.no_grad()
def measure_prompts(reader: PromptReader, prompts: dict[str, Tensor]) -> dict[str, float]:
    """Accuracy of each label over the prompts that say it, and of all that a prompt says of doing and gesture."""
    _, logits = reader(prompts["ids"])
    right = {name: logits[name].argmax(-1) == prompts[name] for name in _SIZES}
    said = {name: prompts[name] != UNSAID for name in _SIZES}
    found = {f"{name}_accuracy": float(right[name][said[name]].float().mean()) for name in _SIZES if said[name].any()}
    as_told = [right[name] | ~said[name] for name in ("doing", "gesture")]
    found["action_accuracy"] = float((as_told[0] & as_told[1]).float().mean())
    return found

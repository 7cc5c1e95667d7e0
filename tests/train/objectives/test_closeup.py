from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from flowact.models.video_vae.closeup import FACE_NUMBERS, Closeup, Finder
from flowact.models.video_vae.config import CloseupConfig
from flowact.train.objectives.closeup import paint_error, place_error


def train(
    network: nn.Module, error: Callable[[], tuple[Tensor, dict[str, Tensor]]], *, steps: int, rate: float
) -> list[dict[str, Tensor]]:
    """What each step measured."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate)
    found = []
    for _ in range(steps):
        loss, metrics = error()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(metrics)
    return found


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Faces of two people, one of them told to lighten up."""
    told = torch.arange(8) % 2
    true = torch.full((8, 3, 64, 64), 100, dtype=torch.uint8)
    true[told == 1] = 200
    return {
        "seen": true,
        "true": true,
        "stills": torch.full_like(true, 128),
        "numbers": told[:, None].float().expand(-1, FACE_NUMBERS),
        "bones": torch.zeros(8, 0, 2, 3),
        "inside": torch.full((8, 1, 64, 64), 255, dtype=torch.uint8),
    }


def unread(painted: Tensor, true: Tensor, numbers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    return torch.zeros(()), {}


def test_what_is_told_is_learnt(batch: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    closeup = Closeup("mouth", CloseupConfig(64, 16, 1, 16, 1))
    hidden = batch | {"seen": torch.full_like(batch["seen"], 128)}
    found = train(closeup, lambda: paint_error(closeup, hidden, unread), steps=40, rate=1e-2)
    assert found[-1]["psnr"] > found[0]["psnr"] + 5
    assert found[-1]["loss"] < 0.5 * found[0]["loss"]


def test_only_what_is_painted_counts(batch: dict[str, Tensor]) -> None:
    closeup = Closeup("mouth", CloseupConfig(64, 8, 1, 8, 1))
    noise = torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8)
    hole = closeup.hole(batch["bones"])
    with torch.no_grad():
        _, metrics = paint_error(closeup, batch | {"true": noise, "seen": noise}, unread)
        _, same = paint_error(
            closeup, batch | {"true": torch.where(hole > 0, noise, noise.flip(0)), "seen": noise}, unread
        )
    torch.testing.assert_close(metrics["psnr"], same["psnr"])
    assert float(metrics["sharpness"]) == pytest.approx(1), "a new one paints what it sees"
    assert float(paint_error(closeup, batch | {"true": noise}, unread)[1]["sharpness"]) < 0.1


def test_what_lies_outside_of_the_picture_does_not_count(batch: dict[str, Tensor]) -> None:
    closeup = Closeup("mouth", CloseupConfig(64, 8, 1, 8, 1))
    inside = batch["inside"].clone()
    inside[..., 30:] = 0
    noise = torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8)
    other = torch.where(inside > 0, noise, noise.flip(0))
    with torch.no_grad():
        (loss, found), (same, also) = (
            paint_error(closeup, batch | {"true": true, "inside": inside}, unread) for true in (noise, other)
        )
    torch.testing.assert_close(loss, same, atol=0.01, rtol=0)  # steps of brightness across its border are seen
    torch.testing.assert_close(found["psnr"], also["psnr"])


def test_mouths_are_found_where_they_show() -> None:
    torch.manual_seed(0)
    finder = Finder("mouth", 4)
    features = torch.zeros(4, 4, 16, 16)
    features[:, 1] = 1
    for i in range(4):
        features[i, :2, 8, 5 + i] = torch.tensor([1.0, 0.0])
    batch = {
        "features": features,
        "place": torch.stack([(torch.arange(4) + 5.5) / 16, torch.full((4,), 8.5 / 16)], 1),
    }
    found = train(finder, lambda: place_error(finder, batch), steps=100, rate=3e-2)
    assert found[-1]["beside"] < 0.3 * found[0]["beside"]

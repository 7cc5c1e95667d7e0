import math
from dataclasses import replace

import pytest
import torch

from flowact.core.motion import MOTION_SCALE, MOTION_WIDTH, aim_hands, motion_slice
from flowact.models.video_vae.config import VideoVAEConfig
from flowact.models.video_vae.model import VideoVAE
from flowact.train.objectives.codec import (
    CodecObjective,
    CodecObjectiveConfig,
    DecoderObjective,
    box_mask,
    flow_error,
)

SMALL = VideoVAEConfig(
    encoder_width_8=16,
    encoder_blocks_8=1,
    encoder_width_16=24,
    encoder_blocks_16=1,
    trunk_width=24,
    trunk_blocks=1,
    frame_width_8=16,
    frame_width_4=16,
    reference_width_8=16,
    reference_width_16=16,
)


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    clip = torch.zeros(2, 8, 64, 64, 3, dtype=torch.uint8)
    for frame in range(8):
        clip[:, frame, 20:44, 10 + 2 * frame : 40 + 2 * frame] = 200
    mouth = torch.tensor([20.0, 32, 44, 44]).expand(2, 8, 4)
    tracks = {
        "mouth_box": mouth,
        "face_box": torch.tensor([8.0, 8, 56, 56]).expand(2, 8, 4),
        "eye_boxes": torch.tensor([[10.0, 10, 20, 20], [40, 10, 50, 20]]).expand(2, 8, 2, 4),
        "visemes": torch.rand(2, 8, 15, generator=generator),
        "mouth_open": torch.rand(2, 8, generator=generator),
        "eye_open": torch.ones(2, 8, 2),
        "gaze": torch.zeros(2, 8, 2),
        "head": torch.zeros(2, 8, 3),
    }
    still = {f"reference_{name}": track[:, :1] for name, track in tracks.items()}
    return {"clip": clip, "seen": clip, "reference": clip[:, 0], **tracks, **still}


def train(batch: dict[str, torch.Tensor], steps: int) -> list[dict[str, torch.Tensor]]:
    """What the objective says at each step of a new codec, its loss included."""
    torch.manual_seed(0)
    codec, objective = VideoVAE(SMALL), CodecObjective(SMALL.latent_channels)
    optimiser = torch.optim.AdamW([*codec.parameters(), *objective.parameters()], lr=3e-3)
    found = []
    for _ in range(steps):
        loss, metrics = objective(codec, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append({**metrics, "loss": loss.detach()})
    return found


def test_a_few_steps_lower_the_loss_and_beat_the_copy(batch):
    found = train(batch, steps=60)
    assert found[-1]["loss"] < 0.5 * found[0]["loss"]
    assert found[-1]["psnr"] > found[-1]["psnr_copy"] + 1
    assert not any(value.requires_grad for value in found[-1].values())


def test_the_labels_reach_the_encoder(batch):
    codec, objective = VideoVAE(SMALL), CodecObjective(SMALL.latent_channels)
    objective.config = CodecObjectiveConfig(label_weight=1e6)
    loss, metrics = objective(codec, batch)
    loss.backward()
    pulled = codec.encoder.stem.weight.grad.clone()
    codec.zero_grad()
    objective.config = CodecObjectiveConfig(label_weight=0)
    objective(codec, batch)[0].backward()
    assert metrics["label"] > 0
    assert pulled.norm() > 1e3 * codec.encoder.stem.weight.grad.norm()


def test_the_look_is_told_where_the_face_is(batch):
    found = train(batch, steps=40)
    assert found[-1]["look"] < 0.7 * found[0]["look"]


def test_the_encoder_sees_another_light_than_is_painted(batch):
    codec, objective = (
        VideoVAE(SMALL).eval(),
        CodecObjective(SMALL.latent_channels, CodecObjectiveConfig(latent_noise=0)),
    )
    _, same = objective(codec, batch)
    _, darker = objective(codec, {**batch, "seen": batch["seen"] // 2})
    _, elsewhere = objective(codec, {**batch, "clip": batch["clip"] // 2})
    assert abs(float(darker["psnr_copy"] - same["psnr_copy"])) < 1e-5
    assert abs(float(elsewhere["psnr_copy"] - same["psnr_copy"])) > 0.1


def test_unknown_labels_and_boxes_do_no_harm(batch):
    codec, objective = VideoVAE(SMALL), CodecObjective(SMALL.latent_channels)
    for name in ("eye_boxes", "gaze", "eye_open", "reference_gaze", "reference_eye_boxes"):
        batch[name] = torch.full_like(batch[name], math.nan)
    loss, metrics = objective(codec, batch)
    loss.backward()
    assert loss.isfinite()
    assert all(value.isfinite() for value in metrics.values())
    assert all(p.grad.isfinite().all() for p in objective.parameters() if p.grad is not None)


def test_box_mask_covers_pixel_centres():
    mask = box_mask(torch.tensor([[1.0, 0, 3, 2], [float("nan")] * 4]), 4, 4)
    assert mask[0].sum() == 4
    assert mask[0, :2, 1:3].all()
    assert mask[1].sum() == 0


@pytest.fixture
def told(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A batch whose latents say nothing and whose motion says which of two pictures is shown."""
    clip = torch.zeros_like(batch["clip"])
    clip[1, :, 16:48, 16:48] = 220
    motion = torch.zeros(2, 2, 4, MOTION_WIDTH)
    motion[1] = 1
    window = torch.tensor([[0.0, 0.0, 1.0]] * 2)
    motion = _with_hands_at(motion, (0.5, 0.5), (0.5, 0.5))
    return batch | {
        "clip": clip,
        "latents": torch.zeros(2, 2, 8, 4, 4),
        "motion": motion,
        "window": window,
        "portrait": batch["reference"],
        "points": torch.full((*clip.shape[:2], 3, 2), torch.nan),
        "reference_points": torch.full((2, 3, 2), torch.nan),
    }


def _with_hands_at(motion: torch.Tensor, left: tuple[float, float], right: tuple[float, float]) -> torch.Tensor:
    """Motion [..., M] with both hands up, their wrists and knuckles seen at some column and row of the picture."""
    flat = motion.flatten(0, -2).clone()
    flat[:, motion_slice("hand_active")] = MOTION_SCALE["hand_active"]
    seen = torch.tensor([left, right])[None, :, None].expand(len(flat), -1, 2, -1)
    return aim_hands(flat, seen).view_as(motion)


def test_a_told_decoder_learns_to_draw_from_motion_alone(told):
    torch.manual_seed(0)
    codec = VideoVAE(replace(SMALL, motion_dim=MOTION_WIDTH))
    objective = DecoderObjective(CodecObjectiveConfig(latent_noise=0.1))
    optimiser = torch.optim.AdamW([*codec.parameters(), *objective.parameters()], lr=3e-3)
    found = []
    for _ in range(40):
        loss, metrics = objective(codec, told)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(float(metrics["pixel"]))
    assert found[-1] < 0.5 * found[0]


def test_pixels_of_hands_weigh_more(told):
    torch.manual_seed(0)
    codec = VideoVAE(replace(SMALL, motion_dim=MOTION_WIDTH)).eval()
    beside = told | {"motion": _with_hands_at(told["motion"], (5.0, 5.0), (5.0, 5.0))}

    def pixel(given: dict[str, torch.Tensor], weight: float) -> float:
        torch.manual_seed(0)
        objective = DecoderObjective(CodecObjectiveConfig(mouth_weight=1, latent_noise=0.0, hand_weight=weight))
        return float(objective(codec, given)[1]["pixel"])

    # What is bright in the middle is missed by a decoder that was never told: the more it weighs, the more it costs.
    assert pixel(told, 8.0) > 1.1 * pixel(told, 1.0)
    assert pixel(beside, 8.0) == pytest.approx(pixel(beside, 1.0))


def test_paint_has_a_price_but_on_mouths_and_hands(told):
    torch.manual_seed(0)
    codec = VideoVAE(replace(SMALL, motion_dim=MOTION_WIDTH)).eval()
    side = told["clip"].shape[2]
    nowhere = told | {
        "mouth_box": torch.full_like(told["mouth_box"], torch.nan),
        "motion": _with_hands_at(told["motion"], (5.0, 5.0), (5.0, 5.0)),
    }
    at_mouth = nowhere | {"mouth_box": torch.tensor([0.0, 0, side, side]).expand_as(told["mouth_box"])}
    at_hands = nowhere | {"motion": _with_hands_at(told["motion"], (0.3, 0.5), (0.7, 0.5))}

    def judge(given: dict[str, torch.Tensor], price: float) -> tuple[float, float]:
        torch.manual_seed(0)
        loss, metrics = DecoderObjective(CodecObjectiveConfig(paint_price=price))(codec, given)
        return float(loss.detach()), float(metrics["paint"])

    (free, paint), (dear, _) = judge(nowhere, 0.0), judge(nowhere, 2.0)
    assert 0.05 < paint < 0.5, "the mask begins at sigmoid(2)"
    assert dear - free == pytest.approx(2 * paint, rel=1e-4)
    assert judge(at_mouth, 2.0)[1] == pytest.approx(0, abs=1e-6)
    assert judge(at_hands, 2.0)[1] < 0.9 * paint


def test_a_flow_should_find_points_of_faces_where_the_portrait_has_them(told):
    at_still = torch.tensor([[[30.0, 20], [40, 50]]])
    points = at_still[:, None] + torch.tensor([[[4.0, -3]], [[0, 0]]])
    right = (at_still[:, None] - points).mean(2)[..., None, None].expand(-1, -1, -1, 16, 16)
    assert float(flow_error(right, points, at_still, 64)) == pytest.approx(0, abs=1e-5)
    assert float(flow_error(right + 3, points, at_still, 64)) == pytest.approx(2.5, abs=1e-4), "Huber beyond a pixel"
    # Flows differ from place to place, and count where the point is.
    bent = right.clone()
    bent[..., 8:, :] += 3
    assert float(flow_error(bent, points, at_still, 64)) == pytest.approx(1.25, abs=1e-4)
    # Unknown points, and those outside of either picture, do not count.
    points, at_still = points.clone(), at_still.clone()
    points[0, 0, 0], at_still[0, 1, 1] = torch.nan, 70
    assert float(flow_error(bent, points, at_still, 64)) == pytest.approx(0, abs=1e-5)
    assert float(flow_error(bent, points * torch.nan, at_still, 64)) == 0


def test_flow_that_is_beside_costs_what_the_configuration_says(told):
    torch.manual_seed(0)
    codec = VideoVAE(replace(SMALL, motion_dim=MOTION_WIDTH)).eval()
    given = told | {
        "points": torch.full_like(told["points"], 20.0),
        "reference_points": torch.full_like(told["reference_points"], 28.0),
    }

    def judge(weight: float) -> tuple[float, float]:
        torch.manual_seed(0)
        loss, metrics = DecoderObjective(CodecObjectiveConfig(flow_weight=weight))(codec, given)
        return float(loss.detach()), float(metrics["flow_beside"])

    (free, beside), (dear, _) = judge(0.0), judge(0.5)
    assert beside > 5, "a new codec moves nothing"
    assert dear - free == pytest.approx(0.5 * beside, rel=1e-4)

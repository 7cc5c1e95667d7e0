import copy
from dataclasses import replace

import pytest
import torch

from flowact.core.types import Conditions
from flowact.diffusion.plan import Staircase
from flowact.memory.bank import BankConfig, MemoryBank
from flowact.models.mmdit.model import MMDiT
from flowact.rollout.window import Window, drift_memory, drop_conditions, roughen_memory
from flowact.train.objectives.flow import flow_loss, flow_report, full_visibility_loss
from flowact.train.objectives.segment import SegmentDistillation
from tests.fakes import SMALL_MMDIT, random_conditions

ROWS = 4


@pytest.fixture
def net() -> MMDiT:
    torch.manual_seed(0)
    return MMDiT(SMALL_MMDIT)


@pytest.fixture
def window() -> Window:
    """Latents that are a plain function of the voice, so that hearing pays."""
    torch.manual_seed(1)
    heard = random_conditions(ROWS, 9)
    clean = heard.audio.mean((2, 3)).mul(6)[:, :, None, None, None].expand(-1, -1, 4, 4, 4).contiguous()
    bank = MemoryBank.start(BankConfig(), torch.randn(ROWS, 1, 4, 4, 4), random_conditions(ROWS, 1))
    place = torch.zeros(ROWS, dtype=torch.long)
    return Window(bank, clean, heard, torch.ones(ROWS, 9, 1, 4, 4), place, place)


def test_training_lowers_the_error_and_the_report_shows_that_the_voice_is_used(net: MMDiT, window: Window) -> None:
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)
    before = flow_report(net, window)
    for _ in range(120):
        loss, _ = flow_loss(net, window, torch.rand(ROWS, 3), torch.randn_like(window.clean))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = flow_report(net, window)
    assert before["audio_1.0"] == pytest.approx(0, abs=1e-6)
    assert after["clean_1.0"] < 0.6 * before["clean_1.0"]
    assert after["audio_1.0"] > 0.2


def test_weights_say_where_errors_count(net: MMDiT, window: Window) -> None:
    noise, level = torch.randn_like(window.clean), torch.full((ROWS, 3), 0.5)
    half = torch.ones_like(window.weight)
    half[..., 2:] = 0
    spoiled = window.clean.clone()
    spoiled[..., 2:] += 100
    blind, _ = flow_loss(net, replace(window, clean=spoiled, weight=half), level, noise)
    assert float(blind.detach()) < 10
    seeing, _ = flow_loss(net, replace(window, clean=spoiled), level, noise)
    assert float(seeing.detach()) > 100


def test_full_visibility_needs_one_level_and_scores_the_stream_alone(net: MMDiT, window: Window) -> None:
    loss, values = full_visibility_loss(net, window, torch.full((ROWS, 1), 0.5), torch.randn_like(window.clean))
    assert torch.isfinite(loss)
    assert values["flow"] == loss.detach()


def test_a_student_equal_to_its_teacher_has_nothing_to_learn_until_there_is_guidance(
    net: MMDiT, window: Window
) -> None:
    with torch.no_grad():
        for name, p in net.named_parameters():
            if "guidance_in" not in name:
                p.add_(0.05 * torch.randn_like(p))
    teacher = copy.deepcopy(net).eval()
    noise = torch.randn_like(window.clean)
    everywhere = torch.ones(window.clean.shape[-2:])
    alone = SegmentDistillation(teacher, Staircase(micro_steps=1), everywhere, weights=(1.0, 1.0))
    assert float(alone.loss(net, window, noise)[0].detach()) < 1e-9
    guided = SegmentDistillation(teacher, Staircase(micro_steps=1), everywhere, weights=(4.0, 4.0))
    assert float(guided.loss(net, window, noise)[0].detach()) > 1e-6
    many = SegmentDistillation(teacher, Staircase(micro_steps=3), everywhere, weights=(1.0, 1.0))
    assert float(many.loss(net, window, noise)[0].detach()) > 1e-6


def test_distilling_moves_the_student_only(net: MMDiT, window: Window) -> None:
    teacher = copy.deepcopy(net).requires_grad_(False)
    everywhere = torch.ones(window.clean.shape[-2:])
    distillation = SegmentDistillation(teacher, Staircase(micro_steps=2), everywhere)
    loss, _ = distillation.loss(net, window, torch.randn_like(window.clean))
    loss.backward()
    assert all(p.grad is None for p in teacher.parameters())


def test_dropping_and_roughening_touch_some_rows_and_never_the_portrait(window: Window) -> None:
    torch.manual_seed(0)
    many = Conditions(*(t.repeat(64, *(1,) * (t.ndim - 1)) for t in vars(window.conditions).values()))
    dropped = drop_conditions(many, 0.25)
    for present in (dropped.audio_present, dropped.text_present, dropped.motion_present):
        assert 0.1 < 1 - float(present[:, 0].mean()) < 0.4
        assert torch.equal(present[:, :1].expand_as(present), present)
    bank = replace(window.bank, recent=torch.zeros(ROWS, 4, 4, 4, 4))
    rough = roughen_memory(bank, 0.5)
    moved = rough.recent.flatten(1).any(1)
    assert torch.equal(rough.reference, bank.reference)
    assert float(rough.recent.std()) < 0.5
    assert not bool(moved.all()) or ROWS < 3


def test_drifting_bends_all_filled_slots_of_some_rows_alike(window: Window) -> None:
    torch.manual_seed(0)
    many = replace(
        window.bank,
        reference=window.bank.reference[:1].expand(64, -1, -1, -1, -1),
        recent=torch.zeros(64, 4, 4, 4, 4),
        filled=torch.tensor([False, True, True, True]).expand(64, -1),
    )
    drifted = drift_memory(many, 0.5)
    moved = drifted.recent[:, 1:].flatten(1).any(1)
    assert 0.3 < float(moved.float().mean()) < 0.7
    torch.testing.assert_close(drifted.recent[:, 1], drifted.recent[:, 3])
    assert not drifted.recent[:, 0].any()
    assert torch.equal(drifted.reference, many.reference)

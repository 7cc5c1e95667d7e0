import itertools

import pytest
import torch

from flowact.core.errors import ConfigError
from flowact.diffusion.levels import draw_independent, draw_staircase, staircase_levels, warp
from flowact.diffusion.path import add_noise, clean_from_velocity, velocity
from flowact.diffusion.plan import Staircase
from flowact.diffusion.solver import euler


def test_levels_match_the_worked_example_of_the_paper_notes() -> None:
    assert staircase_levels(3, 3.0) == pytest.approx((0.6, 0.857142857, 1.0))
    assert staircase_levels(3, 5.0) == pytest.approx((0.714285714, 0.909090909, 1.0))


@pytest.mark.parametrize("micro_steps", [1, 2, 4])
@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_passes_join_up_and_end_one_stair_lower(micro_steps: int, chunks: int) -> None:
    plan = Staircase(micro_steps=micro_steps)
    passes = list(plan.until_pop(chunks))
    assert len(passes) == micro_steps
    for a, b in itertools.pairwise(passes):
        assert a.level_to == pytest.approx(b.level_from)
    assert passes[0].level_from[-1] == 1.0
    stairs = (0.0, *plan.entering)
    assert passes[-1].level_to == pytest.approx(stairs[-chunks - 1 : -1])


def test_a_full_stream_pops_a_clean_chunk_every_shift() -> None:
    assert list(Staircase().until_pop(3))[-1].level_to[0] == 0.0
    assert list(Staircase().until_pop(2))[-1].level_to[0] > 0.0


def test_bad_plans_are_refused() -> None:
    with pytest.raises(ConfigError):
        Staircase(micro_steps=0)


def test_training_levels_rise_along_the_staircase_and_stay_in_range() -> None:
    generator = torch.Generator().manual_seed(0)
    stairs = draw_staircase(64, 3, 2.0, generator)
    assert (stairs.diff(dim=1) > 0).all()
    free = draw_independent(64, 3, 2.0, generator)
    for levels in (stairs, free):
        assert levels.min() >= 0
        assert levels.max() <= 1
    assert not (free.diff(dim=1) > 0).all()


def test_following_the_true_velocity_lands_on_the_clean_latents() -> None:
    clean, noise = torch.randn(2, 3, 4, 2, 2), torch.randn(2, 3, 4, 2, 2)
    level = torch.rand(2, 3) * 0.9 + 0.05
    x = add_noise(clean, noise, level)
    v = velocity(clean, noise)
    torch.testing.assert_close(euler(x, v, level, torch.zeros_like(level)), clean)
    torch.testing.assert_close(clean_from_velocity(x, v, level), clean)


def test_warp_keeps_the_ends() -> None:
    assert float(warp(0.0, 4.0)) == 0.0
    assert float(warp(1.0, 4.0)) == 1.0

from dataclasses import replace

import torch

from flowact.core.motion import MOTION_WIDTH
from flowact.core.types import Chunk
from flowact.diffusion.plan import Staircase
from flowact.memory.bank import BankConfig
from flowact.models.motion_codec import MotionCodec, MotionCodecConfig
from flowact.rollout.motion import Mover
from tests.fakes import FakeBackbone, conditions, random_conditions

LATENTS = 8


def mover() -> Mover:
    codec = MotionCodec(MotionCodecConfig(LATENTS))
    return Mover(FakeBackbone(), codec, Staircase(chunks=1, micro_steps=3), BankConfig(long=0, short=4))


def test_every_chunk_is_done_at_once_and_remembered() -> None:
    it = mover()
    bank = it.start(conditions(2, 1))
    assert not bank.recent.any()
    for i in range(3):
        motion, bank = it.move(bank, conditions(2, 3, i + 1.0), torch.randn(2, 3, LATENTS, 1, 1))
        assert motion.shape == (2, 3, 4, MOTION_WIDTH)
        torch.testing.assert_close(bank.recent[:, -1:], torch.full((2, 1, LATENTS, 1, 1), i + 1.0), atol=0.05, rtol=0)
        torch.testing.assert_close(it.codec.encode(motion), bank.recent[:, -3:])
    assert it.network.calls == 9
    torch.testing.assert_close(bank.recent[:, 0], torch.full((2, LATENTS, 1, 1), 2.0), atol=0.05, rtol=0)
    assert bool(bank.filled.all())


def test_what_is_shown_is_remembered_as_what_was_made() -> None:
    it = mover()
    start, given = it.start(conditions(2, 1)), random_conditions(2, 3)
    motion, made = it.move(start, given, torch.randn(2, 3, LATENTS, 1, 1))
    shown = it.follow(start, Chunk(0, torch.randn(2, 3, 4, 4, 4), 0.0, replace(given, motion=motion)))
    torch.testing.assert_close(shown.recent, made.recent)
    for name, value in vars(made.conditions).items():
        torch.testing.assert_close(getattr(shown.conditions, name), value)


def test_a_part_of_a_chunk_is_the_motion_of_its_latent_frames() -> None:
    it = mover()
    start, given = it.start(conditions(1, 1)), random_conditions(1, 3)
    part = it.follow(start, Chunk(0, torch.randn(1, 3, 4, 4, 4), 0.0, given).part(0, 2))
    torch.testing.assert_close(part.recent[:, -2:], it.codec.encode(given.motion[:, :2]))
    assert not part.filled[:, :-2].any()


def test_calm_noise_is_less_of_the_same() -> None:
    class Still(FakeBackbone):
        def __call__(self, frames, remembered, guidance):  # type: ignore[no-untyped-def]
            return torch.zeros_like(frames.latents)

    calm = replace(mover(), network=Still(), noise_scale=0.5)
    noise = torch.randn(1, 3, LATENTS, 1, 1)
    _, bank = calm.move(calm.start(conditions(1, 1)), conditions(1, 3), noise)
    torch.testing.assert_close(bank.recent[:, -3:], 0.5 * noise)


def test_a_chunk_begins_where_the_one_before_ended_and_soon_is_what_was_drawn() -> None:
    it = mover()
    first, bank = it.move(it.start(conditions(1, 1)), conditions(1, 3, 1.0), torch.zeros(1, 3, LATENTS, 1, 1))
    drawn = it.codec.decode(torch.full((1, 3, LATENTS, 1, 1), 1.0))
    torch.testing.assert_close(first, drawn)
    second, _ = it.move(bank, conditions(1, 3, 5.0), torch.zeros(1, 3, LATENTS, 1, 1))
    drawn = it.codec.decode(torch.full((1, 3, LATENTS, 1, 1), 5.0))
    start, end, gap = first[0, -1, -1], drawn[0, 0, 0], (drawn[0, 0, 0] - first[0, -1, -1]).norm()
    assert float((second[0, 0, 0] - start).norm()) < 0.45 * float(gap)
    assert float((second[0, 0, 0] - end).norm()) < 0.65 * float(gap)
    assert float((second[0, -1, -1] - drawn[0, -1, -1]).norm()) < 0.01 * float(gap)

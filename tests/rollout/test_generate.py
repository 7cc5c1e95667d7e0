import torch

from flowact.diffusion.guidance import ClassifierFree, NoGuidance, VoiceGuidance
from flowact.diffusion.plan import Staircase
from flowact.memory.bank import BankConfig, MemoryBank
from flowact.rollout.generate import StreamState, shift
from tests.fakes import CHANNELS, GRID, FakeBackbone, conditions


def state(rows: int = 2) -> StreamState:
    return StreamState.start(
        MemoryBank.start(BankConfig(), torch.zeros(rows, 1, CHANNELS, GRID, GRID), conditions(rows, 1))
    )


def noise(rows: int = 2) -> torch.Tensor:
    return torch.randn(rows, 3, CHANNELS, GRID, GRID)


def test_chunks_pop_in_order_after_the_stream_is_full_and_reach_their_own_target() -> None:
    now, popped = state(), []
    for i in range(6):
        given = conditions(2, 3, i + 1.0)
        done, now = shift(FakeBackbone(), Staircase(micro_steps=1), NoGuidance(), now, given, noise())
        if done is not None:
            popped.append(done)
    assert [c.index for c in popped] == [0, 1, 2, 3]
    for c in popped:
        torch.testing.assert_close(c.latents, torch.full_like(c.latents, c.index + 1.0))
    assert len(now.chunks) == 2


def test_evaluations_per_shift_are_the_plan_times_the_guidance() -> None:
    backbone, now = FakeBackbone(), state()
    _, now = shift(backbone, Staircase(micro_steps=4), NoGuidance(), now, conditions(2, 3), noise())
    assert backbone.calls == 4
    shift(backbone, Staircase(micro_steps=4), ClassifierFree(3.0), now, conditions(2, 3), noise())
    assert backbone.calls == 4 + 8


def test_guidance_pushes_past_the_conditional_answer() -> None:
    class Deaf(FakeBackbone):
        def __call__(self, frames, remembered, guidance):  # type: ignore[no-untyped-def]
            heard = frames.conditions.audio_present[:, :, None, None, None]
            return super().__call__(frames, remembered, guidance) * heard

    args = (Staircase(micro_steps=1), state(), conditions(2, 3, 1.0), noise())
    plan, now, given, eps = args
    _, plain = shift(Deaf(), plan, NoGuidance(), now, given, eps)
    _, pushed = shift(Deaf(), plan, ClassifierFree(2.0), now, given, eps)
    moved = plain.chunks[0].latents - eps
    torch.testing.assert_close(pushed.chunks[0].latents - eps, 2 * moved)


def test_a_shift_changes_nothing_in_the_state_it_was_given() -> None:
    now = state()
    _, later = shift(FakeBackbone(), Staircase(), NoGuidance(), now, conditions(2, 3), noise())
    assert now.chunks == ()
    assert later.next_index == 1


def test_the_voice_is_guided_where_the_mouth_is_and_the_prompt_is_left_alone() -> None:
    class Deaf(FakeBackbone):
        def __call__(self, frames, remembered, guidance):  # type: ignore[no-untyped-def]
            assert bool(frames.conditions.text_present.all())
            heard = frames.conditions.audio_present[:, :, None, None, None]
            return super().__call__(frames, remembered, guidance) * heard

    region = torch.zeros(GRID, GRID)
    region[0, 0], region[0, 1] = 1.0, 0.5
    now, given, eps = state(), conditions(2, 3, 1.0), noise()
    _, plain = shift(Deaf(), Staircase(micro_steps=1), NoGuidance(), now, given, eps)
    _, pushed = shift(Deaf(), Staircase(micro_steps=1), VoiceGuidance(3.0, region), now, given, eps)
    moved, further = plain.chunks[0].latents - eps, pushed.chunks[0].latents - eps
    torch.testing.assert_close(further, moved * (1 + 2 * region))

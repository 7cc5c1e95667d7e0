from dataclasses import replace

import pytest
import torch

from flowact.core.errors import ConfigError
from flowact.core.motion import MOTION_WIDTH, motion_slice
from flowact.core.types import Chunk, Conditions
from flowact.diffusion.guidance import ClassifierFree, NoGuidance
from flowact.diffusion.plan import Staircase
from flowact.memory.bank import BankConfig, MemoryBank
from flowact.models.lips import Lips, LipsConfig
from flowact.models.motion_codec import MotionCodec, MotionCodecConfig
from flowact.rollout.motion import Mover
from tests import fakes
from tests.fakes import FakeBackbone

LATENTS = 8


def conditions(rows: int, times: int, value: float = 0.0) -> Conditions:
    """Nobody speaks, so lips are imagined like all else."""
    given = fakes.conditions(rows, times, value)
    return replace(given, audio_present=torch.zeros_like(given.audio_present))


def random_conditions(rows: int, times: int) -> Conditions:
    given = fakes.random_conditions(rows, times)
    return replace(given, audio_present=torch.zeros_like(given.audio_present))


def mover() -> Mover:
    codec = MotionCodec(MotionCodecConfig(LATENTS))
    lips = Lips(LipsConfig(conditions(1, 1).audio.shape[-1]))
    plan, bank = Staircase(chunks=1, micro_steps=3), BankConfig(long=0, short=4)
    return Mover(FakeBackbone(), codec, lips, plan, bank, NoGuidance())


def test_every_chunk_is_done_at_once_and_remembered() -> None:
    it = mover()
    bank = it.start(conditions(2, 1))
    assert not bank.recent.any()
    for i in range(3):
        motion, bank = it.move(bank, conditions(2, 3, i + 1.0), torch.randn(2, 3, LATENTS, 1, 1))
        assert motion.shape == (2, 3, 4, MOTION_WIDTH)
        torch.testing.assert_close(bank.recent[:, -1:], torch.full((2, 1, LATENTS, 1, 1), i + 1.0), atol=0.05, rtol=0)
    assert it.network.calls == 9
    torch.testing.assert_close(bank.recent[:, 0], torch.full((2, LATENTS, 1, 1), 2.0), atol=0.05, rtol=0)
    assert bool(bank.filled.all())


def test_lips_follow_the_voice_and_are_remembered_so() -> None:
    it = mover()
    width = 4 * MOTION_WIDTH
    it.codec.config = MotionCodecConfig(width)
    it.codec.basis, it.codec.scale = torch.eye(width), torch.ones(width)
    it.lips.bias.fill_(0.7)
    bank, visemes = it.start(conditions(1, 1)), motion_slice("visemes")
    noise = torch.randn(1, 3, width, 1, 1)
    silent, _ = it.move(bank, conditions(1, 3, 2.0), noise)
    spoken, bank = it.move(bank, fakes.conditions(1, 3, 2.0), noise)
    torch.testing.assert_close(spoken[..., visemes], torch.full((1, 3, 4, 15), 0.7))
    assert (silent[..., visemes] - 0.7).abs().min() > 0.01
    assert torch.equal(spoken[..., visemes.stop :], silent[..., visemes.stop :])
    remembered = it.codec.decode(bank.recent)[:, -3:]
    torch.testing.assert_close(remembered[..., visemes], spoken[..., visemes])


def test_what_is_shown_can_be_what_is_remembered() -> None:
    it = mover()
    start, given = it.start(conditions(2, 1)), random_conditions(2, 3)
    motion, made = it.move(start, given, torch.randn(2, 3, LATENTS, 1, 1))
    shown = it.follow(start, Chunk(0, torch.randn(2, 3, 4, 4, 4), 0.0, replace(given, motion=motion)))
    torch.testing.assert_close(shown.recent[:, -3:], it.codec.encode(motion))
    assert torch.equal(shown.filled, made.filled)
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
    # Only what joins it to the pose at rest is left of anything else.
    torch.testing.assert_close(bank.recent[:, -1:], 0.5 * noise[:, -1:], atol=0.02, rtol=0)


def remembered(it: Mover, bank: MemoryBank) -> torch.Tensor:
    """The last chunk as it was made, [12, M]."""
    return it.codec.decode(bank.recent[:, -3:])[0].flatten(0, 1)


def test_a_chunk_begins_where_the_one_before_ended_and_soon_is_what_was_drawn() -> None:
    it = mover()
    _, bank = it.move(it.start(conditions(1, 1)), conditions(1, 3, 1.0), torch.zeros(1, 3, LATENTS, 1, 1))
    start = remembered(it, bank)[-1]
    torch.testing.assert_close(start, it.codec.decode(torch.full((1, 1, LATENTS, 1, 1), 1.0))[0, 0, -1])
    _, bank = it.move(bank, conditions(1, 3, 5.0), torch.zeros(1, 3, LATENTS, 1, 1))
    made, drawn = remembered(it, bank), it.codec.decode(torch.full((1, 3, LATENTS, 1, 1), 5.0))[0].flatten(0, 1)
    gap = float((drawn[0] - start).norm())
    assert float((made[0] - start).norm()) < 0.45 * gap
    assert float((made[0] - drawn[0]).norm()) < 0.65 * gap
    assert float((made[-1] - drawn[-1]).norm()) < 0.01 * gap


class Drawn(FakeBackbone):
    """Goes from pure noise straight to the latents it was given."""

    def __init__(self, latents: torch.Tensor) -> None:
        super().__init__()
        self.latents = latents

    def __call__(self, frames, remembered, guidance):  # type: ignore[no-untyped-def]
        return frames.latents - self.latents


def test_what_has_mass_lags_and_does_not_tremble_and_a_mouth_is_in_time() -> None:
    it = mover()
    width = 4 * MOTION_WIDTH
    it.codec.config = MotionCodecConfig(width)
    it.codec.basis, it.codec.scale = torch.eye(width), torch.ones(width)
    time = torch.arange(36)[:, None].float()
    motion = {
        "a nod at 1 Hz": (2 * torch.pi * time / 25).sin().expand(-1, MOTION_WIDTH),
        "trembling": (time % 2 - 0.5).expand(-1, MOTION_WIDTH),
    }
    shown = {}
    for name, line in motion.items():
        bank, parts = it.start(conditions(1, 1)), []
        for chunk in it.codec.encode(line.unflatten(0, (1, 9, 4))).split(3, 1):
            one_pass = replace(it, network=Drawn(chunk), plan=Staircase(chunks=1, micro_steps=1))
            part, bank = one_pass.move(bank, conditions(1, 3), torch.zeros(1, 3, width, 1, 1))
            parts.append(part[0].flatten(0, 1))
        shown[name] = torch.cat(parts)
    head, visemes, face = motion_slice("head"), motion_slice("visemes"), motion_slice("face")
    nod, trembling = shown["a nod at 1 Hz"], shown["trembling"]
    # Chunks that begin where the last one ended repeat a frame, hence the tolerances.
    true = motion["a nod at 1 Hz"]
    assert (nod[12:, head] - 0.94 * true[8:-4, head]).abs().max() < 0.1
    assert (nod[12:, head] - 0.94 * true[12:, head]).abs().max() > 0.5
    assert (nod[:, visemes] - true[:, visemes]).abs().max() < 0.17
    assert (nod[:, face] - true[:, face]).abs().max() < 0.17
    assert trembling[14:, head].diff(dim=0).abs().max() < 0.15
    assert trembling[14:20, visemes].diff(dim=0).abs().min() > 0.9


def test_a_memory_too_short_to_steady_motion_is_refused() -> None:
    with pytest.raises(ConfigError, match="short >= 2"):
        replace(mover(), bank=BankConfig(long=0, short=1))


def test_a_stream_begins_with_the_body_at_rest() -> None:
    it = mover()
    motion, _ = it.move(it.start(conditions(1, 1)), conditions(1, 3, 5.0), torch.zeros(1, 3, LATENTS, 1, 1))
    drawn = it.codec.decode(torch.full((1, 3, LATENTS, 1, 1), 5.0))[0, :, 0, :LATENTS]
    seen = motion[0, :, 0, :LATENTS]  # this codec codes visemes of the first of four frames, which may jump
    assert float(seen[0].norm()) < 0.65 * float(drawn[0].norm())
    assert float((seen[2] - drawn[2]).norm()) < 0.03 * float(drawn[2].norm())


def test_a_stance_goes_back_to_rest_and_all_else_stays() -> None:
    it = mover()
    width = 4 * MOTION_WIDTH
    it.codec.config = MotionCodecConfig(width)
    it.codec.basis, it.codec.scale = torch.eye(width), torch.ones(width)
    leaning = it.codec.encode(torch.ones(1, 3, 4, MOTION_WIDTH))
    one_pass = replace(it, network=Drawn(leaning), plan=Staircase(chunks=1, micro_steps=1))
    bank = it.start(conditions(1, 1))
    for _ in range(3):
        shown, bank = one_pass.move(bank, conditions(1, 3), torch.zeros(1, 3, width, 1, 1))
    last = remembered(it, bank)[-1]
    for track in ("torso", "sway"):
        torch.testing.assert_close(last[motion_slice(track)], torch.full((3,), 0.787), atol=0.01, rtol=0)
    for track in ("head", "wrist", "visemes"):
        assert bool((last[motion_slice(track)] > 0.98).all())
    assert float(shown[0, -1, -1, motion_slice("torso")].max()) < 0.95


def test_guidance_takes_what_the_voice_adds_further() -> None:
    class Told(FakeBackbone):
        def __call__(self, frames, remembered, guidance):  # type: ignore[no-untyped-def]
            self.calls += 1
            heard = frames.conditions.audio_present.float().view(len(frames.latents), -1, 1, 1, 1)
            return -heard.expand_as(frames.latents)

    plain, guided = (replace(mover(), network=Told(), guidance=way) for way in (NoGuidance(), ClassifierFree(2.0)))
    given, noise = conditions(1, 3), torch.zeros(1, 3, LATENTS, 1, 1)
    made = [it.move(it.start(conditions(1, 1)), given, noise)[1].recent[:, -3:] for it in (plain, guided)]
    assert (plain.network.calls, guided.network.calls) == (3, 6)
    torch.testing.assert_close(made[1][:, 1:], 2 * made[0][:, 1:])

"""What compiled graphs compute, against eager PyTorch in float32."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from flowact.core.clock import LATENTS_PER_CHUNK
from flowact.core.errors import ShapeError
from flowact.core.motion import MOTION_SCALE, aim_hands, motion_slice
from flowact.core.types import Chunk
from flowact.diffusion.guidance import VoiceGuidance
from flowact.memory.bank import MemoryBank
from flowact.models.video_vae.model import VideoVAE
from flowact.nn.rope import rope_angles, rotate
from flowact.rollout.generate import StreamState, shift, stack
from flowact.speed.codec import FastCodec
from flowact.speed.runtime import Doors
from flowact.stream.avatar import Avatar
from flowact.stream.session import to_frames, to_pixels
from tests.fakes import random_conditions


def error(got: Tensor, expected: Tensor) -> float:
    """Mean absolute error over mean absolute deviation."""
    got, expected = got.float(), expected.float()
    return float((got - expected).abs().mean() / (expected - expected.mean()).abs().mean())


def given(avatar: Avatar, rows: int, time: int):  # type: ignore[no-untyped-def]
    sizes = avatar.networks()["backbone"].config
    return random_conditions(rows, time, sizes.audio_dim, sizes.text_dim)


def bank_of(avatar: Avatar, rows: int, chunks: int) -> MemoryBank:
    """A memory after some finished chunks; long slots of a young one are empty."""
    c = avatar.networks()["backbone"].config
    shape = (c.latent_channels, c.grid, c.grid)
    colours = torch.randn(rows, 3, 2 * c.grid, 2 * c.grid)
    bank = MemoryBank.start(avatar.config.bank, torch.randn(rows, 1, *shape), given(avatar, rows, 1), colours)
    for i in range(chunks):
        bank = bank.commit(Chunk(i, torch.randn(rows, 3, *shape), 0.0, given(avatar, rows, 3)))
    return bank


def in_flight(avatar: Avatar, rows: int, count: int) -> tuple[Chunk, ...]:
    c = avatar.networks()["backbone"].config
    levels = avatar.plan.entering[-count:]
    return tuple(
        Chunk(i, torch.randn(rows, LATENTS_PER_CHUNK, c.latent_channels, c.grid, c.grid), level, given(avatar, rows, 3))
        for i, level in enumerate(levels)
    )


@pytest.mark.parametrize("chunks", [0, 1, 5])
def test_what_is_remembered(eager: Avatar, fast: Doors, bound: float, chunks: int) -> None:
    torch.manual_seed(chunks)
    memory = bank_of(eager, 2, chunks).view()
    with torch.inference_mode():
        expected, got = eager.backbone.remember(memory), fast.backbone.remember(memory)
        angles = rope_angles(expected.index, eager.backbone.config.width // eager.backbone.config.heads)
        assert error(got.keys, torch.stack([rotate(kv.k, angles) for kv in expected.kv])) < bound
        assert error(got.values, torch.stack([kv.v for kv in expected.kv])) < bound
        assert error(got.backdrop, expected.backdrop) < bound


@pytest.mark.parametrize(("rows", "count"), [(1, 1), (1, 2), (1, 3), (2, 3)])
def test_velocities(eager: Avatar, fast: Doors, bound: float, rows: int, count: int) -> None:
    torch.manual_seed(count)
    memory = bank_of(eager, rows, count - 1).view()
    stream = stack(in_flight(eager, rows, count), eager.plan.entering[-count:])
    with torch.inference_mode():
        a, b = eager.backbone.remember(memory), fast.backbone.remember(memory)
        assert error(fast.backbone(stream, b, None), eager.backbone(stream, a, None)) < bound


def test_velocities_of_what_is_withheld_and_with_a_told_guidance(eager: Avatar, fast: Doors, bound: float) -> None:
    torch.manual_seed(1)
    memory = bank_of(eager, 1, 2).view()
    stream = stack(in_flight(eager, 1, 3), eager.plan.entering)
    deaf, still = (replace(stream, conditions=stream.conditions.without(*w)) for w in (("audio", "text"), ("motion",)))
    with torch.inference_mode():
        a, b = eager.backbone.remember(memory), fast.backbone.remember(memory)
        plain = fast.backbone(stream, b, None)
        for frames, weight in ((deaf, None), (still, None), (stream, torch.tensor([0.4]))):
            got = fast.backbone(frames, b, weight)
            assert error(got, eager.backbone(frames, a, weight)) < bound
            assert not torch.equal(got, plain)


def test_motion(eager: Avatar, fast: Doors, bound: float) -> None:
    torch.manual_seed(0)
    mover = eager.mover
    faster = replace(mover, network=fast.motion)
    heard = given(eager, 1, 3)
    before, noise = mover.start(given(eager, 1, 1)), torch.randn(1, 3, mover.codec.config.latents, 1, 1)
    with torch.inference_mode():
        expected, known = mover.move(before, heard, noise)
        got, _ = faster.move(before, heard, noise)
        assert error(got, expected) < bound
        again, _ = faster.move(known, heard, noise)
        assert error(again, mover.move(known, heard, noise)[0]) < bound


def test_what_was_handed_out_is_not_overwritten(eager: Avatar, fast: Doors) -> None:
    torch.manual_seed(2)
    first, second = bank_of(eager, 1, 3).view(), bank_of(eager, 1, 3).view()
    remembered = fast.backbone.remember(first)
    before = remembered.keys.clone(), remembered.values.clone()
    fast.backbone.remember(second)
    assert torch.equal(remembered.keys, before[0])
    assert torch.equal(remembered.values, before[1])


@pytest.mark.parametrize(("time", "every"), [(1, 1), (3, 1), (1, 2)])
def test_pictures(eager: Avatar, fast: Doors, portrait: np.ndarray, bound: float, time: int, every: int) -> None:
    """The portrait is noise, so that a wrong address of a hundredth of a pixel shows; hence the wider bound of bf16."""
    torch.manual_seed(3)
    grid = eager.codec.config.latent_channels, portrait.shape[0] // 16, portrait.shape[0] // 16
    pixels = to_pixels(portrait[None, None], torch.device("cpu"))[:, 0]
    with torch.inference_mode():
        a, b = eager.codec.initial_decode_state(pixels), fast.codec.initial_decode_state(pixels)
        for _ in range(2):  # the second time with a past
            latents, motion = torch.randn(1, time, *grid), given(eager, 1, time).motion
            expected, a = eager.codec.decode(latents, a, motion, every)
            got, b = fast.codec.decode(latents, b, motion, every)
            wanted, shown = (torch.from_numpy(to_frames(clip[0])) for clip in (expected, got))
            assert shown.shape == wanted.shape
            assert error(shown, wanted) < (0.1 if fast.backbone.precision == "bf16" else 1e-3)
            assert all(error(x, y) < bound for x, y in zip((b.sheet, *b.memory), (a.sheet, *a.memory)))


def test_rows_of_a_batch_are_decoded_each_alone(fast: Doors, portrait: np.ndarray, eager: Avatar) -> None:
    torch.manual_seed(4)
    frames = np.stack((portrait, portrait[::-1]))[:, None]
    pixels = to_pixels(frames, torch.device("cpu"))[:, 0]
    latents = torch.randn(2, 1, eager.codec.config.latent_channels, portrait.shape[0] // 16, portrait.shape[0] // 16)
    motion = given(eager, 2, 1).motion
    with torch.inference_mode():
        begin = fast.codec.initial_decode_state(pixels)
        both, after = fast.codec.decode(latents, begin, motion)
        for i in range(2):
            # Not looked at anew: of one portrait and of two, sums may be rounded otherwise.
            parts = {name: x[i : i + 1] for name, x in begin._asdict().items() if name != "memory"}
            state = begin._replace(memory=tuple(x[i : i + 1] for x in begin.memory), **parts)
            alone, one = fast.codec.decode(latents[i : i + 1], state, motion[i : i + 1])
            # Close-ups of both are drawn at once, and sums of other sizes may round otherwise.
            assert (both[i].int() - alone[0].int()).abs().max() <= 1
            assert torch.equal(after.memory[0][i], one.memory[0][0])
            assert torch.equal(after.sheet[i], one.sheet[0])


def test_close_ups_are_drawn_on_what_a_graph_drew(
    fast: Doors, portrait: np.ndarray, eager: Avatar, closer: VideoVAE, fast_closer: FastCodec
) -> None:
    torch.manual_seed(6)
    pixels = to_pixels(portrait[None, None], torch.device("cpu"))[:, 0]
    coarse = portrait.shape[0] // 16
    latents, motion = torch.randn(1, 1, closer.config.latent_channels, coarse, coarse), given(eager, 1, 1).motion
    motion[..., motion_slice("hand_active")] = MOTION_SCALE["hand_active"]
    seen = torch.tensor([[(x, 0.7), (x, 0.5)] for x in (0.8, 0.3)]).expand(4, -1, -1, -1)
    motion = aim_hands(motion.flatten(0, 2), seen).view_as(motion)
    with torch.inference_mode():
        drawn, _ = fast.codec.decode(latents, fast.codec.initial_decode_state(pixels), motion, 2)
        state = fast_closer.initial_decode_state(pixels)
        assert state.mouth.shape == (1, 2)
        again, _ = fast_closer.decode(latents, state, motion, 2)
        expected = closer.draw_closer(drawn, state, motion, 2)
    assert again.dtype == torch.uint8
    changed = expected != drawn
    assert 0.2 < float(changed.float().mean()) < 1
    assert (again[~changed].int() - drawn[~changed].int()).abs().max() <= 3
    assert error(again, expected) < (0.1 if fast.backbone.precision == "bf16" else 1e-3)


def test_latents_that_do_not_fit_are_refused(fast: Doors, portrait: np.ndarray) -> None:
    state = fast.codec.initial_decode_state(to_pixels(portrait[None, None], torch.device("cpu"))[:, 0])
    motion = torch.zeros(1, 1, 4, fast.codec.config.motion_dim)
    for latents, every in ((torch.zeros(1, 1, 3, 4, 4), 1), (torch.zeros(1, 1, 4, 4, 4), 3)):
        with pytest.raises(ShapeError, match="expected"):
            fast.codec.decode(latents, state, motion, every)


def test_a_shift_with_two_evaluations(eager: Avatar, fast: Doors, bound: float) -> None:
    torch.manual_seed(5)
    guidance = VoiceGuidance(3.0, eager.anchor.mouth)
    state = StreamState(in_flight(eager, 1, 2), bank_of(eager, 1, 4), 2)
    c = eager.backbone.config
    noise = torch.randn(1, 3, c.latent_channels, c.grid, c.grid)
    entering = given(eager, 1, 3)
    (a, _), (b, _) = (
        shift(net, eager.plan, guidance, state, entering, noise) for net in (eager.backbone, fast.backbone)
    )
    assert a is not None
    assert b is not None
    assert error(b.latents, a.latents) < bound


def test_a_film_of_three_chunks(eager: Avatar, fast: Doors) -> None:
    """Of a smooth picture, as people are: within one of 255 levels on average in bfloat16."""
    quick = copy.copy(eager)
    quick.backbone, quick.codec = fast.backbone, fast.codec
    quick.mover = replace(eager.mover, network=fast.motion)
    ramp = np.linspace(0, 255, eager.config.size)
    portrait = np.stack((ramp[:, None] + 0 * ramp, ramp + 0 * ramp[:, None], np.full((len(ramp),) * 2, 90.0)), -1)
    sound = np.random.default_rng(1).normal(0, 0.1, 3 * 7680).astype(np.float32)
    a, b = (np.concatenate([c.frames for c in who.stream(portrait.astype(np.uint8), sound)]) for who in (eager, quick))
    assert a.shape == b.shape == (36, *portrait.shape)
    levels = np.abs(a.astype(int) - b).mean()
    assert levels < (1.0 if fast.backbone.precision == "bf16" else 0.01)

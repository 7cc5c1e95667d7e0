from dataclasses import replace

import pytest
import torch

from flowact.core.errors import ConfigError
from flowact.core.types import Frames, Role
from flowact.memory.bank import BankConfig, MemoryBank
from flowact.models.mmdit.config import SIZES, MMDiTConfig
from flowact.models.mmdit.model import MMDiT
from tests.fakes import SMALL_MMDIT, random_conditions

SMALL = replace(SMALL_MMDIT, depth=3)


@pytest.fixture
def net() -> MMDiT:
    torch.manual_seed(0)
    model = MMDiT(SMALL).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model


def stream(rows: int = 2, time: int = 9) -> Frames:
    return Frames(
        torch.randn(rows, time, 4, 4, 4),
        torch.rand(rows, time),
        torch.arange(time),
        torch.full((time,), int(Role.STREAM)),
        torch.ones(rows, time, dtype=torch.bool),
        random_conditions(rows, time),
    )


def bank(rows: int = 2) -> MemoryBank:
    return MemoryBank.start(BankConfig(), torch.randn(rows, 1, 4, 4, 4), random_conditions(rows, 1))


def test_a_fresh_network_returns_the_best_linear_guess() -> None:
    frames = stream()
    level = frames.level[:, :, None, None, None]
    expected = (2 * level - 1) / ((1 - level) ** 2 + level**2) * frames.latents
    torch.testing.assert_close(MMDiT(SMALL)(frames), expected)


def test_memory_never_sees_the_stream_but_the_stream_sees_memory(net: MMDiT) -> None:
    frames, memory = stream(), bank().view()
    one = net(frames, net.remember(memory))
    other = net(frames, net.remember(replace(memory, latents=memory.latents + 1)))
    assert not torch.allclose(one, other)
    for a, b in zip(net.remember(memory).kv, net.remember(memory).kv):
        torch.testing.assert_close(a.k, b.k, rtol=0, atol=0)


def test_the_portrait_and_the_newest_latent_lie_under_every_video_token(net: MMDiT) -> None:
    memory = bank().view()
    remembered = net.remember(memory)
    assert remembered.backdrop.shape == (2, 1, SMALL.video_tokens, SMALL.width)
    middle = memory.latents.clone()
    middle[:, 1:-1] += 1
    assert torch.equal(remembered.backdrop, net.remember(replace(memory, latents=middle)).backdrop)
    for end in (0, -1):
        changed = memory.latents.clone()
        changed[:, end] += 1
        assert not torch.allclose(remembered.backdrop, net.remember(replace(memory, latents=changed)).backdrop)


def test_with_memory_in_the_sequence_the_same_backdrop_is_found(net: MMDiT) -> None:
    memory = bank().view()
    both = net._backdrop(Frames.cat([memory, stream()]))
    torch.testing.assert_close(both, net.remember(memory).backdrop)
    assert not net._backdrop(stream()).any()


def test_empty_slots_are_seen_by_nobody(net: MMDiT) -> None:
    frames, memory = stream(), bank().view()
    filled = memory.latents.clone()
    filled[:, ~memory.valid[0]] = 7.0
    torch.testing.assert_close(
        net(frames, net.remember(memory)), net(frames, net.remember(replace(memory, latents=filled)))
    )


def test_remembered_keys_equal_one_pass_over_everything_under_the_fake_causal_mask(net: MMDiT) -> None:
    """The stream's answer does not depend on whether memory ran before or is placed later in time by its position."""
    frames, memory = stream(), bank().view()
    moved = replace(memory, position=memory.position - 5)
    apart, shifted = net.remember(memory), net.remember(moved)
    # Keys are kept without RoPE: in the first block, they cannot depend on where the memory stands in time.
    torch.testing.assert_close(apart.kv[0].k, shifted.kv[0].k)
    assert not torch.allclose(net(frames, apart), net(frames, shifted))


def test_rows_do_not_mix(net: MMDiT) -> None:
    frames, memory = stream(), bank().view()
    both = net(frames, net.remember(memory))

    def second(f: Frames) -> Frames:
        return Frames(f.latents[1:], f.level[1:], f.position, f.role, f.valid[1:], f.conditions.map(lambda x: x[1:]))

    torch.testing.assert_close(both[1:], net(second(frames), net.remember(second(memory))), rtol=1e-4, atol=1e-5)


def test_voice_prompt_motion_level_and_guidance_all_matter(net: MMDiT) -> None:
    frames = stream()
    base = net(frames)
    for name in ("audio", "text", "motion"):
        assert not torch.allclose(base, net(replace(frames, conditions=frames.conditions.without(name))))
    assert not torch.allclose(base, net(frames, None, torch.full((2,), 0.3)))


def test_patches_are_put_back_where_they_came_from() -> None:
    net = MMDiT(SMALL)
    side = SMALL.grid // SMALL.patch
    x = torch.randn(2, 3, SMALL.latent_channels, SMALL.grid, SMALL.grid)
    cells = x.unflatten(-1, (side, 2)).unflatten(-3, (side, 2)).permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(2, 3)
    torch.testing.assert_close(net._unpatch(cells), x)


def test_named_sizes_can_be_counted_without_memory() -> None:
    with torch.device("meta"):
        counts = {name: sum(p.numel() for p in MMDiT(c).parameters()) for name, c in SIZES.items()}
    assert 10e6 < counts["nano"] < 20e6
    assert 1.0e9 < counts["1.3b"] < 1.6e9
    assert 12e9 < counts["14b"] < 16e9


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="heads"):
        MMDiTConfig(width=100, heads=3)


def test_motion_says_other_things_at_other_places(net: MMDiT) -> None:
    moves = net.motion_in
    assert moves is not None
    told = moves(stream().conditions, torch.zeros(2, 1, SMALL.video_tokens, SMALL.width))
    assert told.shape == (2, 9, SMALL.video_tokens, SMALL.width)
    assert not torch.allclose(told[:, :, 0], told[:, :, 1])
    assert not moves(stream().conditions.without("motion"), torch.zeros(2, 1, SMALL.video_tokens, SMALL.width)).any()


def test_the_portrait_s_colours_reach_every_token(net: MMDiT) -> None:
    seeing = MMDiT(replace(SMALL, sees_colours=True))
    memory = replace(bank().view(), colours=torch.randn(2, 3, 8, 8))
    plain = seeing.remember(memory).backdrop
    assert memory.colours is not None
    one_spot = memory.colours.clone()
    one_spot[:, :, :2, :2] += 1
    changed = seeing.remember(replace(memory, colours=one_spot)).backdrop
    assert bool((changed != plain).any(-1).all()), "the palette is told everywhere"
    assert torch.equal(net.remember(memory).backdrop, net.remember(replace(memory, colours=one_spot)).backdrop)


def test_a_network_that_is_told_of_no_motion_has_no_weights_for_it() -> None:
    net = MMDiT(replace(SMALL, motion_dim=0))
    assert net.motion_in is None
    assert net(stream()).shape == (2, 9, 4, 4, 4)

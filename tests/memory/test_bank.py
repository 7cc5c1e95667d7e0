import pytest
import torch

from flowact.core.errors import ConfigError
from flowact.core.types import Chunk, Role
from flowact.memory.bank import BankConfig, MemoryBank
from tests.fakes import CHANNELS, GRID, conditions


def chunk(index: int, rows: int = 1) -> Chunk:
    """Latent frames whose values are their own numbers, 1-based so that nothing equals the empty slot's zero."""
    numbers = torch.arange(index * 3, index * 3 + 3) + 1.0
    latents = numbers.view(1, 3, 1, 1, 1).expand(rows, 3, CHANNELS, GRID, GRID)
    return Chunk(index, latents, 0.0, conditions(rows, 3, float(index)))


def start(config: BankConfig) -> MemoryBank:
    return MemoryBank.start(config, torch.full((1, 1, CHANNELS, GRID, GRID), 99.0), conditions(1, 1))


def seen(bank: MemoryBank) -> list[float]:
    view = bank.view()
    return [float(x) for x, ok in zip(view.latents[0, :, 0, 0, 0], view.valid[0]) if ok]


def test_cold_start_sees_the_portrait_alone() -> None:
    assert seen(start(BankConfig())) == [99.0, 0.0]


def test_short_memory_is_the_newest_and_long_memory_a_queue_of_three() -> None:
    bank = start(BankConfig(long=3, short=1))
    story = []
    for i in range(6):
        bank = bank.commit(chunk(i))
        story.append(seen(bank))
    assert story[0] == [99, 3]
    assert story[1] == [99, 3, 6]
    assert story[3] == [99, 3, 6, 9, 12]
    assert story[5] == [99, 9, 12, 15, 18]


def test_short_of_three_keeps_the_whole_chunk() -> None:
    bank = start(BankConfig(long=2, short=3)).commit(chunk(0)).commit(chunk(1))
    assert seen(bank) == [99, 3, 4, 5, 6]


def test_conditions_travel_with_their_latents() -> None:
    bank = start(BankConfig())
    for i in range(5):
        bank = bank.commit(chunk(i))
    assert bank.view().conditions.audio[0, :, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_size_positions_and_roles_never_change() -> None:
    bank = start(BankConfig())
    first = bank.view()
    for i in range(20):
        bank = bank.commit(chunk(i))
    last = bank.view()
    assert first.latents.shape == last.latents.shape
    assert last.position.tolist() == [-7, -4, -3, -2, -1]
    assert last.role.tolist() == [Role.REFERENCE, Role.LONG, Role.LONG, Role.LONG, Role.SHORT]


def test_a_bank_is_a_value_so_keeping_it_is_a_snapshot() -> None:
    bank = start(BankConfig()).commit(chunk(0))
    before = seen(bank)
    bank.commit(chunk(1))
    assert seen(bank) == before


def test_bad_sizes_are_refused() -> None:
    for sizes in ({"short": 0}, {"long": -1}):
        with pytest.raises(ConfigError, match="short"):
            BankConfig(**sizes)


def test_a_chunk_may_be_committed_up_to_each_of_its_latents() -> None:
    bank = start(BankConfig(long=3, short=1)).commit(chunk(0))
    assert [seen(bank.commit(chunk(1).part(0, n))) for n in (1, 2, 3)] == [[99, 3, 4], [99, 3, 5], [99, 3, 6]]
    assert bank.commit(chunk(1).part(0, 2)).view().conditions.audio[0, -2:, 0, 0].tolist() == [0, 1]


def test_a_part_of_a_chunk_fills_up_a_short_memory_of_three() -> None:
    bank = start(BankConfig(long=2, short=3)).commit(chunk(0))
    assert seen(bank.commit(chunk(1).part(0, 2))) == [99, 3, 4, 5]
    assert seen(bank.commit(chunk(1))) == [99, 3, 4, 5, 6]

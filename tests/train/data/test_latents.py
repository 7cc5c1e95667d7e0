from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flowact.core.errors import ConfigError
from flowact.core.motion import MOTION_SCALE, MOTION_WIDTH, motion_slice
from flowact.core.types import Chunk, Frames
from flowact.diffusion.guidance import NoGuidance
from flowact.diffusion.plan import Staircase
from flowact.memory.bank import BankConfig, MemoryBank
from flowact.models.anchor import Anchor, AnchorConfig
from flowact.rollout.generate import Serving
from flowact.rollout.self_forcing import MemoryPool
from flowact.train.data.latents import LatentStore, WindowCutter
from flowact.train.stage import Place
from tests.fakes import FakeBackbone

BANK = BankConfig()


@pytest.fixture
def store() -> LatentStore:
    torch.manual_seed(0)
    clips, time, stills = 3, 24, 2
    return LatentStore(
        latents=torch.randn(clips, stills, time, 4, 4, 4).half(),
        rests=torch.randn(clips, stills, 4, 4, 4).half(),
        looks=torch.randn(clips, stills, 4, 4, 4).half(),
        colours=torch.randn(clips, stills, 3, 8, 8).half(),
        stills=torch.tensor([[0, 17]] * clips),
        audio=torch.randn(clips, time, 4, 6).half(),
        weight=torch.ones(clips, time, 4, 4).half(),
        motion=torch.arange(clips * time * 4.0).view(clips, time, 4, 1).expand(-1, -1, -1, MOTION_WIDTH).half(),
        text=torch.randn(5, 2, 5).half(),
        captions=[[(0, 12, 0), (0, 12, 1), (12, 24, 2)], [(0, 24, 3)], [(0, 24, 4)]],
        meta=[{"identity": i} for i in range(clips)],
    )


@pytest.fixture
def cutter(store: LatentStore) -> WindowCutter:
    anchor = Anchor(AnchorConfig(4, 4))
    anchor.measure(*(x[:, 0].float() for x in (store.latents, store.rests, store.looks)), store.mouths())
    return WindowCutter(store, anchor, BANK, chunks=3)


@pytest.mark.parametrize("start", [0, 3, 6, 12, 15])
def test_real_memory_is_what_serving_would_remember(cutter: WindowCutter, start: int) -> None:
    sequence = torch.tensor([1, 4])
    window = cutter.cut(sequence, torch.full((2,), start))
    bank = window.bank
    reference = MemoryBank.start(BANK, bank.reference, cutter._neutral(2))
    for i in range(start // 3):
        past = cutter.cut(sequence, torch.full((2,), i * 3)).chunks(0, 1)
        reference = reference.commit(Chunk(i, past.clean, 0.0, past.conditions))
    torch.testing.assert_close(bank.recent, reference.recent)
    assert torch.equal(bank.view().valid, reference.view().valid)
    heard, expected = bank.view().conditions, reference.view().conditions
    torch.testing.assert_close(heard.audio_present, expected.audio_present)
    shown = expected.audio_present[:, :, None, None]
    torch.testing.assert_close(heard.audio * shown, expected.audio * shown)


def test_a_window_holds_the_latents_and_the_look_of_its_still(store: LatentStore, cutter: WindowCutter) -> None:
    window = cutter.cut(torch.tensor([2, 5]), torch.tensor([3, 9]))  # clip 1 on still 0, clip 2 on still 1
    expected = torch.stack([store.latents[1, 0, 3:12], store.latents[2, 1, 9:18]]).float()
    rests, looks = (torch.stack([x[1, 0], x[2, 1]]).float() for x in (store.rests, store.looks))
    torch.testing.assert_close(window.clean, cutter.anchor.relative(expected, rests))
    torch.testing.assert_close(window.bank.reference[:, 0], cutter.anchor.standardise(looks))
    assert window.bank.colours is not None
    assert torch.equal(window.bank.colours, torch.stack([store.colours[1, 0], store.colours[2, 1]]).float())


def test_motion_belongs_to_the_latents_it_was_cut_with(store: LatentStore, cutter: WindowCutter) -> None:
    window = cutter.cut(torch.tensor([2, 5]), torch.tensor([3, 9]))
    hands, head = motion_slice("hand_active"), motion_slice("head")
    assert torch.equal(window.conditions.motion[0, ..., hands], store.motion[1, 3:12, :, hands].float())
    # A body is seen from its portrait: frame 0 of clip 1, frame 17 of clip 2.
    assert torch.equal(
        window.conditions.motion[0, ..., head], (store.motion[1, 3:12] - store.motion[1, 0, 0])[..., head]
    )
    later = window.chunks(1, 2).conditions.motion[1, ..., head]
    assert torch.equal(later, (store.motion[2, 12:15] - store.motion[2, 4, 1])[..., head].float())


def test_stream_and_absolute_latents_are_inverse(store: LatentStore, cutter: WindowCutter) -> None:
    latents, rests = (x[:, 0].float() for x in (store.latents, store.rests))
    relative = cutter.anchor.relative(latents, rests)
    torch.testing.assert_close(cutter.anchor.absolute(relative, rests), latents, rtol=1e-3, atol=1e-3)
    assert 0.5 < relative.std() < 1.5


def test_equal_places_give_equal_batches_so_that_a_run_can_resume(cutter: WindowCutter) -> None:
    first = cutter.batches(4, Place(seed=1))
    next(first)
    second = next(first)
    resumed = next(cutter.batches(4, Place(seed=1, step=1)))
    torch.testing.assert_close(second.clean, resumed.clean)
    torch.testing.assert_close(second.conditions.text, resumed.conditions.text)
    other = next(cutter.batches(4, Place(seed=1, rank=1, ranks=2, step=1)))
    assert not torch.equal(other.start, second.start) or not torch.equal(other.sequence, second.sequence)


def test_windows_in_which_a_hand_goes_up_are_drawn_more_often(store: LatentStore, cutter: WindowCutter) -> None:
    motion = torch.zeros_like(store.motion)
    motion[1, 8:, :, motion_slice("hand_active")] = MOTION_SCALE["hand_active"]
    eager = WindowCutter(replace(store, motion=motion), cutter.anchor, BANK, chunks=3)
    assert eager.beginnings.tolist() == [[1, start] for start in range(4, 9)]
    window = next(eager.batches(500, Place(seed=0)))
    drawn = (window.sequence // store.looks.shape[1] == 1) & (window.start >= 4) & (window.start <= 8)
    assert 0.25 < float(drawn.float().mean()) < 0.5
    calm = WindowCutter(replace(store, motion=torch.zeros_like(motion)), cutter.anchor, BANK, chunks=3)
    assert len(calm.beginnings) == 0
    next(calm.batches(2, Place(seed=0)))


def test_a_chunk_carries_the_caption_of_its_middle(cutter: WindowCutter, store: LatentStore) -> None:
    text = cutter.cut(torch.tensor([0]), torch.tensor([9])).conditions.text[0]
    late = store.text[2].float()
    assert not torch.equal(text[0], late)
    assert torch.equal(text[3], late)
    assert torch.equal(text[3], text[5])


def test_generated_memory_is_matched_to_the_real_latents_that_follow(cutter: WindowCutter) -> None:
    long = WindowCutter(cutter.store, cutter.anchor, BANK, chunks=6)
    pool = MemoryPool(capacity=100)
    serving = Serving(Staircase(micro_steps=1), NoGuidance())
    alone = torch.zeros(2, 1, 1, 1, 1)
    pool.refill(FakeBackbone(), serving, long.cut(torch.tensor([1, 3]), torch.tensor([0, 3])), alone, last=12)
    assert [m.start for m in pool.entries] == [3, 6, 6, 9, 9, 12, 12]  # 15 is later than the last
    drawn = pool.draw(16, cutter.cut)
    for row in range(16):
        real = cutter.cut(drawn.sequence[row : row + 1], drawn.start[row : row + 1])
        torch.testing.assert_close(drawn.clean[row], real.clean[0])
        assert not torch.equal(drawn.bank.recent[row], real.bank.recent[0])
        mean_voice = real.bank.conditions.audio[0, -1].mean()
        torch.testing.assert_close(drawn.bank.recent[row, -1], mean_voice.expand_as(drawn.bank.recent[row, -1]))


def test_a_led_stream_begins_with_some_of_the_real_one(cutter: WindowCutter) -> None:
    long = WindowCutter(cutter.store, cutter.anchor, BANK, chunks=3).cut(torch.tensor([1]), torch.tensor([0]))
    begun = []

    class Watched(FakeBackbone):
        def __call__(self, frames: Frames, remembered: object, guidance: Tensor | None) -> Tensor:
            begun.append(frames.latents[:, -3:])
            return super().__call__(frames, remembered, guidance)

    serving = Serving(Staircase(micro_steps=1), NoGuidance(), noise_scale=0.0)
    MemoryPool().refill(Watched(), serving, long, torch.full((1, 1, 1, 1, 1), 0.25), last=0)
    for i in range(3):
        torch.testing.assert_close(begun[i], 0.25 * long.clean[:, 3 * i : 3 * i + 3])


def test_joined_stores_keep_each_clip_with_its_own_captions(store: LatentStore) -> None:
    other = replace(store, text=store.text + 1, latents=store.latents + 1)
    joined = LatentStore.join([store, other])
    assert joined.clips == 2 * store.clips
    first, second = joined.captions[0], joined.captions[store.clips]
    assert torch.equal(joined.text[second[0][2]], joined.text[first[0][2]] + 1)
    assert torch.equal(joined.latents[store.clips :], other.latents)
    with pytest.raises(ConfigError, match="one length"):
        LatentStore.join([store, replace(store, latents=store.latents[:, 1:])])


def test_a_store_survives_the_disk_and_a_foreign_folder_is_refused(store: LatentStore, tmp_path: Path) -> None:
    store.save(tmp_path / "a")
    again = LatentStore.load(tmp_path / "a")
    assert torch.equal(again.latents, store.latents)
    assert again.captions == store.captions
    with pytest.raises(ConfigError, match="not a latent store"):
        LatentStore.load(tmp_path)

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowact.core.motion import MOTION_SCALE, MOTION_WIDTH, aim_hands, motion_slice
from flowact.models.video_vae.closeup import hand_shots
from flowact.models.video_vae.config import CloseupConfig, VideoVAEConfig
from flowact.models.video_vae.model import VideoVAE
from flowact.train.data.closeups import CloseupBatches, look_at_stills
from flowact.train.data.frames import BOXES, FrameStore
from flowact.train.data.labels import LABELS
from flowact.train.data.latents import LatentStore
from flowact.train.stage import Batch, Place

CLIPS, TIME, GRID, SIDE = 3, 2, 8, 32
SIZE = 16 * GRID
CLOSEUP = CloseupConfig(SIDE, 8, 1, 8, 1)


@pytest.fixture
def codec() -> VideoVAE:
    torch.manual_seed(0)
    sizes = {
        f"{name}_width_{at}": 16 for name, at in (("encoder", 8), ("encoder", 16), ("reference", 8), ("reference", 16))
    }
    return VideoVAE(VideoVAEConfig(**sizes, motion_dim=MOTION_WIDTH, mouth=CLOSEUP, hand=CLOSEUP)).eval()  # type: ignore[arg-type]


@pytest.fixture
def frames() -> FrameStore:
    """Each frame's red is its number, green is the column and blue the row; the mouth is at (64, 80)."""
    total = CLIPS * TIME * 4
    red = np.broadcast_to(10 * np.arange(total)[:, None, None], (total, SIZE, SIZE))
    green, blue = np.broadcast_to(np.arange(SIZE), red.shape), np.broadcast_to(np.arange(SIZE)[:, None], red.shape)
    boxes = {name: np.tile(np.array([54.0, 74, 74, 86], np.float32), (total, 1)) for name in BOXES}
    tracks = {name: np.zeros((total, width), np.float32) for name, width in LABELS.items()} | boxes
    starts = np.arange(CLIPS) * TIME * 4
    pictures = np.stack([red, green, blue], -1).astype(np.uint8)
    return FrameStore(pictures, tracks, starts, np.full(CLIPS, TIME * 4), np.arange(CLIPS))


def store_of(motion: torch.Tensor) -> LatentStore:
    """Clips whose only still is their second frame, with motion [T, 4, M]."""
    return LatentStore(
        latents=torch.zeros(CLIPS, 1, TIME, 8, GRID, GRID).half(),
        rests=torch.zeros(CLIPS, 1, 8, GRID, GRID).half(),
        looks=torch.zeros(CLIPS, 1, 8, GRID, GRID).half(),
        colours=torch.zeros(CLIPS, 1, 3, 2 * GRID, 2 * GRID).half(),
        stills=torch.ones(CLIPS, 1, dtype=torch.long),
        audio=torch.zeros(CLIPS, TIME, 4, 2).half(),
        weight=torch.ones(CLIPS, TIME, GRID, GRID).half(),
        motion=motion.expand(CLIPS, -1, -1, -1).half(),
        text=torch.zeros(1, 2, 2).half(),
        captions=[[(0, TIME, 0)]] * CLIPS,
        meta=[{}] * CLIPS,
    )


def batches(codec: VideoVAE, frames: FrameStore, store: LatentStore, part: str, **how: float) -> CloseupBatches:
    assert codec.teller is not None
    assert codec.mouth is not None
    stills = look_at_stills(codec, frames, store)
    settings = {"rows": 40, "tint": 0.0, "beside_px": 0.0, "veil_tint": 0.0} | how
    return CloseupBatches(frames, store, stills, codec.teller, codec.mouth, part, **settings)  # type: ignore[arg-type]


def corners(batch: Batch, name: str) -> torch.Tensor:
    return batch[name][:, 1:, 0, 0].long()


def test_stills_are_seen_whole(codec: VideoVAE, frames: FrameStore) -> None:
    stills = look_at_stills(codec, frames, store_of(torch.zeros(TIME, 4, MOTION_WIDTH)))
    assert stills.features.shape == (CLIPS, 1, 16, GRID, GRID)
    red = (10 * (frames.starts + 1)) / 127.5 - 1
    torch.testing.assert_close(stills.skin[:, 0, 0], torch.from_numpy(red).float(), atol=1e-4, rtol=0)


def test_mouths_are_cut_where_the_flow_takes_them_beside_the_still(codec: VideoVAE, frames: FrameStore) -> None:
    motion = torch.arange(TIME * 4.0).view(TIME, 4, 1).repeat(1, 1, MOTION_WIDTH)  # the still is at 1
    motion[..., motion_slice("hand_active")] = 0
    with torch.no_grad():
        codec.teller.field[0, 0] = -4.0  # of 256: two pixels of these to the right per number  # type: ignore[union-attr]
    batch = next(batches(codec, frames, store_of(motion), "mouth")(Place(seed=0)))
    number = batch["true"][:, 0, 0, 0].long() // 10
    assert len(set(number.tolist())) > CLIPS * 4
    held = number % (TIME * 4)
    moved = held - 1
    torch.testing.assert_close(batch["numbers"][:, 0], held.float(), msg="told as it is, not since the still")
    assert torch.equal(corners(batch, "true")[:, 0], 64 - SIDE // 2 + 2 * moved)
    assert bool((corners(batch, "true")[:, 1] == 80 - SIDE // 2).all())
    assert torch.equal(batch["stills"][:, 0, 0, 0].long() // 10, number - moved)
    assert bool((corners(batch, "stills") == torch.tensor([64, 80]) - SIDE // 2).all())
    torch.testing.assert_close(batch["place"], torch.tensor([0.5, 0.625]).expand(40, -1))
    assert batch["bones"].shape == (40, 0, 2, 3)


def test_mouths_are_seen_between_others_of_the_same_seconds(codec: VideoVAE, frames: FrameStore) -> None:
    still = store_of(torch.zeros(TIME, 4, MOTION_WIDTH))
    batch = next(batches(codec, frames, still, "mouth", rows=100)(Place(seed=0)))
    off = (batch["seen"].float() - batch["true"].float())[..., 4:-4, 4:-4]
    assert float(off[:, 1:].abs().max()) <= 1, "nobody moves"
    red, first = batch["true"][:, 0, 0, 0].long() // 10, batch["stills"][:, 0, 0, 0].long() // 10 - 1
    seen = batch["seen"][:, 0, SIDE // 2, SIDE // 2].float() / 10
    assert bool(((seen >= first) & (seen <= first + TIME * 4 - 1)).all()), "of the same clip"
    away = (seen - red).abs()
    assert float(away.max()) > 1.5
    assert float((away < 0.5).float().mean()) > 0.1, "and some nearly as they are"


def test_what_mouths_are_seen_through_has_colours_of_its_own(codec: VideoVAE, frames: FrameStore) -> None:
    still = store_of(torch.zeros(TIME, 4, MOTION_WIDTH))
    batch = next(batches(codec, frames, still, "mouth", rows=100, veil_tint=0.25)(Place(seed=0)))
    # Green and blue of these pictures say where, so nobody else's mouth can change them.
    share = batch["seen"][:, 1:, SIDE // 2, SIDE // 2].float() / batch["true"][:, 1:, SIDE // 2, SIDE // 2]
    assert 0.74 < float(share.min()) < 0.85
    assert 1.15 < float(share.max()) < 1.26
    wide = VideoVAE(replace(codec.config, mouth=replace(CLOSEUP, side_px=72))).eval()
    around = next(batches(wide, frames, still, "mouth", veil_tint=0.25)(Place(seed=0)))
    assert torch.equal(around["seen"][:, 0, 0, 0], around["true"][:, 0, 0, 0]), "and around the mouth there is none"
    assert not torch.equal(around["seen"][:, 0, 36, 36], around["true"][:, 0, 36, 36])


def test_eyes_are_cut_a_little_above_them_beside_others_of_the_clip_and_often_blink(
    codec: VideoVAE, frames: FrameStore
) -> None:
    motion = torch.zeros(TIME, 4, MOTION_WIDTH)
    motion[1, 2, motion_slice("face").start + 8] = 0.9 * MOTION_SCALE["face"]  # a left lid
    eyes = np.tile(np.array([[40.0, 40, 50, 46], [78, 42, 88, 48]], np.float32), (len(frames.frames), 1, 1))
    with_eyes = replace(frames, tracks=frames.tracks | {"eye_boxes": eyes})
    batch = next(batches(codec, with_eyes, store_of(motion), "eyes", rows=200)(Place(seed=0)))
    torch.testing.assert_close(batch["place"], torch.tensor([[64.0, 42.0]]).expand(200, -1) / SIZE)
    assert bool((corners(batch, "true") == torch.tensor([64, 42]) - SIDE // 2).all())
    held = (batch["true"][:, 0, 0, 0].long() // 10) % (TIME * 4)
    assert 0.25 < float((held == 6).float().mean()) < 0.5
    assert torch.equal(batch["stills"][:, :3], batch["stills"][:, 3:]), "nobody looks elsewhere"
    motion[..., motion_slice("gaze")] = torch.arange(TIME)[:, None, None] * 10 * MOTION_SCALE["gaze"]
    looking = next(batches(codec, with_eyes, store_of(motion), "eyes", rows=200)(Place(seed=0)))
    assert torch.equal(looking["stills"][:, :3], batch["stills"][:, :3])
    assert not torch.equal(looking["stills"][:, :3], looking["stills"][:, 3:])
    away = batch["seen"][:, 0, SIDE // 2, SIDE // 2].float() / 10 - batch["true"][:, 0, 0, 0].long() // 10
    assert float(away.abs().max()) > 4.5, "another frame of the clip, however far"


def test_mouths_are_not_always_found_where_they_are(codec: VideoVAE, frames: FrameStore) -> None:
    store = store_of(torch.zeros(TIME, 4, MOTION_WIDTH))
    batch = next(batches(codec, frames, store, "mouth", beside_px=2.0, rows=200)(Place(seed=0)))
    found, followed = corners(batch, "stills").float(), corners(batch, "true").float()
    assert 1.5 < float(found.std(0).mean()) < 2.5
    assert 2.2 < float(followed.std(0).mean()) < 3.5, "and followed as badly from there"
    assert float((found.mean(0) - torch.tensor([48.0, 64])).abs().max()) < 0.6


def test_equal_places_give_equal_batches(codec: VideoVAE, frames: FrameStore) -> None:
    made = batches(codec, frames, store_of(torch.zeros(TIME, 4, MOTION_WIDTH)), "mouth", tint=0.1, beside_px=2.0)
    first = next(made(Place(seed=0)))
    assert all(torch.equal(x, first[name]) for name, x in next(made(Place(seed=0))).items())
    stream = made(Place(seed=0))
    next(stream)
    assert torch.equal(next(stream)["seen"], next(made(Place(seed=0, step=1)))["seen"])
    assert not torch.equal(next(made(Place(seed=0, step=1)))["seen"], first["seen"])


def test_hands_are_cut_where_they_are_and_right_ones_mirrored(codec: VideoVAE, frames: FrameStore) -> None:
    motion = torch.zeros(TIME * 4, MOTION_WIDTH)
    motion[2:4, motion_slice("hand_active")] = MOTION_SCALE["hand_active"]
    seen = torch.tensor([[(x, 0.849), (x, 0.561)] for x in (0.75, 0.25)]).expand(TIME * 4, -1, -1, -1)
    motion = aim_hands(motion, seen).view(TIME, 4, -1)
    batch = next(batches(codec, frames, store_of(motion), "hand", rows=80)(Place(seed=0)))
    assert set(((batch["true"][:, 0, 0, 0].long() // 10) % (TIME * 4)).tolist()) == {2, 3}, "where hands are up"
    is_left = batch["true"][:, 1, 0, 0] < batch["true"][:, 1, 0, -1]  # columns go up from left to right
    assert 20 < int(is_left.sum()) < 60
    for hand, rows in ((0, is_left), (1, ~is_left)):
        column = hand_shots(motion[:1, 2:], torch.zeros(1, 3))[hand].places[0, 0, 0] * SIZE
        green = batch["true"][rows, 1, 0].float().mean(1)
        torch.testing.assert_close(green, (column - 0.5).expand_as(green), atol=1.0, rtol=0)
        assert torch.equal(batch["stills"][rows, 1:], batch["true"][rows, 1:]), "the same place of the portrait"
        assert float((batch["seen"][rows] - batch["true"][rows].float())[..., 4:-4, 4:-4].abs().max()) <= 1
        middle = batch["bones"][rows, 1:, 1, :2].mean(1)
        torch.testing.assert_close(middle, torch.full_like(middle, 0.5), atol=0.03, rtol=0)

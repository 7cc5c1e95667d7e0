from dataclasses import replace

import numpy as np
import pytest
import torch

from flowact.core.device import choose_precision
from flowact.core.motion import MOTION_SCALE, MOTION_WIDTH, aim_hands, motion_slice
from flowact.diffusion.guidance import VoiceGuidance
from flowact.diffusion.plan import Staircase
from flowact.memory.bank import BankConfig
from flowact.models.anchor import Anchor, AnchorConfig
from flowact.models.mmdit.config import MMDiTConfig
from flowact.models.mmdit.model import MMDiT
from flowact.rollout.generate import Serving, StreamState, shift
from flowact.studio.performance import LANDMARKS
from flowact.train.data.dreams import DreamBatches, Dreams, dream
from flowact.train.data.encode import still_frames
from flowact.train.data.frames import BOXES, FrameStore
from flowact.train.data.labels import LABELS
from flowact.train.data.latents import LatentStore, WindowCutter
from flowact.train.stage import Place

CLIPS, STILLS, TIME, GRID = 3, 2, 12, 4


@pytest.fixture
def store() -> LatentStore:
    torch.manual_seed(0)
    return LatentStore(
        latents=torch.randn(CLIPS, STILLS, TIME, 4, GRID, GRID).half(),
        rests=torch.randn(CLIPS, STILLS, 4, GRID, GRID).half(),
        looks=torch.randn(CLIPS, STILLS, 4, GRID, GRID).half(),
        colours=torch.zeros(CLIPS, STILLS, 3, 2 * GRID, 2 * GRID).half(),
        stills=torch.from_numpy(np.stack([still_frames(i, TIME * 4, STILLS) for i in range(CLIPS)])),
        audio=torch.randn(CLIPS, TIME, 4, 6).half(),
        weight=torch.ones(CLIPS, TIME, GRID, GRID).half(),
        motion=torch.zeros(CLIPS, TIME, 4, MOTION_WIDTH).half(),
        text=torch.randn(1, 2, 5).half(),
        captions=[[(0, TIME, 0)]] * CLIPS,
        meta=[{}] * CLIPS,
    )


@pytest.fixture
def frames() -> FrameStore:
    total, size = CLIPS * TIME * 4, GRID * 16
    pictures = np.broadcast_to(np.arange(total, dtype=np.uint8)[:, None, None, None], (total, size, size, 3))
    boxes = {name: np.tile(np.array([16.0, 16, 48, 48], np.float32), (total, 1)) for name in BOXES}
    tracks = {name: np.zeros((total, width), np.float32) for name, width in LABELS.items()} | boxes
    tracks["landmarks"] = np.tile(np.arange(total, dtype=np.float32)[:, None, None], (1, len(LANDMARKS), 2))
    tracks["points"] = tracks["landmarks"][:, :2] + 100
    starts = np.arange(CLIPS) * TIME * 4
    return FrameStore(pictures, tracks, starts, np.full(CLIPS, TIME * 4), np.arange(CLIPS))


def test_dreams_are_what_the_serving_loop_makes_of_real_memory(store: LatentStore) -> None:
    anchor = Anchor(AnchorConfig(4, GRID))
    anchor.measure(*(x[:, 0].float() for x in (store.latents, store.rests, store.looks)), store.mouths())
    net = MMDiT(
        MMDiTConfig(
            width=24, depth=1, heads=2, dual_blocks=0, latent_channels=4, grid=4, patch=2, audio_dim=6, text_dim=5
        )
    )
    cutter = WindowCutter(store, anchor, BankConfig(), 3)
    serving = Serving(Staircase(micro_steps=1), VoiceGuidance(2.0, anchor.mouth), 0.7)
    torch.manual_seed(1)
    dreams = dream(net, serving, cutter, every=2, stills=2, rows=5)
    assert dreams.latents.shape == (CLIPS, 2, 2, 3, 4, GRID, GRID)
    assert dreams.starts.tolist() == [0, 2]
    torch.manual_seed(1)
    noise = 0.7 * torch.randn(5, 3, 4, GRID, GRID)
    window = cutter.cut(torch.tensor([0, 0, 1, 1, STILLS]), torch.tensor([0, 2, 0, 2, 0]))
    stream = StreamState.start(window.bank)
    for i in range(3):
        entering = window.conditions.frames(3 * i, 3 * i + 3)
        noise = noise if i == 0 else 0.7 * torch.randn(5, 3, 4, GRID, GRID)
        precision = choose_precision(torch.device("cpu"))
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            done, stream = shift(net, serving.plan, serving.guidance, stream, entering, noise)
    expected = anchor.absolute(done.latents.float(), store.rests[[0, 0, 0, 0, 1], [0, 0, 1, 1, 0]].float())
    torch.testing.assert_close(dreams.latents.flatten(0, 2)[:5], expected.half())


def test_latents_pictures_and_portrait_of_a_batch_belong_together(store: LatentStore, frames: FrameStore) -> None:
    number = torch.arange(CLIPS)[:, None] * 100 + torch.arange(TIME)
    real = number.half()[:, :, None, None, None].expand(-1, -1, 4, GRID, GRID)
    starts = torch.tensor([0, 5])
    dreamt = torch.stack([real[:, a : a + 3] for a in starts], 1)[:, None].expand(-1, 2, -1, -1, -1, -1, -1) + 0.5
    motion = number[:, :, None, None].expand(-1, -1, 4, MOTION_WIDTH).clone()
    motion[..., motion_slice("hand_active")] = 0
    rests = torch.full((CLIPS, 2, 4, GRID, GRID), -1.0).half()
    stills = torch.tensor([[7, 30]] * CLIPS)
    latents = real[:, None].expand(-1, 2, -1, -1, -1, -1)
    store = replace(store, latents=latents, rests=rests, motion=motion, stills=stills)
    batches = DreamBatches(
        frames, store, Dreams(dreamt, starts), clips=40,
        crop_cells=2, resting_share=0.0, tint=0.0,
    )  # fmt: skip
    resting = next(replace(batches, dreamt_share=0.0, resting_share=1.0)(Place(seed=0)))
    assert bool((resting["latents"] == -1).all())
    assert resting["motion"].any()
    batch = next(batches(Place(seed=0)))
    # Crops begin at whole cells, and the window says where.
    corner = batch["window"][:, :2] * GRID
    assert torch.equal(corner, corner.round())
    assert len({tuple(c) for c in corner.tolist()}) > 1
    assert bool((batch["window"][:, 2] == 2 / GRID).all())
    assert batch["clip"].shape == (40, 12, 32, 32, 3)
    assert batch["latents"].shape == (40, 3, 4, 2, 2)
    value = batch["latents"][:, :, 0, 0, 0]
    assert 0 < int((value % 1 == 0.5).all(1).sum()) < 40
    clip, latent = (value // 100).long(), (value % 100).floor().long()
    assert torch.equal(batch["clip"][:, ::4, 0, 0, 0].long(), clip * TIME * 4 + latent * 4)
    shown = batch["reference"][:, 0, 0, 0] - clip[:, 0] * TIME * 4
    assert set(shown.tolist()) == {7, 30}
    # So do the points of their faces, which lie where the number of the frame says.
    corner_px = corner[:, None] * 16
    first = clip[:, 0] * TIME * 4
    frame = (first + latent[:, 0] * 4)[:, None, None] + torch.arange(12)[:, None]
    torch.testing.assert_close(batch["points"][:, :, 0], (frame - corner_px).float())
    torch.testing.assert_close(batch["points"][:, :, -1], (frame - corner_px + 100).float())
    torch.testing.assert_close(
        batch["reference_points"][:, :-2],
        (first[:, None] + shown[:, None])[..., None] - corner_px + torch.zeros_like(batch["reference_points"][:, :-2]),
    )
    moved = (value % 100).floor() - (shown // 4)[:, None]  # since the still
    assert torch.equal(batch["motion"][:, :, 0, 0], moved)
    untold = next(replace(batches, dreams=None, dreamt_share=0.0)(Place(seed=0)))
    assert bool((untold["latents"] % 1 == 0).all())
    assert torch.equal(batch["latents"], next(batches(Place(seed=0)))["latents"])


def test_crops_go_where_hands_are_seen(store: LatentStore, frames: FrameStore) -> None:
    motion = torch.zeros(1, MOTION_WIDTH)
    motion[:, motion_slice("hand_active")] = MOTION_SCALE["hand_active"]
    seen = torch.tensor([[[0.9, 0.9]] * 2, [[3.0, 3.0]] * 2])[None]
    up = aim_hands(motion, seen).expand(CLIPS, TIME, 4, -1)
    batches = DreamBatches(
        frames, replace(store, motion=up), None, clips=20, crop_cells=1, hands_share=1.0, anywhere_share=0.0,
    )  # fmt: skip
    centre = next(batches(Place(seed=0)))["window"][:, :2] + 0.5 / GRID
    assert float(centre[:, 0].mean()) > 0.7, "the only hand that is seen is at the lower right"
    away = next(replace(batches, store=store)(Place(seed=0)))["window"][:, :2] + 0.5 / GRID
    assert float(away[:, 0].mean()) < 0.62, "without one it is the face"


def test_most_crops_show_the_mouth_some_the_face(store: LatentStore, frames: FrameStore) -> None:
    tracks = frames.tracks | {
        "mouth_box": np.tile(np.array([40.0, 40, 64, 64], np.float32), (len(frames.frames), 1)),
        "face_box": np.tile(np.array([0.0, 0, 24, 24], np.float32), (len(frames.frames), 1)),
    }
    batches = DreamBatches(replace(frames, tracks=tracks), store, None, clips=60, crop_cells=2, anywhere_share=0.0)
    corner = next(replace(batches, face_share=0.2)(Place(seed=0)))["window"][:, :2] * GRID
    at_mouth = (corner.sum(1) >= 2).float().mean()
    assert 0.6 < float(at_mouth) < 0.95
    assert float(next(replace(batches, face_share=1.0)(Place(seed=0)))["window"][:, :2].mean()) * GRID < 0.8

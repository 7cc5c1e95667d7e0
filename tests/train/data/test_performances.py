import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("skia")
if not shutil.which("flite"):
    pytest.skip("needs the flite synthesiser", allow_module_level=True)

from flowact.core.motion import MOTION_SCALE, MOTION_WIDTH, motion_slice
from flowact.models.audio.config import AudioConfig
from flowact.models.audio.encoder import AudioEncoder
from flowact.models.mmdit.config import MMDiTConfig
from flowact.models.mmdit.model import MMDiT
from flowact.models.motion_codec import MotionCodec
from flowact.models.text.config import TextConfig
from flowact.models.text.encoder import TextEncoder
from flowact.models.weights import load_model
from flowact.train.data.latents import LatentStore
from flowact.train.data.performances import perform
from flowact.train.distributed import Ranks
from flowact.train.loop import train_stages
from flowact.train.stage import RunContext
from recipes import motion

CLIPS, FRAMES = 6, 96


@pytest.fixture(scope="module")
def store() -> LatentStore:
    torch.manual_seed(0)
    hearing = AudioEncoder(AudioConfig(width=16, bottleneck=8)).eval()
    text = TextEncoder(TextConfig(tokens=2, width=16, buckets=64)).eval()
    return perform(CLIPS, FRAMES, "train", hearing, text)


def test_a_performance_is_its_own_latents_beside_what_was_said_and_asked(store: LatentStore) -> None:
    assert store.latents.shape == (CLIPS, 1, FRAMES // 4, 4 * MOTION_WIDTH, 1, 1)
    assert store.audio.shape[:3] == (CLIPS, FRAMES // 4, 4)
    moves = motion.motion_of(store)
    up = moves[..., motion_slice("hand_active")].float() / MOTION_SCALE["hand_active"]
    assert 0 <= float(up.min()) <= float(up.max()) <= 1.01
    for clip in store.captions:
        assert {latent for first, last, _ in clip for latent in range(first, last)} == set(range(FRAMES // 4))


def test_the_recipe_learns_from_them_and_leaves_network_and_codec(
    store: LatentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in ("train", "val"):
        store.save(tmp_path / "data" / split)
    small = MMDiTConfig(width=24, depth=1, heads=2, dual_blocks=1, latent_channels=96, grid=1, patch=1, text_dim=16)
    monkeypatch.setattr(motion, "sizes", lambda _: replace(small, audio_dim=store.audio.shape[-1]))
    monkeypatch.setattr(motion, "ROWS", 4)
    stage = motion.moving(RunContext(tmp_path / "data", tmp_path / "run", torch.device("cpu")))
    train_stages([replace(stage, train_steps=2, evaluate_every=2)], tmp_path / "run", Ranks())
    folder = tmp_path / "run" / "moving" / "model"
    codec = load_model(MotionCodec, folder / "motion_codec")
    moves = motion.motion_of(store)[:, :1].float()
    kept = codec.decode(codec.encode(moves))
    assert float((kept - moves).square().mean()) < 0.1 * float(moves.square().mean())
    assert load_model(MMDiT, folder / "motion").config.latent_channels == 96

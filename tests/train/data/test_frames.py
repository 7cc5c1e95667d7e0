from pathlib import Path

import numpy as np
import pytest
import torch

from flowact.core.errors import ConfigError
from flowact.studio.clipfile import Sample
from flowact.studio.performance import LANDMARKS
from flowact.train.data import frames as module
from flowact.train.data.frames import FrameBatches, FrameStore, build_frame_store, mirrored
from flowact.train.stage import Place


def sample(number: int, count: int) -> Sample:
    rng = np.random.default_rng(number)
    landmarks = np.full((count, len(LANDMARKS), 2), np.nan, np.float32)
    for index, point in (("eye_left_inner", (36, 30)), ("eye_left_outer", (44, 30))):
        landmarks[:, LANDMARKS.index(index)] = point
    tracks = {
        "visemes": rng.random((count, 15), np.float32),
        "mouth_open": rng.random(count, np.float32),
        "eye_open": rng.random((count, 2), np.float32),
        "gaze": rng.random((count, 2), np.float32),
        "head": rng.random((count, 3), np.float32),
        "mouth_box": np.tile(np.float32([24, 40, 40, 48]), (count, 1)),
        "face_box": np.tile(np.float32([16, 16, 48, 56]), (count, 1)),
        "landmarks": landmarks,
        "points": rng.random((count, 5, 2), np.float32),
    }
    pictures = rng.integers(0, 255, (count, 64, 64, 3), np.uint8)
    return Sample(f"clip{number}", pictures, np.zeros(640 * count, np.float32), tracks, {"identity": number})


@pytest.fixture
def samples() -> list[Sample]:
    return [sample(3, 12), sample(8, 10)]


@pytest.fixture
def store(samples, tmp_path, monkeypatch) -> FrameStore:
    monkeypatch.setattr(module, "find_shards", lambda folder, split: [Path("one.tar")])
    monkeypatch.setattr(module, "iterate", lambda shards: iter(samples))
    return build_frame_store(tmp_path, tmp_path / "store")


def test_the_store_holds_every_frame_and_label(store, samples):
    assert store.frames.shape == (22, 64, 64, 3)
    assert store.starts.tolist() == [0, 12]
    assert store.identities.tolist() == [3, 8]
    np.testing.assert_array_equal(store.frames[12:], samples[1].frames)
    np.testing.assert_array_equal(store.tracks["mouth_open"][:12], samples[0].tracks["mouth_open"])
    assert store.tracks["eye_boxes"][0, 0] == pytest.approx([40 - 6.8, 30 - 6.8, 40 + 6.8, 30 + 6.8])
    assert np.isnan(store.tracks["eye_boxes"][0, 1]).all()
    for name in ("landmarks", "points"):
        np.testing.assert_array_equal(store.tracks[name][12:], samples[1].tracks[name])


def test_a_clip_of_an_older_studio_is_an_error(samples, tmp_path, monkeypatch):
    del samples[1].tracks["points"]
    monkeypatch.setattr(module, "find_shards", lambda folder, split: [Path("one.tar")])
    monkeypatch.setattr(module, "iterate", lambda shards: iter(samples))
    with pytest.raises(ConfigError, match=r"clip8 has no points.*render it again"):
        build_frame_store(tmp_path, tmp_path / "store")


def test_no_store_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="build_frame_store"):
        FrameStore.open(tmp_path)


def test_clips_of_two_sizes_are_refused(store, samples, tmp_path):
    samples.append(Sample("big", np.zeros((4, 80, 80, 3), np.uint8), samples[0].audio, samples[0].tracks, {}))
    with pytest.raises(ConfigError, match="one size"):
        build_frame_store(tmp_path, tmp_path / "other")


def test_equal_places_give_equal_batches(store):
    open_batches = FrameBatches(store, clips=3, crop_px=48)
    stream = open_batches(Place(seed=1))
    next(stream)
    second, resumed = next(stream), next(open_batches(Place(seed=1, step=1)))
    assert second["clip"].shape == (3, 8, 48, 48, 3)
    assert second["reference"].shape == (3, 48, 48, 3)
    for name, value in second.items():
        torch.testing.assert_close(value, resumed[name], equal_nan=True)
    assert not torch.equal(second["clip"], next(stream)["clip"])


def test_boxes_follow_the_crop(store):
    whole = FrameBatches(store, clips=8, crop_px=64, tint=0.0).draw(np.random.default_rng(0))
    assert (whole["mouth_box"] == torch.tensor([24.0, 40, 40, 48])).all()
    cut = FrameBatches(store, clips=8, crop_px=48, tint=0.0).draw(np.random.default_rng(0))
    assert (cut["mouth_box"][..., 2] - cut["mouth_box"][..., 0] == 16).all()
    assert (cut["mouth_box"] >= 0).all()
    assert (cut["mouth_box"] <= 48).all()


def test_a_mirror_twice_is_no_mirror(store):
    once = mirrored(store.tracks, 64)
    assert (once["mouth_box"][:, 0] == 64 - store.tracks["mouth_box"][:, 2]).all()
    for name, value in mirrored(once, 64).items():
        np.testing.assert_allclose(value, store.tracks[name], atol=1e-4)


def test_pictures_and_tracks_are_mirrored_together(store):
    drawn = FrameBatches(store, clips=16, crop_px=64, tint=0.0).draw(np.random.default_rng(0))
    eyes = drawn["eye_boxes"][:, 0, 0, 0].isfinite()  # the left eye alone is known; mirrored, it is the right one
    assert 0 < int(eyes.sum()) < 16
    for item in range(16):
        shown = drawn["clip"][item, 0].numpy()
        kept = shown if eyes[item] else shown[:, ::-1]
        assert (store.frames == kept).all((1, 2, 3)).any()


def test_what_the_encoder_sees_is_lit_otherwise_than_portrait_and_target(store):
    drawn = FrameBatches(store, clips=8, crop_px=64, tint=0.3).draw(np.random.default_rng(0))
    clip, seen = drawn["clip"].float(), drawn["seen"].float()
    gains = (seen.mean((1, 2, 3)) / clip.mean((1, 2, 3))).log().abs()
    assert (gains.amax(1) > 0.02).all()
    plain = FrameBatches(store, clips=8, crop_px=64, tint=0.0).draw(np.random.default_rng(0))
    assert torch.equal(plain["clip"], plain["seen"])
    assert plain["reference_mouth_box"].shape == (8, 1, 4)

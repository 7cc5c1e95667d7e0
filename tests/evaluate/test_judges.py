import numpy as np
import pytest
import torch

from flowact.core.errors import CheckpointError
from flowact.evaluate.judges import Judges, Watch, hand_mask, resample
from flowact.evaluate.probes import ACTIONS, HAND_LABELS, TRACK_WIDTH

FRAMES = np.random.default_rng(0).integers(0, 255, (24, 64, 64, 3), np.uint8)


def test_it_does_not_matter_how_a_stream_is_cut(judges):
    whole, watch = judges.observe(FRAMES), Watch(judges)
    for part in (FRAMES[:1], FRAMES[1:8], FRAMES[8:20], FRAMES[20:]):
        watch.add(part)
    cut = watch.result()
    assert whole.tracks.shape == (24, TRACK_WIDTH)
    assert whole.embeddings.shape[0] == 5
    for name in ("tracks", "mouth_open", "embeddings", "velocity", "jump"):
        np.testing.assert_allclose(getattr(cut, name), getattr(whole, name), atol=1e-5)


def test_what_is_saved_is_what_is_loaded(judges, tmp_path):
    judges.save(tmp_path)
    once = Judges.load(tmp_path)
    once.save(tmp_path / "again")
    twice = Judges.load(tmp_path / "again")
    assert (once.same_person, once.notes["clips"]) == (0.5, 0)
    assert not once.mouth.training
    np.testing.assert_array_equal(once.observe(FRAMES).tracks, twice.observe(FRAMES).tracks)
    np.testing.assert_allclose(once.observe(FRAMES).mouth_open, judges.observe(FRAMES).mouth_open, atol=0.02)


def test_a_folder_without_judges_says_how_to_train_them(tmp_path):
    with pytest.raises(CheckpointError, match="train-judges"):
        Judges.load(tmp_path)


def test_background_is_no_part_of_a_person(judges):
    crops = torch.rand(1, 3, 64, 64)
    other = crops.clone()
    other[:, :, :8, :8] = 0
    other[:, :, -8:, -6:] = 1
    with torch.inference_mode():
        torch.testing.assert_close(judges.identity(crops), judges.identity(other))
        other[:, :, 30:34, 30:34] = 0
        assert not torch.allclose(judges.identity(crops), judges.identity(other))


def test_a_stretch_of_any_length_gets_a_score_for_every_action(judges):
    for frames in (2, 24, 100):
        scores = judges.name_action(np.zeros((frames, TRACK_WIDTH), np.float32))
        assert scores.shape == (len(ACTIONS),)


def test_resampling_keeps_ends_and_lines():
    line = np.linspace(0, 1, 75, dtype=np.float32)[:, None]
    np.testing.assert_allclose(resample(line)[:, 0], np.linspace(0, 1, 32), atol=1e-6)


def test_a_hidden_left_hand_hides_the_left_half_of_each_label():
    mask = hand_mask(np.asarray([[0, 1]], np.float32))[0]
    start = 0
    for width in HAND_LABELS.values():
        assert mask[start : start + width].tolist() == [0] * (width // 2) + [1] * (width // 2)
        start += width

import numpy as np
import pytest
import torch

from flowact.core.errors import CheckpointError
from flowact.evaluate.judge_tracks import HAND_COLUMNS, HANDS_SEEN
from flowact.evaluate.judges import Judges, Watch, read_hands
from flowact.evaluate.probes import ACTIONS, TRACK_WIDTH

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


def test_what_follows_a_stretch_does_not_change_its_name(judges):
    tracks = torch.randn(2, 40, TRACK_WIDTH)
    with torch.inference_mode():
        padded = judges.action(tracks, torch.tensor([40, 17]))
        alone = judges.action(tracks[1:, :17], torch.tensor([17]))
    torch.testing.assert_close(padded[1:], alone)
    assert not torch.allclose(padded[0], padded[1])


def test_a_mirrored_picture_shows_the_mirrored_hand(judges):
    frames = FRAMES[:2]
    places = np.tile(np.asarray([0.5, 0.5, 0.3, 0.3, 0.7, 0.7, 0.25, 0.5, 0.75, 0.5], np.float32), (2, 1))
    wrists = np.tile(np.asarray([0.3, 0.1, 0.2, -0.3, 0.1, 0.2], np.float32), (2, 1))
    seen = np.ones((2, 2), np.float32)
    with torch.inference_mode():
        hands = read_hands(judges.hand, frames, places, wrists, seen)
        turned = read_hands(judges.hand, frames[:, :, ::-1], places, wrists, seen)
        hidden = read_hands(judges.hand, frames, places, wrists, seen * [1, 0])
    left, right = (np.asarray(columns) - HANDS_SEEN.stop for columns in HAND_COLUMNS)
    signs = np.asarray([-1, 1, 1] * 3 + [1] * 5)
    np.testing.assert_allclose(turned[:, left], hands[:, right] * signs, atol=1e-5)
    assert np.abs(hands[:, left] - hands[:, right]).max() > 1e-3
    assert (hidden[:, right] == 0).all()
    np.testing.assert_allclose(hidden[:, left], hands[:, left])

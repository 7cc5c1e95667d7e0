import numpy as np
import pytest

from flowact.core.errors import ConfigError
from flowact.evaluate.judge_data import choose, cut_stretches, index_shards, load_pictures, load_scores, part_people
from flowact.evaluate.probes import TRACK_WIDTH
from flowact.studio.dataset import find_shards, iterate


def test_an_entry_reads_what_a_shard_holds(dataset):
    shards = find_shards(dataset, "val")
    entries, samples = index_shards(shards), list(iterate(shards))
    assert [entry.key for entry in entries] == [sample.key for sample in samples]
    np.testing.assert_array_equal(entries[2].sample().frames, samples[2].frames)


def test_a_damaged_shard_is_named(tmp_path):
    (tmp_path / "flowact-val-000000.tar").write_bytes(b"no tar")
    with pytest.raises(ConfigError, match="flowact-val-000000"):
        index_shards(find_shards(tmp_path, "val"))


def test_few_clips_are_of_many_people(dataset):
    entries = index_shards(find_shards(dataset, "train"))
    chosen = choose(entries, 8)
    assert len({entry.identity for entry in chosen}) == 4
    assert chosen == choose(entries, 8) != choose(entries, 8, seed=1)
    assert len(choose(entries, 99)) == 16


def test_pictures_carry_their_labels(dataset):
    entry = index_shards(find_shards(dataset, "train"))[3]
    pictures, sample = load_pictures([entry]), entry.sample()
    np.testing.assert_allclose(pictures.opening[:, 0], sample.tracks["mouth_open"][::3])
    np.testing.assert_allclose(pictures.place[0, :6], np.asarray([32, 40.5, 16, 14, 48, 50]) / 64)
    # The mouth is the darkest thing and opens: dark pixels in its crop follow the label.
    dark = (pictures.mouth.max(-1) < 50).mean((1, 2))
    assert np.corrcoef(dark, pictures.opening[:, 0])[0, 1] > 0.9
    # One hand, always in the picture, is one crop for every frame kept.
    assert pictures.clips == 1
    assert len(pictures.hand) == len(pictures.shape) == len(pictures.whole) == 12


def test_people_are_parted_not_clips(dataset):
    learnt, aside = part_people(index_shards(find_shards(dataset, "train")), 3)
    assert {entry.identity for entry in learnt}.isdisjoint(entry.identity for entry in aside)
    assert (len(learnt), len(aside)) == (10, 6)


def test_stretches_are_cut_at_segments(dataset):
    score = load_scores(index_shards(find_shards(dataset, "val"))[:1])[0]
    stretches = cut_stretches(score.tracks, score.segments)
    assert [s.action for s in stretches] == ["talk", "wave"]
    assert [s.tracks.shape for s in stretches] == [(18, TRACK_WIDTH)] * 2
    short = [{"start_s": 0.0, "end_s": 0.01, "state": "talk", "gesture": "none"}]
    late = [{"start_s": 1.0, "end_s": 9.0, "state": "talk", "gesture": "none"}]
    assert cut_stretches(score.tracks, short + late) == []

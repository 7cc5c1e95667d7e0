import numpy as np
import pytest

from flowact.core.errors import ConfigError
from flowact.evaluate.judge_data import choose, cut_stretches, index_shards, load_pictures, load_stretches
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
    np.testing.assert_allclose(pictures.opening[:, 0], sample.tracks["mouth_open"][::2])
    np.testing.assert_allclose(pictures.place[0], np.asarray([32, 40.5, 16, 14, 48, 50]) / 64)
    # The mouth is the darkest thing and opens: dark pixels in its crop follow the label.
    dark = (pictures.mouth.max(-1) < 50).mean((1, 2))
    assert np.corrcoef(dark, pictures.opening[:, 0])[0, 1] > 0.9
    assert pictures.clips[0][:2] == (0, 18)


def test_stretches_are_cut_at_segments(dataset):
    stretches = load_stretches(index_shards(find_shards(dataset, "val"))[:1])
    assert [s.action for s in stretches] == ["talk", "wave"]
    assert [s.tracks.shape for s in stretches] == [(18, TRACK_WIDTH)] * 2
    short = [{"start_s": 0.0, "end_s": 0.01, "state": "talk", "gesture": "none"}]
    assert cut_stretches(stretches[0].tracks, short, 25) == []

import numpy as np
import pytest

from flowact.core.errors import ConfigError
from flowact.evaluate.judge_data import index_shards
from flowact.evaluate.subjects import find_subjects, load_subject, take_evenly
from flowact.studio.dataset import find_shards


@pytest.fixture
def entries(dataset):
    return index_shards(find_shards(dataset, "val"))


def test_people_take_turns(entries):
    groups = find_subjects(entries, 4, None)
    assert [group[0].key for group in groups] == [
        "id00023-take00",
        "id00039-take00",
        "id00023-take01",
        "id00039-take01",
    ]
    assert [len(group) for group in find_subjects(entries, 2, 10.0)] == [2, 2]
    with pytest.raises(ConfigError, match="--clips"):
        find_subjects(entries, 3, 10.0)


def test_a_clip_is_a_subject(judges, entries):
    subject = load_subject(judges, entries[:1], None, with_mesh=False)
    sample = entries[0].sample()
    np.testing.assert_array_equal(subject.portrait, sample.frames[0])
    np.testing.assert_array_equal(subject.opening, sample.tracks["mouth_open"])
    assert [(p.start_s, p.text) for p in subject.prompts] == [(0.0, "talks 1"), (0.72, "waves 1")]


def test_a_long_subject_repeats_its_clips_in_step(judges, entries):
    subject = load_subject(judges, entries[:2], 4.0, with_mesh=False)
    parts = [entry.sample() for entry in entries[:2]]
    assert subject.frames == 100
    assert len(subject.true) == 3
    np.testing.assert_array_equal(subject.opening[36:72], parts[1].tracks["mouth_open"])
    np.testing.assert_array_equal(subject.audio[72 * 640 : 73 * 640], parts[0].audio[:640])
    assert [s["start_s"] for s in subject.segments] == pytest.approx([0, 0.72, 1.44, 2.16, 2.88, 3.6])
    assert [p.start_s for p in subject.prompts] == pytest.approx([0, 0.72, 1.44, 2.16, 2.88, 3.6])


def test_frames_are_spread_evenly():
    assert take_evenly(120, 3) == [0, 60, 119]

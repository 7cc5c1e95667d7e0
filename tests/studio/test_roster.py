from __future__ import annotations

import pytest

from flowact.core.errors import ConfigError
from flowact.studio.roster import DatasetSettings, has_busy_hands, has_loose_face, is_held_out, kind_of, plan_shards


def test_every_clip_is_planned_once_and_held_out_people_stay_out_of_training():
    shards = plan_shards(DatasetSettings(identities=64, takes=3))
    clips = [clip for shard in shards for clip in shard.clips]
    assert len({clip.key for clip in clips}) == len(clips) == 64 * 3 + 4
    for clip in clips:
        assert (clip.split == "val") == is_held_out(clip.identity)
    assert {kind_of(clip.identity) for clip in clips if clip.split == "val"} == {"2d", "3d"}
    assert len({clip.seed(0) for clip in clips}) == len(clips)


def test_a_shard_holds_whole_people_of_its_own_split():
    for shard in plan_shards(DatasetSettings(identities=50, takes=5)):
        assert {clip.split for clip in shard.clips} == {shard.name.split("-")[1]}
        people = [clip.identity for clip in shard.clips]
        assert shard.name.startswith("flowact-sentences") or all(people.count(person) == 5 for person in people)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="takes is 0; expected at least 1"):
        DatasetSettings(identities=1, takes=0)


def test_more_people_can_be_added_to_a_set():
    shards = plan_shards(DatasetSettings(identities=40, takes=1, first=100))
    clips = [clip for shard in shards for clip in shard.clips]
    assert sorted({clip.identity for clip in clips}) == list(range(100, 140))
    assert all((clip.split == "val") == is_held_out(clip.identity) for clip in clips)


def test_the_share_with_busy_hands_is_met_among_puppets_and_held_out_people_too():
    for chosen in (range(5000), range(4, 5000, 5), range(7, 5000, 16)):
        share = sum(has_busy_hands(identity, 0.3) for identity in chosen) / len(chosen)
        assert abs(share - 0.3) < 0.03
    assert not any(has_busy_hands(identity, 0.0) for identity in range(100))
    assert all(has_busy_hands(identity, 1.0) for identity in range(100))
    with pytest.raises(ConfigError, match=r"busy_hands is 1\.5; expected a share"):
        DatasetSettings(identities=1, takes=1, busy_hands=1.5)


def test_faces_are_loose_whether_hands_are_busy_or_not():
    busy, free = ([i for i in range(5000) if has_busy_hands(i, 0.4) == value] for value in (True, False))
    for chosen in (busy, free, range(4, 5000, 5)):
        assert abs(sum(has_loose_face(identity, 0.2) for identity in chosen) / len(chosen) - 0.2) < 0.03
    with pytest.raises(ConfigError, match="loose_faces is -1; expected a share"):
        DatasetSettings(identities=1, takes=1, loose_faces=-1)

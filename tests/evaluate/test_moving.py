import json

import numpy as np
import pytest

from flowact.core.errors import ConfigError
from flowact.core.motion import MOTION_WIDTH, pack_motion
from flowact.evaluate import moving
from flowact.evaluate.judge_data import index_shards
from flowact.stream.avatar import TimedPrompt
from flowact.studio.clipfile import LABELS, decode_labels
from flowact.studio.dataset import find_shards
from tests.stream.conftest import avatar  # noqa: F401


def _measures(folder):
    return {line["name"]: line for line in json.loads((folder / "report.json").read_text())["measures"]}


def test_a_body_that_moves_as_the_score_says_reaches_the_ceiling(avatar, dataset, judges, tmp_path, monkeypatch):  # noqa: F811
    entries = moving.choose(index_shards(find_shards(dataset, "val")), 3)
    true = iter([pack_motion(decode_labels(entry.read((LABELS,))[LABELS])) for entry in entries])
    monkeypatch.setattr(moving, "move", lambda *_: next(true))
    notes = []
    table = moving.evaluate_moving(avatar, dataset, judges, tmp_path, 3, "val", 0, notes.append)
    found = _measures(tmp_path)
    for name in ("action recognised", "gesture where one was asked", "state where no gesture was asked"):
        assert found[name]["score"] == pytest.approx(found[name]["ceiling"], abs=1e-5)
    assert len(notes) == 3
    assert "jump at chunk edges" in table


def test_clips_are_judged_to_their_last_frame(avatar, dataset, judges, monkeypatch):  # noqa: F811
    entry = moving.choose(index_shards(find_shards(dataset, "val")), 1)[0]
    true = pack_motion(decode_labels(entry.read((LABELS,))[LABELS]))[:-1]  # so that they are no whole chunks
    monkeypatch.setattr(moving, "pack_motion", lambda _: true)
    monkeypatch.setattr(moving, "move", lambda *given: np.zeros((12 * given[3], MOTION_WIDTH), np.float32))
    moved = moving._move(avatar, entry, None, 0)
    assert len(true) % 12
    assert len(moved.made) == len(moved.true) == len(true)


def test_motion_is_made_as_a_session_makes_it(avatar):  # noqa: F811
    voice = np.random.default_rng(0).uniform(-0.3, 0.3, 20000).astype(np.float32)
    made = moving.move(avatar, voice, [TimedPrompt(0.0, "a person waves")], chunks=2, seed=4)
    assert made.shape == (24, MOTION_WIDTH)
    again = moving.move(avatar, voice, [TimedPrompt(0.0, "a person waves")], chunks=2, seed=4)
    other = moving.move(avatar, voice, [TimedPrompt(0.0, "a person nods")], chunks=2, seed=4)
    assert np.array_equal(made, again)
    assert not np.array_equal(made, other)


def test_a_model_without_motion_is_refused(avatar, dataset, judges, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(avatar, "mover", None)
    with pytest.raises(ConfigError, match="no network for motion"):
        moving.evaluate_moving(avatar, dataset, judges, tmp_path, 1, "val", 0, print)

import json
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from flowact.core.types import Clip
from flowact.evaluate.judge_data import index_shards
from flowact.evaluate.metrics.lips import correlate
from flowact.evaluate.run import RunSettings, evaluate
from flowact.evaluate.subjects import find_subjects
from flowact.studio.dataset import find_shards


class Actor:
    """Plays the true clip of whoever is in the portrait, or stays still."""

    def __init__(self, dataset, is_still: bool = False) -> None:
        samples = [entry.sample() for entry in index_shards(find_shards(dataset, "val"))]
        self.true = {sample.frames[0].tobytes(): sample.frames for sample in samples}
        self.is_still, self.asked = is_still, []

    def stream(self, image, audio, prompt, seed, seconds) -> Iterator[Clip]:
        self.asked.append((audio, prompt, seed, seconds))
        true = self.true[image.tobytes()]
        for index in range(-(-round(seconds * 25) // 12)):
            at = (np.arange(12) + 12 * index) % len(true)
            yield Clip(index, true[at * (not self.is_still)], np.zeros(7680, np.float32), 0.25)


def _measures(folder) -> dict[str, dict]:
    return {line["name"]: line for line in json.loads((folder / "report.json").read_text())["measures"]}


def test_a_perfect_actor_scores_the_ceiling(dataset, judges, tmp_path):
    actor = Actor(dataset)
    notes: list[str] = []
    settings = RunSettings(clips=3, wrong_audio=1, with_mesh=False, seed=5)
    table = evaluate(actor, dataset, judges, tmp_path, settings, notes.append)
    lines = _measures(tmp_path)
    for name in (
        "lips: correlation with the true opening",
        "behaviour: asked-for action recognised",
        "behaviour: asked-for gesture recognised",
        "behaviour: asked-for state recognised, no gesture asked",
    ):
        assert lines[name]["score"] == pytest.approx(lines[name]["ceiling"], abs=1e-6)
    assert lines["motion: energy, share of the data's"]["score"] == pytest.approx(1, abs=1e-6)
    assert lines["identity: first and last second one person"]["score"] is not None
    assert len(notes) == 3
    # How far two true openings agree by chance stands beside what lips do to a wrong voice.
    people = find_subjects(index_shards(find_shards(dataset, "val")), 3, None)
    one, other = (people[i][0].sample().tracks["mouth_open"] for i in (1, 0))
    assert one.std() > 0.02
    assert lines["lips: correlation to a wrong voice"]["ceiling"] == pytest.approx(correlate(other, one), abs=1e-6)
    assert "lips: correlation to a wrong voice" in table
    # Three streams, and one of the second person to the first one's voice.
    assert len(actor.asked) == 4
    assert actor.asked[2][0] is actor.asked[0][0]
    assert {asked[2:] for asked in actor.asked} == {(5, 36 / 25)}
    with Image.open(tmp_path / "people.png") as sheet:
        assert sheet.size[0] > 400
    assert (tmp_path / "true_and_made.png").exists()


def test_a_still_actor_is_found_out(dataset, judges, tmp_path):
    settings = RunSettings(clips=2, seconds=5.0, wrong_audio=0, with_mesh=False)
    evaluate(Actor(dataset, is_still=True), dataset, judges, tmp_path, settings, lambda _: None)
    lines = _measures(tmp_path)
    assert lines["motion: energy, share of the data's"]["verdict"] == "missed"
    assert lines["lips: correlation with the true opening"]["score"] == pytest.approx(0, abs=1e-6)
    assert lines["cost: seconds per chunk of 0.48 s, median"]["score"] == 0.25
    assert lines["lips: correlation to a wrong voice"]["verdict"] == "not measured"

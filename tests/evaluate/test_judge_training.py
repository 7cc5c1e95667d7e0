import io

import numpy as np
import pytest
from rich.console import Console

from flowact.core.errors import ConfigError
from flowact.evaluate.judge_training import JudgeSettings, train_judges
from flowact.evaluate.judges import Judges
from flowact.studio.dataset import find_shards, iterate


@pytest.mark.slow
def test_judges_learn_and_are_stored(dataset, tmp_path):
    console = Console(file=io.StringIO(), width=200)
    settings = JudgeSettings(clips=16, check_clips=4, passes=16, practice=14)
    train_judges([dataset], tmp_path, settings, console)
    judges = Judges.load(tmp_path)
    (notes,) = judges.notes["unseen_people"]
    assert set(notes) >= {"lips_correlation", "identity_equal_error", "behaviour"}
    assert notes["behaviour"]["stretches"] == 8
    assert -1 < judges.same_person < 1
    sample = next(iter(iterate(find_shards(dataset, "train"))))
    seen = judges.observe(sample.frames)
    assert np.isfinite(seen.tracks).all()
    assert np.corrcoef(seen.mouth_open, sample.tracks["mouth_open"])[0, 1] > 0.5


def test_too_few_people_are_refused(dataset, tmp_path):
    with pytest.raises(ConfigError, match="people"):
        train_judges(
            [dataset],
            tmp_path,
            JudgeSettings(clips=4, check_clips=2, passes=0.1, practice=0),
            Console(file=io.StringIO()),
        )

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import psutil
import pytest

pytest.importorskip("skia")
if not shutil.which("flite"):
    pytest.skip("needs the flite synthesiser", allow_module_level=True)

from flowact.core.errors import ConfigError
from flowact.studio import dataset
from flowact.studio.cast import Cast
from flowact.studio.roster import ClipPlan, DatasetSettings, ShardPlan

SETTINGS = DatasetSettings(identities=10, takes=1, frames=12, size=96)
SHARDS = [
    ShardPlan("flowact-train-000000.tar", (ClipPlan(4, 0, "train"), ClipPlan(9, 0, "train"))),
    ShardPlan("flowact-val-000000.tar", (ClipPlan(39, 0, "val"),)),
]


@pytest.fixture
def only_puppets(monkeypatch):
    """A plan that needs no character data."""
    monkeypatch.setattr(dataset, "plan_shards", lambda settings: SHARDS)


def render(out):
    return dataset.render_dataset(out, identities=10, takes=1, frames=12, size=96)


def test_clips_come_back_as_they_were_rendered(only_puppets, tmp_path):
    manifest = json.loads(render(tmp_path).read_text())
    assert manifest["complete"]
    assert manifest["clips"] == {"train": 2, "val": 1, "sentences": 0}
    samples = list(dataset.iterate(dataset.find_shards(tmp_path, "train")))
    assert [sample.key for sample in samples] == ["id00004-take00", "id00009-take00"]
    plan = SHARDS[0].clips[1]
    performance, clip, about = Cast(96, None).play(9, plan.seed(0), 12)
    sample = samples[1]
    assert sample.meta["description"] == about["description"]
    assert sample.meta["sentence"] == performance.sentence
    assert sample.meta["kind"] == "2d"
    assert np.abs(sample.audio - performance.audio).max() < 1e-4
    assert np.abs(sample.frames.astype(float) - clip.frames).mean() < 3
    assert np.array_equal(sample.tracks["landmarks"], clip.landmarks)
    assert np.array_equal(sample.tracks["mouth_open"], clip.mouth_open)
    assert np.allclose(sample.tracks["head"], performance.head, atol=0.05)


def test_a_rerun_renders_only_what_is_missing(only_puppets, tmp_path):
    render(tmp_path)
    kept, missing = (tmp_path / shard.name for shard in SHARDS)
    before, stamp = missing.read_bytes(), kept.stat().st_mtime_ns
    missing.unlink()
    render(tmp_path)
    assert kept.stat().st_mtime_ns == stamp
    assert missing.read_bytes()[:512] == before[:512]
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_of_another_dataset_is_refused(only_puppets, tmp_path):
    render(tmp_path)
    with pytest.raises(ConfigError, match="choose another folder"):
        dataset.render_dataset(tmp_path, identities=11, takes=1, frames=12, size=96)


def test_a_damaged_shard_is_a_clear_error(tmp_path):
    (tmp_path / "flowact-train-000000.tar").write_bytes(b"not a tar file")
    with pytest.raises(ConfigError, match="cannot read shard"):
        list(dataset.iterate(dataset.find_shards(tmp_path, "train")))
    with pytest.raises(ConfigError, match="no shards of split 'val'"):
        dataset.find_shards(tmp_path, "val")


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import multiprocessing, time\n"
        "from flowact.studio.dataset import _end_with_parent\n"
        "if __name__ == '__main__':\n"
        "    worker = multiprocessing.get_context('spawn').Process(target=_end_with_parent)\n"
        "    worker.start()\n"
        "    print(worker.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    worker.wait(30)

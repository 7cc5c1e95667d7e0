from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench import child
from bench.child import PartError, run_child
from bench.parts import machine, offline, wide
from bench.parts.offline import Forgetful
from bench.stages import STAGES, WARM_UP_CHUNKS, WatchedBackbone, summarise, time_stages
from bench.subject import voice_of
from flowact.stream.avatar import Avatar
from tests.fakes import FakeBackbone


def test_stages_add_up_to_the_whole(avatar: Avatar, portrait: NDArray[np.uint8], tmp_path: Path) -> None:
    chunks = time_stages(avatar, portrait, voice_of(4 * 0.48 + 1), tmp_path / "film.mp4")
    assert len(chunks) == 3  # of six blocks, three fill the stream; the look-ahead of the hearing costs one of these
    assert (tmp_path / "film.mp4").is_file()
    for times in chunks[1:]:
        assert set(times) == {*STAGES, "total"}
        assert all(times[name] > 0 for name in ("hear", "condition", "remember", "passes", "decode", "encode"))
        parts = sum(times[name] for name in STAGES)
        assert parts <= times["total"] * 1.001
        assert parts >= 0.8 * times["total"]
    assert not isinstance(avatar.backbone, WatchedBackbone), "the avatar itself is left as it was"


def test_summary_leaves_the_warm_up_out() -> None:
    slow = [{"passes": 9.0, "encode": 1.0, "total": 10.0}] * WARM_UP_CHUNKS
    figures = summarise(slow + [{"passes": 0.1, "encode": 0.02, "total": 0.12}] * 20)
    assert figures["warm_up_s"] == [10.0] * WARM_UP_CHUNKS
    assert figures["stages_s"]["total"] == {"count": 20, "p50": 0.12, "p95": 0.12, "p99": 0.12, "worst": 0.12}
    assert figures["fps"] == pytest.approx(100.0)
    assert figures["fps_without_encoding"] == pytest.approx(120.0)
    with pytest.raises(ValueError, match="measure more seconds"):
        summarise(slow)


def test_the_classic_loop_looks_at_the_memory_in_every_evaluation() -> None:
    class Counting(FakeBackbone):
        looked = 0

        def remember(self, memory: object) -> object:
            self.looked += 1
            return memory

        def __call__(self, frames: object, remembered: object, guidance: object) -> torch.Tensor:
            return torch.zeros(1)

    inner = Counting()
    backbone = Forgetful(inner)  # type: ignore[arg-type]
    memory = backbone.remember("memory")  # type: ignore[arg-type]
    assert inner.looked == 0
    for _ in range(2):
        backbone("frames", memory, None)  # type: ignore[arg-type]
    assert inner.looked == 2


def test_offline_figures(tiny: Path) -> None:
    found = offline.measure(str(tiny), "torch", seconds=8.0, precision="float32")
    assert found["model"]["precision"] == "float32"
    assert found["generate"]["fps_end_to_end"] > 0
    assert found["stages_s"]["total"]["count"] >= 1
    assert found["peak_rss_mb"] > 50


def test_the_square_nearest_to_480x832() -> None:
    assert wide.nearest_grid(4) == 40
    assert wide.nearest_grid(2) == 40
    assert wide.nearest_grid(1) == 39


def test_products_are_counted() -> None:
    found = machine.measure()
    assert found["float32_gflops"] > 0.1
    assert found["bfloat16_gflops"] > 0.01


def test_a_failing_part_says_why() -> None:
    with pytest.raises(PartError, match=r"model_index\.json is missing"):
        run_child("offline", {"model": "/nowhere", "runtime": "torch", "seconds": 8.0})


def test_a_child_hears_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bench" / "parts").mkdir(parents=True)
    for name in ("bench/__init__.py", "bench/parts/__init__.py"):
        (tmp_path / name).touch()
    (tmp_path / "bench" / "child.py").write_text(Path(child.__file__).read_text())
    told = "import os\ndef measure(word): return {'word': word, 'cap': os.environ['ONEDNN_MAX_CPU_ISA']}\n"
    (tmp_path / "bench" / "parts" / "echo.py").write_text(told)
    monkeypatch.setattr(child, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run_child("echo", {"word": "a"}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}) == {"word": "a", "cap": "AVX2"}

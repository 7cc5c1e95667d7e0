"""Choosing what computes: by what the processor can do, what is installed, and what was measured."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable

import pytest
import torch

from flowact.core.errors import ConfigError
from flowact.speed import runtime
from flowact.speed.cache import GraphCache
from flowact.speed.graph import Maker
from flowact.speed.runtime import Doors, Runtime, Work, choose_runtime
from flowact.stream.avatar import Avatar


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> dict[Runtime, float]:
    """No graph is made; a chunk takes as long as is written here."""
    times = {Runtime.TORCH: 0.3, Runtime.OPENVINO_F32: 0.2, Runtime.OPENVINO_BF16: 0.1}

    def doors(self: Work, which: Runtime, maker: Maker | None = None) -> Doors:
        return Doors(str(which), None)

    def seconds(chunk: Callable[[], None], which: Runtime, threads: int) -> float:
        return times[which]

    monkeypatch.setattr(Work, "doors", doors)
    monkeypatch.setattr(Work, "chunk", lambda self, doors: lambda: None)
    monkeypatch.setattr(runtime, "_seconds", seconds)
    monkeypatch.setattr(runtime, "has_native_bf16", lambda: True)
    return times


def test_the_fastest_is_taken_and_remembered(work: Work, cache: GraphCache, pretended: dict[Runtime, float]) -> None:
    choice, doors = choose_runtime(work, "auto", cache=cache)
    assert choice.runtime is Runtime.OPENVINO_BF16
    assert doors.backbone == "openvino-bf16"
    assert choice.times_s == {"torch": 0.3, "openvino-f32": 0.2, "openvino-bf16": 0.1}
    pretended[Runtime.TORCH] = 0.05
    assert choose_runtime(work, "auto", cache=cache)[0] == choice
    assert choose_runtime(work, "auto", cache=cache, again=True)[0].runtime is Runtime.TORCH
    assert choose_runtime(work, "auto", cache=cache)[0].runtime is Runtime.TORCH
    assert choose_runtime(work, "openvino", cache=cache)[0].runtime is Runtime.OPENVINO_BF16


@pytest.mark.usefixtures("pretended")
def test_bfloat16_is_left_out_where_it_would_be_emulated(
    work: Work, cache: GraphCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "has_native_bf16", lambda: False)
    choice, _ = choose_runtime(work, "openvino", cache=cache, again=True)
    assert choice.runtime is Runtime.OPENVINO_F32
    assert "does not multiply" in choice.left_out["openvino-bf16"]


@pytest.mark.usefixtures("pretended")
def test_a_runtime_that_cannot_compile_here_is_left_out(
    work: Work, cache: GraphCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chunk(self: Work, doors: Doors) -> Callable[[], None]:
        if doors.backbone == "openvino-bf16":
            raise RuntimeError("Supported primitive descriptors list is empty")
        return lambda: None

    monkeypatch.setattr(Work, "chunk", chunk)
    choice, _ = choose_runtime(work, "auto", cache=cache, again=True)
    assert choice.runtime is Runtime.OPENVINO_F32
    assert "primitive descriptors" in choice.left_out["openvino-bf16"]


def test_without_openvino_auto_is_torch_and_says_why(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    choice, doors = choose_runtime(work, "auto")
    assert choice.runtime is Runtime.TORCH
    assert doors.backbone is work.backbone
    assert "pip install 'flowact[speed]'" in choice.lines()[-1]
    with pytest.raises(ConfigError, match="not installed"):
        choose_runtime(work, "openvino")


def test_graphs_are_not_for_other_devices(work: Work) -> None:
    assert choose_runtime(work, "auto", device="cuda")[0].runtime is Runtime.TORCH
    with pytest.raises(ConfigError, match="cuda"):
        choose_runtime(work, "openvino", device="cuda")


def test_an_unknown_name_is_refused(work: Work) -> None:
    with pytest.raises(ConfigError, match="auto, torch, openvino"):
        choose_runtime(work, "onnx")


def test_an_avatar_changes_its_doors_and_keeps_its_networks(eager: Avatar, pretended: dict[Runtime, float]) -> None:
    avatar = copy.copy(eager)
    assert avatar.use_runtime("openvino", again=True).runtime is avatar.runtime is Runtime.OPENVINO_BF16
    assert avatar.backbone == "openvino-bf16"
    assert avatar.networks()["backbone"] is eager.backbone
    assert torch.get_num_threads() == 1


def test_a_chunk_of_work_runs_in_eager_torch(work: Work) -> None:
    work.chunk(work.doors(Runtime.TORCH))()

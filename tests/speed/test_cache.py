"""Graphs on disk: found again, never half there, made anew where damaged."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import openvino as ov
import pytest
import torch
from torch import nn

from flowact.speed.cache import GraphCache
from flowact.speed.graph import Maker, key_of, trace


def made_by(net: nn.Module) -> ov.Model:
    return trace(net, [torch.zeros(2, 3)], [(-1, 3)])


def refuse() -> ov.Model:
    raise AssertionError("the graph should have come from the cache")


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.GELU())


def test_a_graph_is_made_once(tmp_path: Path, net: nn.Module) -> None:
    x = torch.randn(5, 3)
    first, second = (Maker("f32", GraphCache(tmp_path), 1) for _ in range(2))
    first.keep()
    (a,) = first.graph("net", key_of(net), lambda: made_by(net))(x)
    (b,) = second.graph("net", key_of(net), refuse)(x)
    torch.testing.assert_close(a, net(x).detach(), rtol=1e-4, atol=1e-5)
    assert torch.equal(a, b)
    assert [path.suffix for path in tmp_path.iterdir()] == [".graph"]


def test_what_was_not_chosen_is_not_kept(tmp_path: Path, net: nn.Module) -> None:
    maker = Maker("f32", GraphCache(tmp_path), 1)
    maker.graph("net", key_of(net), lambda: made_by(net))
    assert not list(tmp_path.iterdir())
    maker.keep()
    assert maker.holds("net", key_of(net))


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty"])
def test_a_damaged_graph_is_made_again(
    tmp_path: Path, net: nn.Module, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    maker = Maker("f32", GraphCache(tmp_path), 1)
    maker.keep()
    maker.graph("net", key_of(net), lambda: made_by(net))
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    broken = {"cut": whole[:-10], "flipped": whole[:-1] + bytes([whole[-1] ^ 1]), "empty": b""}[harm]
    path.write_bytes(broken)
    with caplog.at_level(logging.WARNING):
        (y,) = maker.graph("net", key_of(net), lambda: made_by(net))(torch.zeros(1, 3))
    assert "damaged" in caplog.text
    torch.testing.assert_close(y, net(torch.zeros(1, 3)).detach(), rtol=1e-4, atol=1e-5)
    Maker("f32", GraphCache(tmp_path), 1).graph("net", key_of(net), refuse)


def test_a_graph_that_openvino_does_not_understand_is_made_again(
    tmp_path: Path, net: nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    maker = Maker("f32", GraphCache(tmp_path), 1)
    maker.keep()
    maker.graph("net", key_of(net), lambda: made_by(net))
    (path,) = tmp_path.iterdir()
    GraphCache(tmp_path).write("net", path.stem.partition("@")[2], b"no graph, but with the right sum")
    with caplog.at_level(logging.WARNING):
        (y,) = maker.graph("net", key_of(net), lambda: made_by(net))(torch.zeros(1, 3))
    assert "cannot be loaded" in caplog.text
    torch.testing.assert_close(y, net(torch.zeros(1, 3)).detach(), rtol=1e-4, atol=1e-5)


def test_other_weights_sizes_or_formats_are_another_graph(tmp_path: Path, net: nn.Module) -> None:
    key = key_of(net)
    assert key == key_of(net)
    assert key != key_of(net, 64)
    with torch.no_grad():
        net[0].weight[0, 0] += 1e-3  # type: ignore[index,union-attr,operator]
    assert key != key_of(net)
    maker = Maker("f32", GraphCache(tmp_path), 1)
    maker.keep()
    maker.graph("net", key, lambda: made_by(net))
    assert not Maker("bf16", GraphCache(tmp_path), 1).holds("net", key)


def test_only_the_last_few_of_a_role_stay(tmp_path: Path) -> None:
    cache = GraphCache(tmp_path)
    for i in range(9):
        cache.write("net", f"key{i}", b"graph")
    cache.write("other", "key", b"graph")
    assert len(list(tmp_path.glob("net@*"))) == 6
    assert cache.read("net", "key8") == b"graph"
    assert cache.read("other", "key") == b"graph"


def test_a_folder_that_cannot_be_written_is_told_and_nothing_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = GraphCache(tmp_path / "file" / "graphs")
    with caplog.at_level(logging.WARNING):
        cache.write("net", "key", b"graph")
        cache.keep_note("note", {})
    assert caplog.text.count("cannot be kept") == 2
    assert cache.note("note") is None


def test_a_signal_after_graphs_were_let_go_does_not_end_the_process(tmp_path: Path) -> None:
    """In a process of its own: OpenVINO's plugins, let go in another order than they came, left behind a stack for
    signals that was there no more.
    """
    program = """
import gc, os, pathlib, signal, sys
import torch
from flowact.speed.cache import GraphCache
from flowact.speed.graph import Maker, trace
net, x = torch.nn.Linear(3, 4), torch.zeros(2, 3)
cache = GraphCache(pathlib.Path(sys.argv[1]))
graphs = [Maker("f32", cache, 1).graph(role, "key", lambda: trace(net, [x], [(-1, 3)])) for role in ("a", "b")]
while graphs:
    del graphs[0]
    gc.collect()
signal.signal(signal.SIGTERM, lambda number, frame: print("heard"))
os.kill(os.getpid(), signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr

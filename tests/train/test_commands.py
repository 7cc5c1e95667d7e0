import sys
import types

import pytest
import typer
from typer.testing import CliRunner

from flowact.core.errors import ConfigError
from flowact.train.commands import find_recipe, train
from tests.train.fakes_train import make_net, make_stage


@pytest.fixture(autouse=True)
def recipe_module(monkeypatch):
    module = types.ModuleType("recipes.testing")

    def tiny(context):
        return make_stage(make_net(), train_steps=4, minutes=context.minutes)

    tiny.__module__ = "recipes.testing"
    module.tiny = tiny
    monkeypatch.setitem(sys.modules, "recipes.testing", module)


@pytest.fixture
def call(tmp_path):
    app = typer.Typer()
    app.command()(train)
    base = ["testing.tiny", "--data", str(tmp_path), "--out", str(tmp_path / "run"), "--device", "cpu"]
    return lambda *extra: CliRunner().invoke(app, base + list(extra), catch_exceptions=False)


def test_train_stop_refuse_and_resume(call, tmp_path):
    paused = call("--max-minutes", "0", "--minutes", "3")
    assert paused.exit_code == 0
    assert "testing.tiny on cpu" in paused.output
    assert "4 steps or 3 min" in paused.output
    assert "go on with the same command and --resume" in paused.output
    with pytest.raises(ConfigError, match="--resume"):
        call()
    assert "finished at step 4" in call("--resume").output
    assert (tmp_path / "run/tiny/metrics.jsonl").exists()


def test_unknown_recipes_are_told():
    with pytest.raises(ConfigError, match=r"module\.function"):
        find_recipe("nothing.here")
    with pytest.raises(ConfigError, match=r"module\.function"):
        find_recipe("tiny")
    with pytest.raises(ConfigError, match=r"one of \['tiny'\]"):
        find_recipe("testing.huge")

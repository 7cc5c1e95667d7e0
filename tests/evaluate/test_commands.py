import pytest
from typer.testing import CliRunner

from flowact.core.errors import CheckpointError, ConfigError
from flowact.evaluate.commands import app


def test_help_names_the_commands():
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert all(name in shown.output for name in ("train-judges", "run", "codec", "motion"))


def test_no_clips_are_refused(tmp_path):
    arguments = ["train-judges", "--data", str(tmp_path), "--out", str(tmp_path), "--clips", "0"]
    assert isinstance(CliRunner().invoke(app, arguments).exception, ConfigError)


@pytest.mark.parametrize("command", ["run", "codec", "motion"])
def test_a_missing_model_is_named(command, tmp_path):
    folder = str(tmp_path)
    result = CliRunner().invoke(app, [command, "--data", folder, "--out", folder, "--model", folder])
    assert isinstance(result.exception, CheckpointError)
    assert folder in str(result.exception)

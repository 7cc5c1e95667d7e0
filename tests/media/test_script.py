from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowact.core.errors import ConfigError
from flowact.media.script import LONGEST_PROMPT, check_prompt, load_script, prompt_warnings

EXPECTED = [(0.0, "a person talks"), (2.5, "a person waves, then nods")]


def test_lines_with_comments(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text("# a greeting\n\n0 a person talks\r\n  2.5\ta person  waves, then nods\n".replace("\t", " "))
    assert load_script(path) == EXPECTED


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps([{"start_s": start, "text": text} for start, text in EXPECTED]))
    assert load_script(path) == EXPECTED


def test_byte_order_mark_is_no_behaviour(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_bytes(b"\xef\xbb\xbf0 a person talks\n")
    assert load_script(path) == [(0.0, "a person talks")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no behaviour"),
        ("# only a remark\n", "holds no behaviour"),
        ("0 one\na person waves\n", "line 2: the time is 'a'"),
        ("-1 one\n", "seconds from 0 on"),
        ("nan one\n", "seconds from 0 on"),
        ("1.0\n", "line 1 is empty"),
        ("1 one\n1 two\n", "times must rise"),
        ("5 one\n2 two\n", "2 s follows 5 s"),
        ("[{]", "not valid JSON"),
        ('{"start_s": 0, "text": "one"}', "JSON dict; expected a list"),
        ('[{"start_s": 0}]', "entry 1 is"),
        ('[{"start_s": null, "text": "one"}]', "the time is None"),
        ('[{"start_s": 0, "text": 5}]', "entry 1 is"),
        ("0 " + "a" * (LONGEST_PROMPT + 1), "more than"),
    ],
)
def test_bad_script(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "s.txt"
    path.write_text(content)
    with pytest.raises(ConfigError, match=words):
        load_script(path)


def test_missing_and_foreign_script(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_script(tmp_path / "none.txt")
    (tmp_path / "b.txt").write_bytes(bytes(range(128, 256)))
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_script(tmp_path / "b.txt")


def test_prompt() -> None:
    assert check_prompt("  a person\n nods ") == "a person nods"
    with pytest.raises(ConfigError, match="--prompt is empty"):
        check_prompt(" \n", "--prompt")
    with pytest.raises(ConfigError, match="1001 characters"):
        check_prompt("a" * 1001)


def test_other_writing_systems_are_told() -> None:
    assert "English" in prompt_warnings("一个人在挥手")[0]
    assert prompt_warnings("a person waves — ça va?") == []
    assert prompt_warnings("123") == []

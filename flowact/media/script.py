"""Timed behaviours: what the person does from which second on."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

from flowact.core.errors import ConfigError

LONGEST_PROMPT = 1000


def check_prompt(text: str, where: str = "prompt") -> str:
    """The prompt without surrounding blanks.

    Raises:
        ConfigError: it is empty or too long; `where` names it in the message.
    """
    text = " ".join(text.split())
    if not text:
        raise ConfigError(f"{where} is empty; describe a behaviour, as in 'a person talks and waves', or leave it out")
    if len(text) > LONGEST_PROMPT:
        raise ConfigError(
            f"{where} has {len(text)} characters, more than {LONGEST_PROMPT}; split it into timed lines with --script"
        )
    return text


def prompt_warnings(text: str) -> list[str]:
    """What may surprise the user about a prompt that is otherwise fine."""
    letters = [c for c in text if c.isalpha()]
    if letters and sum(c.isascii() for c in letters) < 0.5 * len(letters):
        return ["the prompt is not in Latin letters: the shipped model understands English only and may ignore it"]
    return []


def load_script(path: Path | str) -> list[tuple[float, str]]:
    """Read timed behaviours: when each begins, in seconds, and what it is, in rising order of time.

    The file is either lines like `2.5 a person waves` (`#` begins a comment), or a JSON list of
    `{"start_s": 2.5, "text": "a person waves"}`.

    Raises:
        ConfigError: missing, empty, not text, or an entry that is wrong, named by its number.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"script {path} does not exist or is not a file; give lines like '2.5 a person waves'")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"script {path} is not UTF-8 text; save it as UTF-8") from error
    entries = _from_json(path, text) if text.lstrip().startswith(("[", "{")) else _from_lines(path, text)
    if not entries:
        raise ConfigError(f"script {path} holds no behaviour; write lines like '2.5 a person waves'")
    for (before, _), (after, _) in itertools.pairwise(entries):
        if after <= before:
            raise ConfigError(f"script {path}: {after:g} s follows {before:g} s; times must rise")
    return entries


def _from_lines(path: Path, text: str) -> list[tuple[float, str]]:
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            start, _, words = line.partition(" ")
            entries.append(_entry(f"script {path}, line {number}", start, words))
    return entries


def _from_json(path: Path, text: str) -> list[tuple[float, str]]:
    try:
        items = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"script {path} is not valid JSON: {error}; expected a list of start_s and text") from error
    if not isinstance(items, list):
        raise ConfigError(f"script {path} is a JSON {type(items).__name__}; expected a list of start_s and text")
    entries = []
    for number, item in enumerate(items, 1):
        where = f"script {path}, entry {number}"
        if not isinstance(item, dict) or set(item) != {"start_s", "text"} or not isinstance(item["text"], str):
            raise ConfigError(f'{where} is {json.dumps(item)[:80]}; expected {{"start_s": 2.5, "text": "..."}}')
        entries.append(_entry(where, item["start_s"], item["text"]))
    return entries


def _entry(where: str, start: object, words: str) -> tuple[float, str]:
    try:
        start_s = float(start)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        start_s = math.nan
    if not (math.isfinite(start_s) and start_s >= 0):
        raise ConfigError(f"{where}: the time is {start!r}; expected seconds from 0 on, as in '2.5 a person waves'")
    return start_s, check_prompt(words, where)

"""What can be said of the page without a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import flowact

STATIC = Path(flowact.__file__).parent / "serve" / "static"
PAGE = (STATIC / "index.html").read_text()
MODULES = sorted(STATIC.glob("*.js"))


def test_nothing_comes_from_elsewhere() -> None:
    for file in STATIC.iterdir():
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]{2,}[^\s\"']*", file.read_text()))
        assert addresses <= {"http://www.w3.org/2000/svg"}, file.name


def test_the_page_obeys_its_policy() -> None:
    assert not re.search(r"<script(?![^>]*\bsrc=)", PAGE)
    assert not re.search(r"<style|\sstyle=|\son\w+=", PAGE)


def test_every_module_is_named_once() -> None:
    loaded = re.findall(r"(?:modulepreload\" href|module\" src)=\"static/([\w.]+)\"", PAGE)
    assert sorted(loaded) == [file.name for file in MODULES]


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.name)
def test_a_module_finds_what_it_names(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("// @ts-check\n/**")
    ids = set(re.findall(r'\bid="([\w-]+)"', PAGE))
    assert set(re.findall(r'byId\("([\w-]+)"', text)) <= ids
    for name in re.findall(r'from "\./([\w.]+)"', text):
        assert (STATIC / name).is_file()


def test_ids_are_unique() -> None:
    ids = re.findall(r'\bid="([\w-]+)"', PAGE)
    assert len(ids) == len(set(ids))

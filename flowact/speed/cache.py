"""Compiled graphs on disk: made once from the weights, found again by what they were made of."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

_LOG = logging.getLogger(__name__)
_SUM_BYTES = hashlib.sha256().digest_size
_SUFFIX = ".graph"
_KEPT = 6


def cache_folder() -> Path:
    """Where graphs are kept: `$XDG_CACHE_HOME/flowact/graphs`, by default under `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowact" / "graphs"


class GraphCache:
    """A folder of compiled graphs, one file each: a SHA-256 sum, then what it sums."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is made when it is needed; None for the user's."""
        self.folder = folder or cache_folder()

    def holds(self, role: str, key: str) -> bool:
        """Whether there is a graph, be it damaged or not."""
        return self._path(role, key).is_file()

    def read(self, role: str, key: str) -> bytes | None:
        """The graph of a role and a key; None if there is none, or if it is damaged, which is logged."""
        path = self._path(role, key)
        try:
            whole = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _LOG.warning("The graph %s cannot be read (%s); it is made again", path, error)
            return None
        graph = whole[_SUM_BYTES:]
        if hashlib.sha256(graph).digest() != whole[:_SUM_BYTES]:
            _LOG.warning("The graph %s is damaged; it is made again", path)
            return None
        return graph

    def write(self, role: str, key: str, graph: bytes) -> None:
        """Keep a graph; of each role the last few stay. A folder that cannot be written is logged, and nothing kept."""
        path = self._path(role, key)
        try:
            self._replace(path, hashlib.sha256(graph).digest() + graph)
            others = sorted(self.folder.glob(f"{role}@*{_SUFFIX}"), key=lambda p: p.stat().st_mtime, reverse=True)
            for old in others[_KEPT:]:
                old.unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("The graph %s cannot be kept (%s); the next start makes it again", path, error)

    def note(self, name: str) -> Any:
        """A remembered JSON value; None if there is none that can be read."""
        try:
            return json.loads((self.folder / f"{name}.json").read_text())
        except (OSError, ValueError):
            return None

    def keep_note(self, name: str, value: Any) -> None:
        """Remember a JSON value; as `write` where that cannot be done."""
        path = self.folder / f"{name}.json"
        try:
            self._replace(path, (json.dumps(value, indent=2) + "\n").encode())
        except OSError as error:
            _LOG.warning("%s cannot be kept (%s); the next start measures again", path, error)

    def _path(self, role: str, key: str) -> Path:
        return self.folder / f"{role}@{key}{_SUFFIX}"

    def _replace(self, path: Path, content: bytes) -> None:
        """Write a file beside its place and move it there whole, so that nobody meets half of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=self.folder, prefix=".unfinished-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(unfinished).replace(path)
        finally:
            Path(unfinished).unlink(missing_ok=True)

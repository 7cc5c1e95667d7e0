"""Find, unpack and fetch the character data: CC0 meshes, targets and rigs that are never part of the project."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from importlib import resources
from pathlib import Path

from flowact.core.errors import ConfigError
from flowact.studio.sources import gather

ENVIRONMENT = "FLOWACT_ASSETS"
FOLDERS = ("3dobjs", "base", "eyes", "faceunits", "litspheres", "masks", "poses", "poseunits", "rigs", "targets")
_NAME = "makehuman-cc0"


def default_folder() -> Path:
    """Where `flowact studio fetch` puts the character data: the user's data folder."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "flowact" / _NAME


def find_assets(path: Path | None = None) -> Path:
    """The folder with the character data.

    Args:
        path: the folder or a `.tar.xz` of it; None looks at the variable FLOWACT_ASSETS, then at the default folder.

    Raises:
        ConfigError: nothing usable is there.
    """
    named = path or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None)
    found = named or default_folder()
    if found.is_file():
        return unpack(found)
    lacking = [name for name in FOLDERS if not (found / name).is_dir()]
    if lacking:
        raise ConfigError(
            f"no character data at {found}: it lacks {', '.join(lacking)}; get it with `flowact studio fetch`, "
            f"or name the folder or its .tar.xz with --assets or {ENVIRONMENT}"
        )
    return found


def unpack(archive: Path, into: Path | None = None) -> Path:
    """Unpack a `.tar.xz` of the data into `into` (default: the user's data folder), verify it, and return the folder.

    Data that is already there and verifies is kept.

    Raises:
        ConfigError: the archive is missing or damaged, or its files are not the expected ones.
    """
    into = into or default_folder()
    if into.is_dir() and not differing_folders(into):
        return into
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(scratch, filter="data")
        except (OSError, tarfile.TarError, EOFError) as error:
            raise ConfigError(f"cannot unpack {archive}: {error}; expected a .tar.xz of {_NAME}") from error
        inner = Path(scratch) / _NAME
        install(inner if inner.is_dir() else Path(scratch), into)
    return into


def install(source: Path, into: Path) -> None:
    """Verify the data in `source` and move it to `into`, replacing what was there; ConfigError when it differs."""
    wrong = differing_folders(source)
    if wrong:
        raise ConfigError(
            f"the character data in {source} differs from the expected files in {', '.join(wrong)}; nothing was "
            f"installed: fetch it again or use another archive"
        )
    if into.exists():
        shutil.rmtree(into)
    shutil.move(source, into)


def differing_folders(root: Path) -> list[str]:
    """Names of the top folders under `root` whose digest is not the recorded one."""
    recorded = resources.files("flowact.studio").joinpath("assets.sha256").read_text(encoding="utf-8")
    expected = {name: digest for digest, name in (line.split() for line in recorded.splitlines())}
    return [name for name in FOLDERS if folder_digest(root / name) != expected[name]]


def folder_digest(folder: Path) -> str:
    """SHA-256 over the sorted lines "path digest" of every file below `folder`, as hexadecimal digits."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix()):
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{path.relative_to(folder).as_posix()} {digest}\n".encode())
    return whole.hexdigest()


def download(into: Path | None = None) -> Path:
    """Download the data from its makers into `into` (default: the user's data folder) and return that folder.

    Data that is already there and verifies is kept; a stopped download continues.

    Raises:
        ConfigError: a download fails, or the files are not the expected ones.
    """
    into = into or default_folder()
    if into.is_dir() and not differing_folders(into):
        return into
    scratch = into.with_name(f"{into.name}.download")
    install(gather(scratch), into)
    shutil.rmtree(scratch)
    return into

"""Download the character data from its makers: which files, from which commit, and where they go."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from flowact.core.errors import ConfigError

_MAKEHUMAN = "a8bc2d54ff0ac92e78ff71431b1023eda42bf482"
_ASSETS = "8cf9645b975a98eea056b140df11a1d278da0d10"
_MPFB = "80919fa4682335c41847f761a4d79dcad4124732"
_TALKING_HEAD = "971e1a93a0726561d1966c4b21d06a3abddbf198"
_TIMEOUT_S = 30.0
_BLOCK_BYTES = 1 << 16


@dataclass(frozen=True)
class Source:
    """One download.

    Attributes:
        url: pinned to a commit.
        sha256: of the file; "" for archives that GitHub packs anew, whose contents are checked after unpacking.
        inside: folder in the archive (below the archive's own top folder) that is taken; "" takes a plain file.
        into: folder of the character data that receives it.
        folders: names of the folders, or files, below `inside` that are taken; empty takes all.
        leave: ends of names, or folders, that are left out.
    """

    url: str
    sha256: str
    inside: str
    into: str
    folders: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """File name while downloading."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16] + "".join(PurePosixPath(self.url).suffixes[-1:])

    def takes(self, path: PurePosixPath) -> bool:
        """True if the file at this path below `inside` is wanted."""
        chosen = not self.folders or path.parts[0] in self.folders or path.as_posix() in self.folders
        left = path.name.endswith(self.leave) or any(part in self.leave for part in path.parts)
        return chosen and not left


def _mask(name: str, sha256: str) -> Source:
    raw = "https://raw.githubusercontent.com/makehumancommunity/mpfb2"
    return Source(f"{raw}/{_MPFB}/src/mpfb/data/textures/mpfb_{name}.jpg", sha256, "", f"masks/mpfb_{name}.jpg")


SOURCES = (
    Source(
        f"https://codeload.github.com/makehumancommunity/makehuman/tar.gz/{_MAKEHUMAN}",
        "",
        "makehuman/data",
        ".",
        ("3dobjs/base.obj", "eyes", "litspheres", "poses", "poseunits", "rigs", "targets"),
        (".thumb", "breast", "genitals"),
    ),
    Source(
        f"https://codeload.github.com/makehumancommunity/makehuman-assets/tar.gz/{_ASSETS}",
        "",
        "base",
        "base",
        ("clothes", "expressions", "eyebrows", "eyelashes", "hair", "poses", "teeth", "tongue"),
        (".thumb", ".png"),
    ),
    Source(
        f"https://raw.githubusercontent.com/met4citizen/TalkingHead/{_TALKING_HEAD}/blender/MPFB/talkinghead-targets.zip",
        "8a57e1f253efe3857dc5953c006a35899f7ba8890a776c3afc0efeeeb5323d2b",
        "final-talkinghead",
        "faceunits",
    ),
    _mask("ears", "8c1becd3887b65df50720de87e91807667155107d23a6da9f5142d84142b724b"),
    _mask("eyelids", "2b6f41d6c51f1a991f715025f87a0c8626c889201c8fe9c12514fcc579710532"),
    _mask("face", "6f2d7abee30d63378b7b4214cf43a47d4cae65d967c12b34e365e058448b96df"),
    _mask("fingernails", "0828222964a14c14a46e72445f549a2124de06f072daab71e5a6716324c37362"),
    _mask("inside-mouth", "dc3e5b39e677351e3bb4c60653dc4d3516f585690076ec4c749e04402db3bf05"),
    _mask("lips", "572630c2b4bb061dfd3b5bb75228615527442296b0db40feffffb0d439e8c203"),
    _mask("toenails", "029404d4efadbfd84cf7a9c9d9b1d93c6ba9b806a85897d52474a6f8edc803a4"),
)


def gather(scratch: Path, sources: tuple[Source, ...] = SOURCES) -> Path:
    """Download every source below `scratch`, continuing what an earlier run left, and return the folder of the data.

    Raises:
        ConfigError: a download fails or does not have the expected checksum.
    """
    data = scratch / "data"
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns) as progress:
        for source in sources:
            task = progress.add_task("/".join(source.url.split("/")[3:5]), total=None)
            file = scratch / source.name
            if not file.exists():
                _download(source, file, progress, task)
            _extract(source, file, data)
    return data


def _download(source: Source, file: Path, progress: Progress, task: TaskID) -> None:
    part = file.with_suffix(".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(source.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            # A server that cannot continue sends everything again.
            have = have if answer.status == 206 else 0
            length = answer.headers.get("Content-Length")
            progress.update(task, total=have + int(length) if length else None, completed=have)
            with part.open("ab" if have else "wb") as sink:
                while block := answer.read(_BLOCK_BYTES):
                    sink.write(block)
                    progress.advance(task, len(block))
    except (urllib.error.URLError, OSError) as error:
        raise ConfigError(
            f"cannot download {source.url}: {error}; expected a machine with network access: run the command again "
            f"to continue, or use --archive"
        ) from error
    got = hashlib.sha256(part.read_bytes()).hexdigest()
    if source.sha256 and got != source.sha256:
        part.unlink()
        raise ConfigError(f"{source.url} has sha256 {got}, expected {source.sha256}; run the command again")
    part.rename(file)


def _extract(source: Source, file: Path, data: Path) -> None:
    if not source.inside:
        _write(data / source.into, file.read_bytes())
        return
    try:
        for name, content in _members(file):
            path = PurePosixPath(name)
            if path.is_relative_to(source.inside) and source.takes(below := path.relative_to(source.inside)):
                _write(data / source.into / below, content)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, gzip.BadGzipFile, zlib.error) as error:
        file.unlink()
        raise ConfigError(f"{source.url} arrived damaged: {error}; run the command again") from error


def _members(file: Path) -> Iterator[tuple[str, bytes]]:
    """Plain files of an archive with their paths; a tar of GitHub's has a top folder of its own, which is dropped."""
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            yield from ((entry.filename, archive.read(entry)) for entry in archive.infolist() if not entry.is_dir())
        return
    with tarfile.open(file) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name.partition("/")[2], content.read()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)

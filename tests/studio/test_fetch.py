from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading

import pytest

from flowact.core.errors import ConfigError
from flowact.studio import fetch
from flowact.studio.sources import Source, gather

PICTURE = bytes(range(256)) * 40


@pytest.fixture
def server():
    """Serves a packed folder and one file that can be continued; counts the bytes it sends."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in (("data/rigs/a.txt", b"a"), ("data/rigs/a.thumb", b"no"), ("data/other/b.txt", b"no")):
            info = tarfile.TarInfo(f"top-folder/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    files = {"/who/what/pack": buffer.getvalue(), "/who/what/mask.jpg": PICTURE}
    sent: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = files[self.path]
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            sent.append(len(body) - start)  # before the body: who has read it all may look
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            self.wfile.write(body[start:])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/who/what", sent
        running.shutdown()
        thread.join()


def test_downloads_take_the_wanted_files_and_continue(server, tmp_path):
    url, sent = server
    mask = Source(f"{url}/mask.jpg", hashlib.sha256(PICTURE).hexdigest(), "", "masks/mask.jpg")
    part = (tmp_path / mask.name).with_suffix(".part")
    part.write_bytes(PICTURE[:10_000])
    data = gather(tmp_path, (Source(f"{url}/pack", "", "data", ".", ("rigs",), (".thumb",)), mask))
    assert sorted(p.relative_to(data).as_posix() for p in data.rglob("*.*")) == ["masks/mask.jpg", "rigs/a.txt"]
    assert (data / "masks/mask.jpg").read_bytes() == PICTURE
    assert sent[-1] == len(PICTURE) - 10_000


def test_a_wrong_checksum_is_refused_and_forgotten(server, tmp_path):
    url, _ = server
    with pytest.raises(ConfigError, match="expected 00ff"):
        gather(tmp_path, (Source(f"{url}/mask.jpg", "00ff", "", "mask.jpg"),))
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_an_unreachable_maker_is_a_clear_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot download http"):
        gather(tmp_path, (Source("http://127.0.0.1:9/a/b/c", "", "x", "."),))


def test_missing_data_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv(fetch.ENVIRONMENT, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="get it with `flowact studio fetch`"):
        fetch.find_assets()


def test_named_folder_wins_over_the_variable(tmp_path, monkeypatch):
    for name in fetch.FOLDERS:
        (tmp_path / "named" / name).mkdir(parents=True)
    monkeypatch.setenv(fetch.ENVIRONMENT, str(tmp_path / "nowhere"))
    assert fetch.find_assets(tmp_path / "named") == tmp_path / "named"
    with pytest.raises(ConfigError, match="nowhere"):
        fetch.find_assets()


def test_other_files_than_the_expected_ones_are_not_installed(tmp_path):
    archive = tmp_path / "data.tar.xz"
    (tmp_path / "source" / "rigs").mkdir(parents=True)
    (tmp_path / "source" / "rigs" / "x").write_text("x")
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(tmp_path / "source", "makehuman-cc0")
    with pytest.raises(ConfigError, match="differs from the expected files in 3dobjs"):
        fetch.unpack(archive, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_folder_digest_sees_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    first = fetch.folder_digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    second = fetch.folder_digest(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, second, fetch.folder_digest(tmp_path)}) == 3

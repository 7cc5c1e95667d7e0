from __future__ import annotations

import os
import signal
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from flowact.core.errors import ConfigError
from flowact.media import video as door
from flowact.media.credentials import Credentials, Verdict, _judge, read_credentials
from flowact.media.provenance import Provenance
from flowact.media.signing_key import key_folder, load_signing_key
from flowact.media.video import VideoWriter, check_output
from tests.media.samples import tone

SIDE = 64
MADE = Provenance("nano", 7, "1.2", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
NOW = datetime(2026, 6, 1, tzinfo=UTC)
YEAR = timedelta(days=365)


def write(path: Path, chunks: int = 2) -> Path:
    with VideoWriter(path, SIDE, SIDE, MADE) as writer:
        for index in range(chunks):
            writer.write(np.full((12, SIDE, SIDE, 3), 40 * index, np.uint8), tone(12 / 25, 16_000))
    return path


def test_a_film_says_who_made_it(tmp_path: Path) -> None:
    found = read_credentials(write(tmp_path / "a.mp4"))
    number = found.signer.removeprefix("FlowAct local key ")
    assert len(number) == 16
    assert found == Credentials(
        Verdict.VALID,
        is_ours=True,
        signer=f"FlowAct local key {number}",
        software="FlowAct 1.2",
        ai_generated=True,
        made="2026-01-02T03:04:05+00:00",
        model="nano",
        seed=7,
    )
    said = "\n".join(found.lines())
    for words in ("valid", "the key of this installation", "FlowAct 1.2", "2026-01-02", "nano", "(AI)"):
        assert words in said


def test_one_changed_bit_of_the_picture_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    with av.open(str(path)) as file:
        packet = [p for p in file.demux(video=0) if p.size][1]
        assert packet.pos is not None
        at = packet.pos + packet.size // 2
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    found = read_credentials(path)
    assert found.verdict is Verdict.TAMPERED
    assert found.problems == ("assertion.bmffHash.mismatch",)
    assert "TAMPERED" in found.lines()[0]


@pytest.mark.parametrize("word", [b"2026-01-02T03:04:05", b"trainedAlgorithmicMedia", b"nano"])
def test_a_changed_word_of_the_credentials_is_found(tmp_path: Path, word: bytes) -> None:
    path = write(tmp_path / "a.mp4")
    content = path.read_bytes()
    begin = content.index(b"jumb")
    at = content.index(word, begin)
    path.write_bytes(content[:at] + bytes([word[0] ^ 3]) + content[at + 1 :])
    assert read_credentials(path).verdict is Verdict.TAMPERED


def test_a_signature_of_somebody_else_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWACT_KEY_DIR", str(tmp_path / "theirs"))
    path = write(tmp_path / "a.mp4")
    assert read_credentials(path).is_ours
    for folder in (tmp_path / "none", tmp_path / "mine"):
        found = read_credentials(path, folder)
        assert (found.verdict, found.is_ours) == (Verdict.VALID, False)
        assert "nobody vouches" in "\n".join(found.lines())
        load_signing_key(tmp_path / "mine")
    assert not (tmp_path / "none").exists()  # looking makes no key


def test_an_ended_certificate_is_no_tampering() -> None:
    ended = {"activeManifest": {"failure": [{"code": "signingCredential.expired"}]}}
    found = _judge({}, ended, is_ours=False)
    assert (found.verdict, found.expired) == (Verdict.VALID, True)
    assert "certificate has expired" in found.lines()[0]


def test_nothing_personal_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "diary-of-ada"
    folder.mkdir()
    content = write(folder / "ada-lovelace.mp4").read_bytes()
    for secret in (b"ada-lovelace", b"diary-of-ada", str(tmp_path).encode()):
        assert secret not in content


def test_files_without_credentials(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "plain.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        file.mux(stream.encode(av.VideoFrame(SIDE, SIDE, "yuv420p")))
        file.mux(stream.encode(None))
    found = read_credentials(tmp_path / "plain.mp4")
    assert found == Credentials(Verdict.NONE)
    assert len(found.lines()) == 1
    (tmp_path / "words.txt").write_text("hello")
    (tmp_path / "empty.mp4").touch()
    whole = write(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:3000])
    (tmp_path / "end.mp4").write_bytes(whole[:-9])
    assert read_credentials(tmp_path / "end.mp4").verdict is Verdict.TAMPERED
    for name, words in (
        ("words.txt", "expected an mp4"),
        ("empty.mp4", "damaged"),
        ("cut.mp4", "damaged"),
        ("absent.mp4", "No such file"),
    ):
        with pytest.raises(ConfigError, match=words):
            read_credentials(tmp_path / name)


def test_long_films_take_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the length, the library is handed the file in small pieces."""
    largest = 0
    with VideoWriter(tmp_path / "a.mp4", SIDE, SIDE, MADE) as writer:
        noise = np.random.default_rng(0).integers(0, 255, (12, SIDE, SIDE, 3), dtype=np.uint8)
        for _ in range(80):
            writer.write(noise, np.zeros(12 * 640, np.float32))
    size = (tmp_path / "a.mp4").stat().st_size
    real_open = Path.open

    class Watched:
        def __init__(self, file: object) -> None:
            self._file = file

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

        def __enter__(self) -> Watched:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()  # type: ignore[attr-defined]

        def readinto(self, buffer: bytearray) -> int:
            nonlocal largest
            largest = max(largest, len(buffer))
            return self._file.readinto(buffer)  # type: ignore[attr-defined, no-any-return]

    monkeypatch.setattr(Path, "open", lambda self, mode="r": Watched(real_open(self, mode)))
    assert read_credentials(tmp_path / "a.mp4").verdict is Verdict.VALID
    assert size > 2 << 20
    assert 0 < largest <= 1 << 20


def test_a_film_that_cannot_be_signed_is_kept_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ConfigError("the film cannot be signed (test).")

    path = tmp_path / "a.mp4"
    path.write_bytes(b"before")
    monkeypatch.setattr(door, "sign_film", fail)
    with pytest.raises(ConfigError, match=r"cannot be signed.*kept without credentials as .*a\.unsigned\.mp4"):
        write(path)
    assert sorted(os.listdir(tmp_path)) == ["a.mp4", "a.unsigned.mp4"]
    assert path.read_bytes() == b"before"
    with av.open(str(tmp_path / "a.unsigned.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) == 24
    assert read_credentials(tmp_path / "a.unsigned.mp4").verdict is Verdict.NONE


def test_ctrl_c_while_signing_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    sign = door.sign_film

    def interrupted(*arguments: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        sign(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(door, "sign_film", interrupted)
    # A shell that starts tests in the background has them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.mp4")
    assert os.listdir(tmp_path) == ["a.mp4"]
    assert read_credentials(tmp_path / "a.mp4").verdict is Verdict.VALID


def test_only_the_owner_may_read_the_key(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "keys"
    before = os.umask(0)
    try:
        key = load_signing_key(folder, NOW)
    finally:
        os.umask(before)
    assert os.listdir(folder) == ["signing.pem"]
    assert stat.S_IMODE((folder / "signing.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert b"PRIVATE" not in repr(key).encode()
    assert load_signing_key(folder, NOW) == key
    (folder / "signing.pem").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_signing_key(folder, NOW)


def test_an_old_certificate_is_renewed_and_old_films_stay_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWACT_KEY_DIR", str(tmp_path / "keys"))
    first = load_signing_key()
    film = write(tmp_path / "a.mp4")
    assert load_signing_key(now=datetime.now(UTC) + 4 * YEAR) == first
    second = load_signing_key(now=datetime.now(UTC) + 12 * YEAR)
    assert second.key_pem == first.key_pem
    assert second.expires - first.expires == pytest.approx(12 * YEAR, abs=timedelta(minutes=5))
    assert second.roots_pem.endswith(first.roots_pem)
    assert len(x509.load_pem_x509_certificates(second.roots_pem)) == 2
    assert read_credentials(film).is_ours
    # A certificate of the future, after a wrong clock was set right, is replaced too.
    assert load_signing_key().expires < second.expires
    assert read_credentials(write(tmp_path / "b.mp4")).is_ours


def test_many_at_once_share_one_key(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    keys = []

    def use() -> None:
        together.wait()
        keys.append(load_signing_key(tmp_path / "keys", NOW))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert os.listdir(tmp_path / "keys") == ["signing.pem"]


def test_certificates_are_as_c2pa_wants_them(tmp_path: Path) -> None:
    signer, root = x509.load_pem_x509_certificates(load_signing_key(tmp_path, NOW).chain_pem)
    signer.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    usage = signer.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)
    assert not signer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    named = {attribute.value for attribute in signer.subject}
    assert len(named) == 2
    assert all(str(value).startswith("FlowAct") for value in named)


def test_bad_keys_are_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWACT_KEY_DIR", str(tmp_path / "keys"))
    load_signing_key()
    path = tmp_path / "keys" / "signing.pem"
    other = load_signing_key(tmp_path / "other")
    good = path.read_bytes()
    public = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    for content in (b"", good[:200], public, other.key_pem + good[len(other.key_pem) :], other.key_pem):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="is damaged"):
            check_output(tmp_path / "a.mp4")
    (tmp_path / "file").touch()
    monkeypatch.setenv("FLOWACT_KEY_DIR", str(tmp_path / "file" / "keys"))
    with pytest.raises(ConfigError, match="FLOWACT_KEY_DIR"):
        check_output(tmp_path / "a.mp4")


def test_the_folder_of_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FLOWACT_KEY_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert key_folder() == tmp_path / "flowact" / "keys"
    monkeypatch.setenv("FLOWACT_KEY_DIR", str(tmp_path / "mine"))
    assert key_folder() == tmp_path / "mine"


def test_the_public_key_numbers_the_signer(tmp_path: Path) -> None:
    import hashlib

    signer = x509.load_pem_x509_certificates(load_signing_key(tmp_path, NOW).chain_pem)[0]
    public = signer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    name = signer.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    assert name == f"FlowAct local key {hashlib.sha256(public).hexdigest()[:16]}"

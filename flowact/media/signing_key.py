"""The key that signs the films of this installation: made on first use, kept in the user's data folder, renewed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from flowact.core.errors import ConfigError

ENVIRONMENT = "FLOWACT_KEY_DIR"

_FILE = "signing.pem"
_LIFE = timedelta(days=3650)
# A film has no outside witness of its date, so its signature ends with the certificate; five years are always left.
_RENEW_BEFORE = timedelta(days=1825)
_CLOCK_SKEW = timedelta(days=1)


@dataclass(frozen=True)
class SigningKey:
    """A private key, its certificates and the roots of earlier certificates.

    Attributes:
        key_pem: the private key, PKCS 8, never shown.
        chain_pem: the signing certificate and the root that issued it, as C2PA wants them.
        roots_pem: the present root and the earlier ones of this key.
        expires: end of the signing certificate.
    """

    key_pem: bytes
    chain_pem: bytes
    roots_pem: bytes
    expires: datetime

    def __repr__(self) -> str:
        return f"SigningKey(expires={self.expires:%Y-%m-%d})"


def key_folder() -> Path:
    """Where the key lies: FLOWACT_KEY_DIR, else `flowact/keys` in the user's data folder."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "flowact" / "keys"


def load_signing_key(folder: Path | None = None, now: datetime | None = None) -> SigningKey:
    """The key of this installation; it is made when there is none and gets a new certificate when that grows old.

    Args:
        folder: of the key; None for `key_folder()`.
        now: the time; None for that of the machine.

    Raises:
        ConfigError: the folder or the key cannot be read or written, is damaged, or others may read the key.
    """
    path = (folder or key_folder()) / _FILE
    now = now or datetime.now(UTC)
    try:
        if not path.exists():
            _create(path, now)
        key, certificates = _read(path)
        if not certificates[0].not_valid_before_utc <= now < certificates[0].not_valid_after_utc - _RENEW_BEFORE:
            certificates = [*_certify(key, now), *certificates[1:]]
            _replace(path, _to_pem(key, certificates))
    except OSError as error:
        raise ConfigError(
            f"the key that signs films cannot be used: {path} ({error.strerror or error}); "
            f"make the folder writable, or name another one in {ENVIRONMENT}"
        ) from error
    roots = certificates[1:]
    return SigningKey(
        _key_to_pem(key),
        b"".join(map(_certificate_to_pem, certificates[:2])),
        b"".join(map(_certificate_to_pem, roots)),
        certificates[0].not_valid_after_utc,
    )


def known_roots(folder: Path | None = None) -> bytes | None:
    """Root certificates of this installation as PEM, or None while it has signed nothing; makes no key.

    Raises:
        ConfigError: the key cannot be read or is damaged.
    """
    folder = folder or key_folder()
    try:
        if not (folder / _FILE).exists():
            return None
        return b"".join(map(_certificate_to_pem, _read(folder / _FILE)[1][1:]))
    except OSError as error:
        raise ConfigError(
            f"the key of this installation cannot be read: {folder / _FILE} ({error.strerror})"
        ) from error


def _create(path: Path, now: datetime) -> None:
    """Make a key; when another process is faster, its key stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    fresh = _write_beside(path, _to_pem(key, _certify(key, now)))
    try:
        os.link(fresh, path)  # unlike a rename, this never replaces
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def _replace(path: Path, content: bytes) -> None:
    fresh = _write_beside(path, content)
    os.replace(fresh, path)


def _write_beside(path: Path, content: bytes) -> Path:
    """Write a new file that only its owner may read."""
    fresh = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _read(path: Path) -> tuple[ec.EllipticCurvePrivateKey, list[x509.Certificate]]:
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(
            f"the key that signs films is open to other users: {path} has mode {mode:o}, expected 600; "
            f"run: chmod 600 {path}"
        )
    content = path.read_bytes()
    try:
        key = load_pem_private_key(content, password=None)
        certificates = x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or len(certificates) < 2:
        raise _damaged(path)
    if _public(certificates[0]) != key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise _damaged(path)
    return key, certificates


def _damaged(path: Path) -> ConfigError:
    return ConfigError(
        f"the key that signs films is damaged: {path}; restore it, or move it away and the next film makes a new one "
        "(films signed with the lost key then count as signed by somebody else)"
    )


def _public(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _certify(key: ec.EllipticCurvePrivateKey, now: datetime) -> list[x509.Certificate]:
    """A signing certificate for a key, and the root that issued it; the root's own key is forgotten at once.

    The extensions are those that the C2PA specification asks of a claim signer. The names hold the number of the key
    and nothing of the user or the machine.
    """
    root_key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public)
    number = digest.finalize().hex()[:16]
    root_name, name = _name(f"FlowAct local root {number}"), _name(f"FlowAct local key {number}")
    root = (
        _certificate(root_name, root_name, root_key, root_key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(issues=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    signer = (
        _certificate(name, root_name, key, root_key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(issues=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    return [signer, root]


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "FlowAct, self-signed"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.CertificateBuilder:
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issued_by, critical=False)
    )


def _usage(issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not issues,
        key_cert_sign=issues,
        crl_sign=issues,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _to_pem(key: ec.EllipticCurvePrivateKey, certificates: list[x509.Certificate]) -> bytes:
    return _key_to_pem(key) + b"".join(map(_certificate_to_pem, certificates))


def _key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate_to_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)

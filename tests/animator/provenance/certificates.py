"""Certificates that tests sign with: a root, and a signer it vouches for, as C2PA wants them."""

from __future__ import annotations

from collections.abc import Sequence
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
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from animator.provenance.credentials import Credentials

_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True)
class Signer:
    """What a signer has: files, and the PEM of the root that vouches for it."""

    certificate: Path
    key: Path
    root: str

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.certificate, self.key)


def make_signer(
    folder: Path, name: str = "Test Signer", *, days: tuple[int, int] = (-1, 30)
) -> Signer:
    """A signer with a certificate that is valid from and to so many days from now."""
    folder.mkdir(exist_ok=True)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(
        "Test Root", root_key, "Test Root", root_key, days, ["key_cert_sign", "crl_sign"]
    )
    own = _certificate(name, key, "Test Root", root_key, days, ["digital_signature"])
    pems = [one.public_bytes(Encoding.PEM) for one in (own, root)]
    signer = Signer(folder / "chain.pem", folder / "key.pem", pems[1].decode())
    signer.certificate.write_bytes(b"".join(pems))
    signer.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    signer.key.chmod(0o600)
    return signer


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    days: tuple[int, int],
    uses: Sequence[str],
) -> x509.Certificate:
    now, is_root = datetime.now(UTC), name == issuer
    usage = x509.KeyUsage(**{use: use in uses for use in _USES})
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(is_root, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if not is_root:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        email = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(identifier, critical=False).add_extension(
            email, critical=False
        )
    return builder.sign(issuer_key, hashes.SHA256())


def _name(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test Studio"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )

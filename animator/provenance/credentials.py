"""The certificate and the key that results are signed with.

The key is read when it is used and goes nowhere but into the signing library: not into records,
logs, messages or the representation of any object.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from animator.errors import AnimatorError
from animator.files.local import open_file, quoted
from animator.settings import MediaLimits, Settings

if TYPE_CHECKING:
    import c2pa

_LIMITS = MediaLimits(max_bytes=1 << 20)
_OTHERS = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_MOST_CERTIFICATES = 16


@dataclass(frozen=True)
class Credentials:
    """Where the certificate and the key are.

    Attributes:
        certificate: PEM: the signer's certificate first, then those that vouch for it; the root
            may be left out.
        key: PEM of the private key, not encrypted, which nobody else may read.
    """

    certificate: Path
    key: Path = field(repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Credentials | None:
        """Those of this process; None where results are not signed."""
        if settings.c2pa_certificate is None or settings.c2pa_key is None:
            return None
        return cls(settings.c2pa_certificate, settings.c2pa_key)

    def signer(self) -> c2pa.Signer:
        """What signs, which knows the key from here on.

        Raises:
            AnimatorError: missing_package; invalid_signer if one of the two cannot be read, the
                key may be read by others, they do not belong together, or no such key can sign.
        """
        c2pa = load_library()
        certificates = self._certificates()
        algorithm, key = self._checked_key(certificates)
        try:
            # Without a time stamp, whose authority would be asked over the network.
            return c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm, certificates, key, None))
        except c2pa.C2paError as error:
            raise _refuse(f"they cannot sign: {_first_line(error)}") from None

    def _certificates(self) -> bytes:
        try:
            with open_file(self.certificate, _LIMITS) as file:
                return file.read()
        except AnimatorError as error:
            raise _refuse(f"the certificate: {error.message}") from None

    def _checked_key(self, certificates: bytes) -> tuple[str, bytes]:
        """The algorithm of the key, and the key in the form that the library reads."""
        from cryptography import x509
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization

        try:
            chain = x509.load_pem_x509_certificates(certificates)[:_MOST_CERTIFICATES]
        except ValueError:
            message = f"{quoted(self.certificate)} holds no certificate in PEM"
            raise _refuse(message) from None
        # Nothing of what goes wrong with the key is repeated: its text might be in it.
        try:
            key: Any = serialization.load_pem_private_key(self._key_content(), None)
        except TypeError:
            raise _refuse("the key is encrypted; give one that is not") from None
        except (ValueError, UnsupportedAlgorithm):
            raise _refuse("the file of the key holds no private key in PEM") from None
        form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        if chain[0].public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
            raise _refuse("the key is not that of the first certificate")
        plain = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return _algorithm(key), plain

    def _key_content(self) -> bytes:
        try:
            with open_file(self.key, _LIMITS) as file:
                # Of the open file: its name may be given to another one at any time.
                if os.fstat(file.fileno()).st_mode & _OTHERS:
                    raise _refuse(
                        "others may read the key, or replace it; close it to them: chmod 600"
                    )
                return file.read()
        except AnimatorError as error:
            if error.code == "invalid_signer":
                raise
            raise _refuse(f"the key: {error.message}") from None


def load_library() -> Any:
    """The C2PA library.

    Raises:
        AnimatorError: missing_package.
    """
    try:
        import c2pa
    except ImportError:
        message = "Signatures need the package c2pa-python: pip install 'animator[provenance]'."
        raise AnimatorError("missing_package", message) from None
    return c2pa


def _algorithm(key: Any) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return "ps256"
    raise _refuse("the key is of a kind that C2PA does not know; ES256 is the usual one")


def _refuse(why: str) -> AnimatorError:
    message = f"Results cannot be signed with this certificate and key: {why.rstrip('.')}."
    return AnimatorError("invalid_signer", message, retryable=True)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

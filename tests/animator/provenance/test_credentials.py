"""The certificate and the key: refused before work begins, and the key is never seen again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from animator.errors import AnimatorError
from animator.provenance.credentials import Credentials
from animator.provenance.signing import ResultSigner
from animator.settings import Settings
from tests.animator.provenance.certificates import Signer, make_signer


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return make_signer(tmp_path / "signer")


def refused(credentials: Credentials) -> str:
    with pytest.raises(AnimatorError) as raised:
        ResultSigner(credentials)
    assert raised.value.code == "invalid_signer" and raised.value.retryable
    return raised.value.message


def test_what_belongs_together_signs(signer):
    ResultSigner(signer.credentials)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o620])
def test_a_key_that_others_may_read_or_replace_is_refused(mode, signer):
    signer.key.chmod(mode)
    assert "chmod 600" in refused(signer.credentials)


def test_a_key_that_its_group_may_read_is_taken(signer):
    signer.key.chmod(0o640)  # as container platforms mount secrets
    ResultSigner(signer.credentials)


def test_another_ones_key_is_refused(signer, tmp_path):
    other = make_signer(tmp_path / "other")
    assert "not that of" in refused(Credentials(signer.certificate, other.key))


def test_a_certificate_that_is_over_is_refused_before_work_begins(tmp_path):
    over = make_signer(tmp_path / "over", days=(-30, -1))
    assert "certificate" in refused(over.credentials)


def test_a_certificate_for_something_else_is_refused(tmp_path):
    """C2PA wants a certificate that vouches for signers; a web server's own will not do."""
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    refused(Credentials(certificate, key))


def test_what_the_files_hold_is_never_repeated(signer, tmp_path):
    secret = "TOPSECRETKEYMATERIAL"
    signer.key.write_text(f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n")
    assert secret not in refused(signer.credentials)
    signer.key.write_text(secret)
    message = refused(signer.credentials)
    assert "no private key" in message and secret not in message


def test_an_encrypted_key_is_refused(signer):
    key = load_pem_private_key(signer.key.read_bytes(), None)
    signer.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    )
    assert "encrypted" in refused(signer.credentials)


@pytest.mark.parametrize("which", ["certificate", "key"])
def test_a_file_that_is_not_there_is_told(which, signer):
    getattr(signer, which).unlink()
    assert "There is no file" in refused(signer.credentials)


def test_files_that_are_swapped_are_told(signer):
    signer.certificate.chmod(0o600)
    assert "no certificate" in refused(Credentials(signer.key, signer.certificate))


def environment(signer: Signer) -> dict[str, str]:
    return {
        "ANIMATOR_STATE_DIR": "/nowhere",
        "ANIMATOR_C2PA_CERTIFICATE": str(signer.certificate),
        "ANIMATOR_C2PA_KEY": str(signer.key),
    }


def test_settings_name_both_files_and_never_show_the_key(signer):
    settings = Settings.from_environment(environment(signer))
    assert Credentials.of(settings) == signer.credentials
    assert Credentials.of(Settings.from_environment({"ANIMATOR_STATE_DIR": "/nowhere"})) is None
    assert str(signer.key) not in repr(settings) + repr(Credentials.of(settings))
    # A child process gets the same.
    assert Settings.from_environment(settings.to_environment()) == settings


@pytest.mark.parametrize("missing", ["CERTIFICATE", "KEY"])
def test_one_without_the_other_is_refused(missing, signer):
    given = environment(signer) | {f"ANIMATOR_C2PA_{missing}": ""}
    with pytest.raises(AnimatorError, match=f"without ANIMATOR_C2PA_{missing}"):
        Settings.from_environment(given)


@pytest.mark.parametrize("text", ["-----BEGIN PRIVATE KEY-----\nTOPSECRET", "TOPSECRET"])
def test_a_key_in_place_of_its_file_is_refused_and_not_repeated(text, signer):
    with pytest.raises(AnimatorError) as raised:
        Settings.from_environment(environment(signer) | {"ANIMATOR_C2PA_KEY": text})
    assert "ANIMATOR_C2PA_KEY" in raised.value.message
    assert "TOPSECRET" not in raised.value.message

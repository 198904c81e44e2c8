"""C2PA manifests of results: made, signed and put into the file.

A manifest says what the XMP says, with the inputs as ingredients, of which it has hashes and never
the files or their names, and binds it to every byte of the file that matters.
"""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from typing import Any

from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.files.output import coded_errors, replacing
from animator.provenance.containers import look_for_marks
from animator.provenance.credentials import Credentials, load_library
from animator.provenance.mark import GENERATOR, Mark
from animator.settings import Settings

ASSERTION = "animator.render"
"""Label of the assertion that holds the whole mark."""
_TITLES = {"source": "source picture", "driving": "driving video"}
OFFLINE: dict[str, Any] = {
    "builder": {"thumbnail": {"enabled": False}},
    "core": {"backing_store_memory_threshold_in_mb": 16},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}
"""Settings of the library under which it asks nobody anything, and large files go to the disk."""


class ResultSigner:
    """Signs the results of one process.

    Args:
        credentials: what they are signed with.

    Raises:
        AnimatorError: missing_package, invalid_signer. A first signature is made at once, of a
            picture of one pixel, so that what cannot sign is known before a frame is rendered.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        c2pa, signed = load_library(), io.BytesIO()
        try:
            self._sign(Mark("0", "none"), "image/png", io.BytesIO(_one_pixel()), signed)
        except c2pa.C2paError as error:
            why = _reason(error)
            message = f"Results cannot be signed with this certificate and key: {why}."
            raise AnimatorError("invalid_signer", message, retryable=True) from None

    @classmethod
    def of(cls, settings: Settings) -> ResultSigner | None:
        """The signer of this process; None where results are not signed."""
        credentials = Credentials.of(settings)
        return None if credentials is None else cls(credentials)

    def sign(self, path: Path, mark: Mark) -> list[str]:
        """Sign a finished file, or each picture of a folder; the file is replaced at once.

        Returns:
            Sentences about what could not be signed, as its container has no place for it.

        Raises:
            AnimatorError: signing_failed, after which the file is as it was; disk_full.
        """
        if path.is_dir():
            return list(
                dict.fromkeys(s for p in sorted(path.iterdir()) for s in self.sign(p, mark))
            )
        traces = look_for_marks(path)
        if not traces.mime:
            return ["Files of this kind have no place for a C2PA manifest; it is not signed."]
        c2pa = load_library()
        # The library says little of a disk that is full: of the files, so the block is kept small.
        with coded_errors(path), replacing(path, private=True) as part:
            mode = os.stat(path).st_mode & 0o777
            try:
                with open(path, "rb") as source, open(part, "w+b") as signed:
                    self._sign(mark, traces.mime, source, signed)
                    signed.flush()
                    os.fchmod(signed.fileno(), mode)
            except c2pa.C2paError as error:
                message = f"{quoted(path.name)} could not be signed: {_reason(error)}."
                raise AnimatorError("signing_failed", message, retryable=True) from None
            except AnimatorError as error:
                # The key was good when the work began.
                message = f"{quoted(path.name)} could not be signed: {error.message}"
                raise AnimatorError("signing_failed", message, retryable=True) from None
        return []

    def _sign(self, mark: Mark, mime: str, source: Any, signed: Any) -> None:
        c2pa = load_library()
        with self._credentials.signer() as signer, c2pa.Context.from_dict(OFFLINE) as context:
            with c2pa.Builder(_manifest(mark, mime), context) as builder:
                builder.sign(signer, mime, source, signed)


def _manifest(mark: Mark, mime: str) -> dict[str, Any]:
    """The definition of a result's manifest."""
    agent = {"name": GENERATOR, "version": mark.version}
    # Marks call further driving videos "driving 2" and so on; a label has no spaces.
    inputs = {
        name.replace(" ", "_"): name for name in mark.hashes if name.partition(" ")[0] in _TITLES
    }
    return {
        "claim_generator_info": [agent],
        "title": "animated portrait",
        "format": mime,
        "ingredients": [
            {
                "label": label,
                "title": _title(name),
                "format": "application/octet-stream",
                "relationship": "inputTo",
                "instance_id": f"sha256:{mark.hashes[name]}",
                "description": f"SHA-256 {mark.hashes[name]}; the file is not included",
            }
            for label, name in inputs.items()
        ],
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {
                    "actions": [
                        {
                            "action": "c2pa.created",
                            "digitalSourceType": mark.source_type,
                            "softwareAgent": agent,
                            "parameters": {"ingredientIds": list(inputs)},
                        }
                    ]
                },
            },
            {
                "label": ASSERTION,
                "data": {
                    "version": mark.version,
                    "weights": mark.weights,
                    "hashes": dict(mark.hashes),
                    "settings": dict(mark.settings),
                },
            },
        ],
    }


def _title(name: str) -> str:
    kind, _, number = name.partition(" ")
    return f"{_TITLES[kind]} {number}".rstrip()


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".")


def _one_pixel() -> bytes:
    """A PNG of one grey pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = zlib.crc32(kind + body).to_bytes(4, "big")
        return len(body).to_bytes(4, "big") + kind + body + checksum

    header = (1).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    pixels = chunk(b"IDAT", zlib.compress(b"\0\x80"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")

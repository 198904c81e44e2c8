"""The look at a C2PA manifest store, taken in a child process: the library reads hostile bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from animator.provenance.credentials import load_library
from animator.provenance.mark import GENERATOR, Mark, checked_hashes, checked_settings, checked_text
from animator.provenance.signing import ASSERTION, OFFLINE
from animator.sandbox import Message, SandboxLimits, Send, run_limited

SignatureState = Literal["trusted", "valid", "expired", "invalid", "unreadable", "unchecked"]

_SECONDS = 60.0
_BYTES_A_SECOND = 20_000_000  # that a slow disk and hash manage
_MEMORY_MB = 8192
_MOST = 50  # ingredients, failures and manifests that are told
_UNTRUSTED = "signingCredential.untrusted"
_RUN_OUT = {"signingCredential.expired", "claimSignature.outsideValidity"}


@dataclass(frozen=True)
class Ingredient:
    """What a manifest says of one input.

    Attributes:
        title: what it is called.
        sha256: of the file; empty if the manifest does not say.
        relationship: "inputTo", "parentOf" or "componentOf".
    """

    title: str
    sha256: str
    relationship: str


@dataclass(frozen=True)
class Signature:
    """What a file's C2PA manifest store says, and whether it is true.

    Attributes:
        state: "trusted": it fits the file, and one of the given roots vouches for the signer;
            "valid": it fits the file, whoever the signer may be; "expired": the same, but the
            certificate has run out since, or before; "invalid": the file or the manifest was
            changed; "unreadable": it is damaged; "unchecked": the library is not here.
        signer: name in the signer's certificate.
        issuer: the organization in that certificate.
        algorithm: such as "Es256".
        time: when it was signed by a time stamp; empty without one.
        generator: the program that made the manifest, with its version.
        own: whether that is this program.
        source_type: the digital source type that its first actions name.
        mark: what this program says in it, also in one that another has built on.
        ingredients: inputs.
        failures: codes of what does not fit, of the C2PA specification.
        reason: why it is unreadable or unchecked, for a person.
    """

    state: SignatureState
    signer: str = ""
    issuer: str = ""
    algorithm: str = ""
    time: str = ""
    generator: str = ""
    own: bool = False
    source_type: str = ""
    mark: Mark | None = None
    ingredients: tuple[Ingredient, ...] = ()
    failures: tuple[str, ...] = ()
    reason: str = ""

    @property
    def fits(self) -> bool:
        """Whether the file is, byte for byte where it matters, what was signed."""
        return self.state in ("trusted", "valid", "expired")


def read_signature(path: Path, mime: str, roots: str | None = None) -> Signature | None:
    """What a file's manifest store says; None if it has none.

    Args:
        path: the file.
        mime: its media type; empty lets the library find out.
        roots: PEM of the certificates that are trusted to vouch for signers.

    Raises:
        AnimatorError: missing_library.
    """
    # A file of no known kind is not read to its end for nothing.
    seconds = _SECONDS + (os.path.getsize(path) / _BYTES_A_SECOND if mime else 0)
    task = {"path": str(path), "mime": mime, "roots": roots}
    ended = run_limited(f"{__name__}:look", task, SandboxLimits(seconds, _MEMORY_MB))
    if not ended.messages:
        reason = f"the process that read it {ended.reason or 'said nothing'}"
        return Signature("unreadable", reason=reason)
    answer = ended.messages[0]
    return Signature(**_typed(answer)) if answer.get("state") else None


def look(task: Message, send: Send) -> None:
    """Send what the manifest store says; an object without a state if there is none."""
    try:
        c2pa = load_library()
    except Exception as error:  # noqa: BLE001 - also a library that does not fit the machine
        send({"state": "unchecked", "reason": str(error)[:300]})
        return
    settings = dict(OFFLINE)
    if task["roots"]:
        settings["trust"] = {"trust_anchors": task["roots"]}
    try:
        with open(task["path"], "rb") as file, c2pa.Context.from_dict(settings) as context:
            reader = c2pa.Reader.try_create(task["mime"] or None, file, None, context)
            if reader is None:
                send({})
                return
            with reader:
                store, state = json.loads(reader.json()), reader.get_validation_state()
    except c2pa.C2paError as error:
        # Of a kind that is not known, it cannot be told from a file that has no manifest.
        send({"state": "unreadable", "reason": str(error).strip()[:300]} if task["mime"] else {})
        return
    send(_summary(store, state))


def _summary(store: Mapping[str, Any], state: str | None) -> Message:
    manifests = store.get("manifests") or {}
    active = manifests.get(store.get("active_manifest")) or {}
    signed = active.get("signature_info") or {}
    render, own = _render(active), False
    generator = (active.get("claim_generator_info") or [{}])[0]
    own = render is not None and generator.get("name") == GENERATOR
    # One that another program built on is kept by it as an ingredient's.
    for manifest in list(manifests.values())[:_MOST]:
        render = render or _render(manifest)
    name = f"{generator.get('name', '')} {generator.get('version', '')}".strip()
    codes = [checked_text(one.get("code")) for one in store.get("validation_status") or []]
    failures = [code for code in codes if code != _UNTRUSTED][:_MOST]
    return {
        "state": _state(store, state, failures),
        "signer": checked_text(signed.get("common_name")),
        "issuer": checked_text(signed.get("issuer")),
        "algorithm": checked_text(signed.get("alg")),
        "time": checked_text(signed.get("time")),
        "generator": checked_text(name),
        "own": own,
        "source_type": _source_type(active),
        "mark": render,
        "ingredients": [
            {
                "title": checked_text(one.get("title")),
                "sha256": checked_text(one.get("instance_id")).removeprefix("sha256:"),
                "relationship": checked_text(one.get("relationship")),
            }
            for one in (active.get("ingredients") or [])[:_MOST]
        ],
        "failures": failures,
    }


def _state(store: Mapping[str, Any], state: str | None, failures: list[str]) -> SignatureState:
    if state == "Trusted":
        return "trusted"
    if state == "Valid":
        return "valid"
    results = (store.get("validation_results") or {}).get("activeManifest") or {}
    bound = any(one.get("code", "").endswith("Hash.match") for one in results.get("success") or [])
    return "expired" if bound and failures and set(failures) <= _RUN_OUT else "invalid"


def _source_type(manifest: Mapping[str, Any]) -> str:
    """The digital source type that the first of a manifest's actions name."""
    for assertion in manifest.get("assertions") or []:
        data = assertion.get("data")
        if str(assertion.get("label", "")).startswith("c2pa.actions") and isinstance(data, dict):
            for action in data.get("actions") or []:
                if found := checked_text(action.get("digitalSourceType")):
                    return found
    return ""


def _render(manifest: Mapping[str, Any]) -> Message | None:
    """What this program says in a manifest; None if it is not this program's."""
    found = next(
        (
            assertion["data"]
            for assertion in manifest.get("assertions") or []
            if assertion.get("label") == ASSERTION and isinstance(assertion.get("data"), dict)
        ),
        None,
    )
    if found is None:
        return None
    return {
        "version": checked_text(found.get("version")),
        "weights": checked_text(found.get("weights")),
        "source_type": _source_type(manifest),
        "hashes": checked_hashes(found.get("hashes")),
        "settings": checked_settings(found.get("settings")),
    }


def _typed(answer: Message) -> dict[str, Any]:
    """The answer's plain values as the fields of a `Signature`."""
    values = dict(answer)
    if values.get("mark") is not None:
        values["mark"] = Mark(**values["mark"])
    values["ingredients"] = tuple(Ingredient(**one) for one in values.get("ingredients", ()))
    values["failures"] = tuple(values.get("failures", ()))
    return values

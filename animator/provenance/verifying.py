"""What is known of a file: by whom it was made, of what, and whether it still is what was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from animator.errors import AnimatorError
from animator.files.local import content_hash, open_file, quoted
from animator.provenance.containers import look_for_marks, media_hash
from animator.provenance.credentials import load_library
from animator.provenance.manifest import Signature, read_signature
from animator.provenance.mark import SOURCE_TYPES, Mark, from_sentence
from animator.provenance.traces import Traces
from animator.provenance.xmp import BadPacket, digital_source_type, mark_of, read_properties
from animator.settings import MediaLimits

Verdict = Literal["intact", "altered", "partial", "untrusted", "foreign", "unmarked"]
"""What a file is:

    intact      a result of this program, with all marks, and nothing says that it was changed
    altered     a result of this program that was changed since: coded again, cut, tampered with
    partial     only the comment is left of its marks, as after another program has copied it
    untrusted   intact, but no given root vouches for who signed it
    foreign     marked or signed as another program's
    unmarked    nothing is known of it
"""
STATUS: Mapping[Verdict, int] = {
    "intact": 0, "altered": 3, "partial": 3, "untrusted": 3, "foreign": 4, "unmarked": 4,
}  # fmt: skip
"""Exit status of `animator verify`."""
MediaState = Literal["unchanged", "changed", "unknown"]
_ANY = MediaLimits(max_bytes=2**62)


@dataclass(frozen=True)
class Report:
    """All that is known of a file.

    Attributes:
        video: its path.
        verdict: in one word.
        kind: its container; empty if that is not known.
        mark: what it says about itself, by the surest of its marks; None if it says nothing.
        told_by: which mark that is: "signature", "xmp" or "comment"; empty without any.
        marks: of each of the three, how it is: "present", "absent", "damaged", "foreign".
        media: whether its coded pictures and sound are those that were marked.
        signature: what its C2PA manifest store says; None if it has none.
        source_type: the digital source type that it names, whoever has marked it.
        findings: sentences for a person, the most important first.
        inputs: of the inputs that were given, by name, whether each is the one that was used.
    """

    video: str
    verdict: Verdict
    kind: str = ""
    mark: Mark | None = None
    told_by: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)
    media: MediaState = "unknown"
    signature: Signature | None = None
    source_type: str = ""
    findings: tuple[str, ...] = ()
    inputs: Mapping[str, bool] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The report for `--json`: plain values."""
        values = asdict(self)
        values["findings"] = list(self.findings)
        return values


def verify_file(video: Path, *, roots: str | None = None) -> Report:
    """Find out what is known of a file.

    Args:
        video: of any kind; what is in it may be hostile.
        roots: PEM of the certificates that are trusted to vouch for signers; None asks nobody to.

    Raises:
        AnimatorError: no_such_file, not_a_file, unreadable_file, missing_library.
    """
    traces = look_for_marks(video)
    signature = None
    # Of a kind that is not known here, the library may know more.
    if traces.signed or not traces.kind:
        signature = read_signature(video, traces.mime, roots)
        if signature is None and traces.signed:
            signature = Signature("unreadable", reason="it is none, though it is in its place")
    packet = _read_xmp(traces)
    comment = from_sentence(traces.comment)
    marks = {
        "signature": _signature_state(signature),
        "xmp": packet.state,
        "comment": "present" if comment else ("foreign" if traces.comment else "absent"),
    }
    # The surest tells: a signature that fits, then what is in the packet, then the sentence.
    signed = signature.mark if signature is not None else None
    fits = signature is not None and signature.fits
    told = {"signature": signed if fits else None, "xmp": packet.mark, "comment": comment}
    if not fits:
        told["signature (which does not fit)"] = signed
    told_by, mark = next(((by, one) for by, one in told.items() if one is not None), ("", None))
    media: MediaState = "unknown"
    if packet.mark is not None and packet.mark.media:
        same = media_hash(video, traces) == packet.mark.media
        media = "unchanged" if same else "changed"
    report = Report(
        str(video),
        "unmarked",
        traces.kind,
        mark,
        told_by,
        marks,
        media,
        signature,
        (signature.source_type if signature and fits else "") or packet.source_type,
    )
    return _judged(report, traces, packet, roots is not None)


def with_inputs(report: Report, inputs: Mapping[str, Path]) -> Report:
    """The report with whether given files are the inputs whose hashes are in the marks.

    Raises:
        AnimatorError: no_such_file, not_a_file, unreadable_file.
    """
    hashes = report.mark.hashes if report.mark is not None else {}
    same = {
        name: content_hash(path, _ANY) == hashes[name]
        for name, path in inputs.items()
        if name in hashes
    }
    return with_compared(report, same)


def with_compared(report: Report, same: Mapping[str, bool]) -> Report:
    """The report with whether inputs, by name, are the ones that were used."""
    other = [name for name, is_same in same.items() if not is_same]
    findings = [
        *report.findings,
        *(f"The {name} file that was given is not the one that was used." for name in other),
    ]
    verdict: Verdict = "altered" if other and report.verdict == "intact" else report.verdict
    inputs = {**report.inputs, **same}
    return replace(report, inputs=inputs, findings=tuple(findings), verdict=verdict)


def read_roots(path: Path) -> str:
    """The PEM of trusted certificates.

    Raises:
        AnimatorError: no_such_file, not_a_file, unreadable_file, too_large; invalid_option if it
            holds none; missing_package.
    """
    load_library()
    from cryptography import x509

    with open_file(path, MediaLimits(max_bytes=1 << 24)) as file:
        content = file.read()
    try:
        x509.load_pem_x509_certificates(content)
    except ValueError:
        message = f"{quoted(path)} holds no certificates in PEM that can be read."
        raise AnimatorError("invalid_option", message) from None
    return content.decode("ascii", "replace")


@dataclass(frozen=True)
class _Packet:
    state: str
    mark: Mark | None = None
    source_type: str = ""
    fault: str = ""


def _read_xmp(traces: Traces) -> _Packet:
    if traces.packet is None:
        large = any("XMP" in fault for fault in traces.faults)
        return _Packet("damaged" if large else "absent")
    try:
        properties = read_properties(traces.packet)
    except BadPacket as error:
        return _Packet("damaged", fault=f"Its XMP was not read: {error}.")
    mark = mark_of(properties)
    kind = digital_source_type(properties)
    return _Packet("present" if mark else ("foreign" if properties else "absent"), mark, kind)


def _signature_state(signature: Signature | None) -> str:
    if signature is None:
        return "absent"
    if signature.state == "unreadable":
        return "damaged"
    return "present" if signature.mark or signature.state == "unchecked" else "foreign"


def _judged(report: Report, traces: Traces, packet: _Packet, trust: bool) -> Report:
    """The report with its verdict and sentences."""
    signature, said = report.signature, []
    verdict: Verdict = "intact"
    if report.mark is None:
        foreign = "foreign" in (report.marks["signature"], report.marks["xmp"])
        verdict = "foreign" if foreign or report.source_type else "unmarked"
    # What was signed, and by whom.
    if signature is not None:
        said.append(_about_signature(signature))
        if report.mark is not None and (
            signature.state in ("invalid", "unreadable") or (signature.fits and not signature.own)
        ):
            verdict = "altered"
        elif verdict == "intact" and trust and signature.state != "trusted":
            verdict = "untrusted"
    # What was marked, without a proof.
    if report.media == "changed":
        said.append(
            "The coded pictures or sound are not those that were written: it was coded again, "
            "cut or changed."
        )
        verdict = "altered"
    elif report.told_by == "comment":
        said.append(
            "Of its marks only the comment is left: it was coded or copied by another program, "
            "or made by a version that wrote no others."
        )
        verdict = "altered" if verdict == "altered" else "partial"
    elif report.mark is not None and packet.mark is None:
        said.append("Its XMP mark is gone or damaged.")
        verdict = "altered"
    said += [packet.fault] if packet.fault else []
    said += traces.faults
    if traces.faults and report.mark is not None:
        verdict = "altered"
    if report.mark is not None and signature is None:
        said.append("It is not signed: its marks are claims that anybody could have made.")
    if verdict == "foreign" and report.source_type:
        name = report.source_type.removeprefix(SOURCE_TYPES)
        said.append(f"Another program has marked it as {name}.")
    if verdict == "unmarked":
        said.append("It has no mark of this program; that says nothing about how it was made.")
    return replace(report, verdict=verdict, findings=tuple(said))


def _about_signature(signature: Signature) -> str:
    by = (
        " of ".join(name for name in (signature.signer, signature.issuer) if name) or "nobody named"
    )
    made = f" with {signature.generator}" if signature.generator else ""
    match signature.state:
        case "trusted":
            return (
                f"Signed by {by}{made}, whom a given root vouches for; nothing was changed since."
            )
        case "valid":
            return (
                f"Signed by {by}{made}; nothing was changed since. Whether that is who it says "
                "is only known with the roots that you trust (--trust FILE)."
            )
        case "expired":
            return (
                f"Signed by {by}{made}; nothing was changed since. The certificate has run out, "
                "and no time stamp tells whether it was valid then."
            )
        case "invalid":
            codes = ", ".join(signature.failures) or "no reason given"
            return f"Signed by {by}{made}, but the file or its manifest was changed: {codes}."
        case "unreadable":
            return f"It has a C2PA manifest that cannot be read: {signature.reason}."
    return f"It has a C2PA manifest that was not checked. {signature.reason}"

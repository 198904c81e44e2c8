"""Findings of a check, on the command line."""

from __future__ import annotations

import typer

from animator.checks.report import (
    CheckReport,
    Crop,
    DrivingFacts,
    Finding,
    JobEstimate,
    SourceFacts,
)
from animator.cli.console import print_json, printable, say
from animator.cli.progress import clock
from animator.processor import share_cores
from animator.settings import Settings
from animator.spec import JobSpec


def check_here(spec: JobSpec, settings: Settings, *, as_json: bool) -> None:
    """Check a job's inputs, print what was found, and exit with 1 if the job would fail."""
    share_cores()
    from animator.checks.job import check_job

    report = check_job(spec, settings, estimate=True)
    if as_json:
        print_json(report.as_dict())
    else:
        _show(spec, report)
    if not report.ok:
        raise typer.Exit(1)


def check_before_submit(spec: JobSpec, settings: Settings) -> None:
    """Refuse a job that would fail, and warn of one whose result would be poor.

    Raises:
        AnimatorError: with the code of the first error that was found.
    """
    from animator.checks.job import check_job

    report = check_job(spec, settings)
    report.require()
    for finding in report.findings:
        if finding.level == "warning":
            for line in _lines(finding):
                say(line)


def _show(spec: JobSpec, report: CheckReport) -> None:
    print(f"source    {printable(spec.source)}")
    if report.source is not None:
        _show_source(report.source)
    print(f"driving   {printable(spec.driving)}")
    if report.driving is not None:
        _show_driving(report.driving)
    for name, place in list(spec.drivings.items())[1:]:
        print(f"{name:<10}{printable(place)}")
    if report.estimate is not None:
        _show_estimate(report.estimate)
    for finding in report.findings:
        for line in _lines(finding):
            print(line)
    print(f"{_verdict(report)} Checked in {report.seconds:.1f} s.")


def _verdict(report: CheckReport) -> str:
    levels = [finding.level for finding in report.findings]
    if not report.ok:
        return f"It would fail: {_count(levels.count('error'), 'error')}."
    warnings = levels.count("warning")
    return f"It would work, with {_count(warnings, 'warning')}." if warnings else "It would work."


def _lines(finding: Finding) -> list[str]:
    about = f"{finding.about}: " if finding.about else ""
    lines = [f"{finding.level} [{finding.code}]: {about}{printable(finding.message)}"]
    return [*lines, f"    {printable(finding.advice)}"] if finding.advice else lines


def _row(name: str, value: str) -> None:
    print(f"  {name:<10}{printable(value)}")


def _show_source(source: SourceFacts) -> None:
    what = "video" if source.video else "picture"
    _row(what, f"{source.width} x {source.height}")
    if (face := source.face) is not None:
        _row("face", f"{face.pixels:.0f} pixels, {_count(source.faces, 'face')} in the {what}")
        _row("crop", _crop(face.crop))


def _show_driving(driving: DrivingFacts) -> None:
    sound = "with sound" if driving.has_audio else "no sound"
    _row("video", f"{driving.width} x {driving.height}, {driving.codec}, {sound}")
    _row("length", _length(driving))
    if not driving.wanted:
        return
    share, low, high = driving.coverage
    found = f"{len(driving.seen)} of {len(driving.samples)} frames looked at"
    _row("face in", f"{found}: {share:.0%} (95 % interval {low:.0%} to {high:.0%})")
    if driving.seen:
        sizes = sorted(face.pixels for face in driving.seen)
        most = max(sample.faces for sample in driving.samples)
        size = f"{sizes[0]:.0f} to {sizes[-1]:.0f} pixels"
        _row("face", f"{size}, {_count(most, 'face')} at once")
    if driving.crop is not None:
        smaller = driving.crop.side < min(driving.width, driving.height)
        _row("crop", _crop(driving.crop) if smaller else "none; the face takes up the whole frame")


def _length(driving: DrivingFacts) -> str:
    about = "" if driving.counted else "about "
    parts = [
        "unknown time" if driving.duration is None else f"{driving.duration:.2f} s",
        "unknown number of frames"
        if driving.frames is None
        else f"{about}{_count(driving.frames, 'frame')}",
    ]
    if driving.rate is not None:
        kind = {True: "variable", False: "constant", None: "average"}[driving.variable_rate]
        parts.append(f"{driving.rate:.2f} a second ({kind})")
    return ", ".join(parts)


def _show_estimate(estimate: JobEstimate) -> None:
    print("estimate  for this machine, by what a few frames took just now")
    rate = " + ".join(
        f"{1000 * seconds:.0f} ms {stage}" for stage, seconds in estimate.frame_seconds.items()
    )
    _row("time", f"about {clock(estimate.seconds)} on {estimate.device}; a frame is {rate}")
    _row("memory", f"about {estimate.memory_mb:.0f} MB")


def _crop(crop: Crop) -> str:
    return f"{crop.side} x {crop.side} at {crop.x}, {crop.y}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"

"""What pages of jobs show beside the jobs themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from animator.errors import CODES
from animator.record import JobState
from animator.web.page.forms import OFFERED, job_options, option_names, written
from animator.web.page.making import in_words
from animator.web.page.messages import Messages
from animator.web.page.rendering import clock, moment, rate
from animator.web.page.views import CLEAR_FROM, CLEAREST, JobView

STAGES = ("start", "load", "landmarks", "shots", "extras", "measure", "other")
"""Stages that the page has words for, beside that of rendering."""
_ALWAYS = ("size", "output_mode", "motion")


def job_values(job: JobView, t: Messages, root_path: str) -> dict[str, Any]:
    """What the template shows of a job."""
    record = job.record
    here = f"{root_path}/v1/jobs/{record.id}"
    # A video that has the driving video in it needs none beside it; a motion cannot be played.
    beside = job.files.get("driving") if record.spec.shows != "side-by-side" else None
    if beside is not None and not beside.video:
        beside = None
    start = record.spec.start_seconds
    return {
        "job": job,
        "paths": {"events": f"{here}/events", "result": f"{here}/result"},
        "beside": beside,
        "start": float(start or 0),
        "facts": facts(job, t),
        "notes": _notes(job, t),
        "error": in_words(record.error.message, t) if record.error else "",
        "stages": json.dumps({name: t.raw(f"stage.{name}") for name in STAGES}),
        "clearest": CLEAREST,
        "clear_from": CLEAR_FROM,
    }


def what_was_done(query: Mapping[str, str], t: Messages) -> str:
    """What came of an action on several jobs, as the address says that follows it."""
    counts = {name: query.get(name, "")[:4] for name in ("done", "left")}
    done, left = (int(text) if re.fullmatch("[0-9]+", text) else 0 for text in counts.values())
    told = [t("done.several", n=done)] if done else []
    if left:
        told.append(t("done.some", n=left, reason=CODES.get(query.get("why", ""), "")))
    return " ".join(told)


def facts(job: JobView, t: Messages) -> list[tuple[str, str]]:
    """What is to be known of a job, by labels; of its options those that are not as usual."""
    record, result = job.record, job.record.result
    values = job_options(record)
    if record.spec.audio_file is not None:
        values["audio"] = record.spec.audio_file.name
    values["face"] = record.spec.face_by_name(
        {name: place.name for name, place in record.spec.drivings.items()}
    )
    found = [
        (label_of(name, t), _value(name, values[name], t))
        for name in option_names()
        if name in _ALWAYS or values[name] != OFFERED[name].default
    ]
    if result is not None:
        found.append((t("fact.frames"), str(result.frames)))
        found.append((t("fact.duration"), clock(result.seconds)))
        found.append((t("fact.rate"), t("job.rate", rate=rate(result.fps))))
        found.append((t("fact.weights"), result.weights))
    for name in ("created", "started", "finished"):
        if (time := getattr(record, name)) is not None:
            found.append((t(f"fact.{name}"), moment(time)))
    if record.attempt > 1:
        found.append((t("fact.attempt"), str(record.attempt)))
    if record.worker:
        found.append((t("fact.worker"), record.worker))
    found.append((t("fact.id"), record.id))
    return [(label, value) for label, value in found if value]


def _value(name: str, value: Any, t: Messages) -> str:
    """An option's value in words, if there are some."""
    key = f"option.{name}.{value}"
    return t(key) if key in t else written(value)


def _notes(job: JobView, t: Messages) -> list[str]:
    """Sentences that a person should read about a result."""
    result = job.record.result
    if result is None or job.record.state is not JobState.SUCCEEDED:
        return []
    notes = [in_words(sentence, t) for sentence in result.warnings]
    if result.missing:
        notes.append(t("job.missing", n=len(result.missing)))
    return notes


def label_of(name: str, t: Messages) -> str:
    """What an option is called."""
    key = f"option.{name}.label"
    return t(key) if key in t else name.replace("_", " ")

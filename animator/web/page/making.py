"""What the form of *Make* holds: files, options, and what is wrong with them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from animator.checks.report import Finding
from animator.errors import AnimatorError
from animator.record import JobRecord
from animator.web.access.callers import Caller
from animator.web.api.reading import find_job, upload_of
from animator.web.api.routes.checks import NewCheck, check_files
from animator.web.api.schemas import JOB_ID
from animator.web.context import ServerContext
from animator.web.files.looking import in_a_thread_of_its_own
from animator.web.files.names import is_id
from animator.web.page.forms import (
    OFFERED,
    job_options,
    option_form,
    option_names,
    read_options,
    written,
)
from animator.web.page.messages import Messages
from animator.web.page.views import FILES, FilePart, FileView, PartView, view_file
from animator.web.problems import status_of
from animator.weights.library import weights_names

_EARLIER = 12
"""Uploads that are offered for each of the two files."""
_LOOKED_THROUGH = 60
_OF_FARM = ("priority", "key", "webhook", "audio")
"""Options that make no difference to a check."""
_FLAG = re.compile(r"--([a-z-]+)")


@dataclass
class Draft:
    """A job on its way.

    Attributes:
        fields: the form's texts by name; "source" and "driving" are ids of uploads.
        errors: sentences by the field that they are about.
        error: what is wrong with the whole, in a sentence.
        findings: of a check; None if there was none.
        again: the job whose options these are.
        status: of the answer that shows it, if something is wrong.
    """

    fields: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)
    error: str = ""
    findings: Sequence[Finding] | None = None
    again: str = ""
    status: int = 422

    @property
    def chosen(self) -> dict[str, str]:
        """Ids of the files that are chosen."""
        return {name: self.fields[name] for name in FILES if is_id(self.fields.get(name, ""))}

    def as_query(self) -> dict[str, str]:
        """The draft as an address of the page has it: options only if they are not as usual."""
        options = {name: self.fields.get(name, "") for name in option_names()}
        return {
            **self.chosen,
            **{
                name: value
                for name, value in options.items()
                if name in self.fields and value != written(OFFERED[name].default)
            },
        }

    def check(self, t: Messages) -> dict[str, Any]:
        """Note what is wrong or missing; returns the options that are right, by name."""
        options, wrong = read_options(self.fields)
        for name in FILES:
            if name not in self.chosen and name not in self.errors:
                self.errors[name] = t(f"make.missing_{name}")
        self.errors |= wrong
        if self.errors:
            self.error = t("make.problems")
        return options

    def fail(self, error: AnimatorError, t: Messages) -> None:
        """Note why it could not be submitted."""
        self.error, self.status = in_words(error.message, t), status_of(error.code)


def draft_of_query(context: ServerContext, caller: Caller, query: Mapping[str, str]) -> Draft:
    """The draft that an address asks for.

    Args:
        context: of the server.
        caller: whose files and jobs are meant.
        query: files by id, options by name, `again` for those of a job.

    Raises:
        AnimatorError: `no_such_job`.
    """
    draft = Draft({})
    job_id = query.get("again", "")
    if re.fullmatch(JOB_ID, job_id):
        record = find_job(context, caller, job_id)
        draft = Draft(_fields_of(context, caller, record), again=job_id)
    known = (*FILES, *option_names())
    draft.fields |= {name: query[name] for name in known if name in query}
    _, draft.errors = read_options(draft.fields)
    return draft


def _fields_of(context: ServerContext, caller: Caller, record: JobRecord) -> dict[str, str]:
    """The fields of a job that there is, but for its key, which stands for that job alone."""
    values = {**job_options(record), "key": None}
    if record.spec.audio_file is not None:
        del values["audio"]  # a file that the form has no field for
    if record.spec.faces.files:
        del values["face"]  # likewise
    fields = {name: written(values[name]) for name in option_names() if name in values}
    for name in FILES:
        upload = upload_of(context, caller, getattr(record.spec, name))
        if upload is not None:
            fields[name] = upload.id
    return fields


async def look(context: ServerContext, caller: Caller, draft: Draft) -> None:
    """Check both files of a draft, if both are there, as `POST /v1/check` does."""
    if len(draft.chosen) < len(FILES):
        return
    options, _ = read_options(draft.fields)
    options = {name: value for name, value in options.items() if name not in _OF_FARM}
    wanted = NewCheck.model_validate({**options, **draft.chosen})
    try:
        report = await in_a_thread_of_its_own(partial(check_files, context, caller, wanted))
    except AnimatorError as error:
        draft.error = error.message
        return
    draft.findings = [Finding(**found) for found in report["findings"]]


def form_values(
    context: ServerContext, caller: Caller, draft: Draft, t: Messages, root_path: str
) -> dict[str, Any]:
    """What the template shows of a draft."""
    uploads = context.uploads.list(caller.may_see, limit=_LOOKED_THROUGH)
    earlier = [view_file(upload, root_path) for upload in uploads]
    findings = [_worded(found, t) for found in draft.findings or ()]
    parts = []
    for name in FILES:
        file, error = _chosen_file(context, caller, draft, name, t, root_path)
        offered = [one for one in earlier if (one.drives if name == "driving" else one.shows)]
        if file is not None:
            offered = [file, *(one for one in offered if one.id != file.id)]
        about = [found for found in findings if found.about == name]
        parts.append(PartView(name, file, offered[:_EARLIER], error, about))
    return {
        "again": draft.again,
        "problem": draft.error,
        "labels": json.dumps({_flag(name): _quoted(name, t) for name in OFFERED}),
        "parts_of": parts,
        "findings": [found for found in findings if not found.about],
        "fine": draft.findings is not None and all(one.level == "note" for one in findings),
        "form": option_form(
            draft.fields,
            {name: _labelled(name, error, t) for name, error in draft.errors.items()},
            weights_names(context.settings),
        ),
        "no_workers": not any(worker.consuming for worker in context.client.store.workers()),
    }


def _chosen_file(
    context: ServerContext,
    caller: Caller,
    draft: Draft,
    name: FilePart,
    t: Messages,
    root_path: str,
) -> tuple[FileView | None, str]:
    """The file that is chosen, if it is there, and what is wrong with it."""
    error = draft.errors.get(name, "")
    if name not in draft.chosen:
        return None, error
    try:
        upload = context.uploads.get(draft.chosen[name], caller.may_see)
    except AnimatorError:
        return None, error or t("file.gone")
    return view_file(upload, root_path), error


def in_words(sentence: str, t: Messages) -> str:
    """A sentence that names options as the page does instead of the command."""
    return _FLAG.sub(lambda flag: _quoted(flag[1].replace("-", "_"), t, flag[0]), sentence)


def _worded(found: Finding, t: Messages) -> Finding:
    message, advice = in_words(found.message, t), in_words(found.advice, t)
    return replace(found, message=message, advice=advice)


def _labelled(name: str, error: str, t: Messages) -> str:
    """A sentence about an option that begins with the page's name for it."""
    key = f"option.{name}.label"
    if key in t and error.startswith(f"{name} "):
        return t.raw(key) + error.removeprefix(name)
    return error


def _quoted(name: str, t: Messages, instead: str = "") -> str:
    key = f"option.{name}.label"
    return f"“{t.raw(key)}”" if key in t else instead or name


def _flag(name: str) -> str:
    return name.replace("_", "-")

"""The errors that a user of the animator can meet, each with a stable code.

A code is part of the interface: scripts match on it, job records store it and `docs/errors.md`
lists it. The sentence beside it is for a person and may change at any time.
"""

from __future__ import annotations

import re

CODES: dict[str, str] = {
    "no_such_file": "An input file does not exist.",
    "not_a_file": "An input is a folder, a device or another thing that is not a regular file.",
    "unreadable_file": "An input file exists but this user may not read it.",
    "unreadable_image": "A picture is damaged, incomplete or in a format that is not known.",
    "unreadable_video": "A video is damaged, incomplete or in a format that is not known.",
    "unreadable_motion": "A motion file is damaged, incomplete, or of a newer version.",
    "input_changed": "An input was changed or replaced while the job read it.",
    "unsupported_format": (
        "The file is of a kind that is refused on purpose, such as a playlist or a script that "
        "names other files, a camera's raw photo, or an unknown kind of HEIF."
    ),
    "no_video_stream": "The file holds sound or data but no picture.",
    "no_frames": "The video, or the part of it between start and end, holds no frame.",
    "too_large": "An input has more bytes or more pixels than the limits allow.",
    "too_long": "A video has more seconds or more frames than the limits allow.",
    "no_face": "No face was found in the source or in any driving frame.",
    "face_not_found": "The picture has fewer faces than the number asked for with --face.",
    "face_lost": "A driving frame has no face and the policy for missing faces is 'fail'.",
    "no_body": "No person was found in a picture, or in any frame of a video.",
    "invalid_pose": "A file of poses is damaged, or holds no pose that is asked for.",
    "invalid_view": "A file of views is damaged, or names a view that no model knows.",
    "invalid_option": "An option has a value that is not allowed.",
    "output_not_writable": "The output file cannot be created in its folder.",
    "output_exists": "The output file exists and replacing it was not asked for.",
    "output_exists_as_folder": "The output path is an existing folder.",
    "disk_full": "The disk, a quota or a file size limit stopped the output from being written.",
    "encoding_failed": "The encoder refused the frames or the sound.",
    "encoder_unavailable": "This build of libav cannot code what is asked for.",
    "no_audio": "The file whose sound is asked for has none that can be read.",
    "invalid_signer": "The certificate or the key that results are signed with cannot be used.",
    "signing_failed": "The finished video could not be signed.",
    "weights_unreadable": "The weights are missing, damaged or do not fit the model.",
    "weights_changed": "The weights are no longer the file that was imported.",
    "weights_wrong_kind": "The weights are of a model that does something else than asked for.",
    "weights_exist": "The library has weights of this name and replacing them was not asked for.",
    "no_such_weights": "The library has no weights of this name.",
    "missing_package": "A Python package that this command needs is not installed.",
    "missing_library": "A library of the system that a package needs is not on this machine.",
    "bad_protocol": "An evaluation protocol is damaged, or asks for what there is not.",
    "bad_data": "A data set is damaged, incomplete, or not of the kind that is asked for.",
    "metric_unavailable": "The network that a metric is made of is not here, or is another one.",
    "invalid_config": "A training configuration has an unknown key or a value that is not allowed.",
    "other_run": "The folder of the run holds a run of another configuration.",
    "diverged": "The loss of a training step is not a finite number.",
    "bad_manifest": "A manifest cannot be read, or lacks a column that is needed.",
    "row_too_large": "A row of a manifest is larger than is allowed.",
    "invalid_id": "The id of a sample is empty, too long, or has characters that are not allowed.",
    "duplicate_id": "Two rows of a manifest have the same id.",
    "low_quality": "A sample was made, and left out by the quality that was asked for.",
    "url_refused": "The settings do not allow to use this URL.",
    "storage_unavailable": "A store of files cannot be reached, or keeps failing.",
    "features_unavailable": "The weights of the feature network are not here.",
    "detector_unavailable": "A detector or its model files are not installed.",
    "bad_package": "A package that was fetched, or a file in it, is not the one that is expected.",
    "device_unavailable": "The device asked for is not present or cannot be used.",
    "out_of_memory": "The machine or the device ran out of memory.",
    "no_such_job": "No job has this id.",
    "record_unreadable": "A job's record is damaged, or was written by another version.",
    "wrong_state": "The job is in a state in which this cannot be done.",
    "worker_crashed": "The job's process died again and again; the job seems to be the cause.",
    "stalled": "The job made no progress for too long, and was ended.",
    "too_many_attempts": "Workers began the job again and again and none came to its end.",
    "webhook_refused": "The webhook's host is not one that the settings allow.",
    "queue_unavailable": "The job queue cannot be reached or started.",
    "check_crashed": "The process that looked at an input, to check it, crashed on it.",
    "check_timeout": "Looking at an input, to check it, took longer than allowed.",
    "bad_request": "The server does not understand the request.",
    "not_signed_in": "The server needs a token, and got none, or one that it does not know.",
    "not_allowed": "The server refuses requests of this origin, or without the page's own token.",
    "no_such_page": "The server has nothing at this address.",
    "method_not_allowed": "The server does not take this kind of request at this address.",
    "no_such_upload": "No uploaded file has this id.",
    "upload_too_large": "A request has more bytes than the server takes.",
    "quota_exceeded": "The files that were uploaded take all the room that there is for them.",
    "too_slow": "The request came too slowly, and the server gave up.",
    "too_many_requests": "More was asked of the server in a short time than it allows.",
    "idempotency_mismatch": "The Idempotency-Key was used before, for something else.",
    "no_result": "The job's video is no longer where it was written.",
    "no_preview": "There is no picture of the job yet.",
    "interrupted": "The work was interrupted before it was complete.",
    "internal": "A fault in the animator itself; please report it.",
}
"""What each code means, in one line."""

KEEPS_WORK = frozenset({"output_exists", "invalid_signer", "signing_failed"})
"""Codes of a failed job whose finished segments wait for a retry: they are not what was wrong."""


class AnimatorError(Exception):
    """An expected failure: a code for programs and a sentence for people.

    Args:
        code: one of the keys of `CODES`.
        message: one sentence that says what was wrong and, where it helps, what is allowed.
        retryable: whether the same job can succeed later without a change to its inputs.

    Raises:
        ValueError: if the code is not in `CODES`.
    """

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        if code not in CODES:
            raise ValueError(f"unknown error code {code!r}; known codes are {', '.join(CODES)}")
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.retryable = retryable

    def __str__(self) -> str:
        return self.message


class JobCancelled(BaseException):
    """Someone asked for the job to stop.

    It derives from BaseException so that a broad `except Exception` on the way up cannot swallow
    the request and let a cancelled job go on.
    """


class LeaseLost(Exception):
    """The job is another attempt's now; whatever this one still does must not be seen.

    It is no failure of the job and never written into its record: whoever took the job over goes
    on from what this attempt had finished.
    """


class AttemptRepeated(LeaseLost):
    """There has been an attempt of this number: Redis died and forgot who had begun it.

    The two cannot be told apart by their number, so the later one must begin again as the next.
    """


_MISSING = re.compile(
    r"(?:^|[\s/])(lib[\w.+-]*\.so[\w.]*): "
    r"(?:cannot open shared object file|file too short|invalid ELF header|wrong ELF class)"
)
"""What the loader of libraries says of one that is not there, or is none."""
_OF_DISPLAYS = ("libGL", "libEGL", "libgthread", "libglib", "libSM", "libICE", "libX", "libxcb")
"""Beginnings of the libraries that the ordinary OpenCV wheel takes from the system."""


def missing_library(text: str) -> AnimatorError | None:
    """What to do where an import failed for a library of the system; None if that is not why.

    Args:
        text: what Python said, such as the text of an ImportError.
    """
    found = _MISSING.search(text)
    if found is None:
        return None
    name = found[1]
    if not name.startswith(_OF_DISPLAYS):
        message = f"This machine lacks {name}; install the package of the system that has it."
        return AnimatorError("missing_library", message, retryable=True)
    from importlib.metadata import PackageNotFoundError, version

    try:
        same = f"=={version('opencv-python')}"
    except PackageNotFoundError:
        same = ""
    message = (
        f"OpenCV needs {name}, which this machine lacks: install it (on Debian and Ubuntu: apt "
        "install libgl1 libglib2.0-0), or take the OpenCV that needs no display (pip uninstall -y "
        f"opencv-python && pip install opencv-python-headless{same})."
    )
    return AnimatorError("missing_library", message, retryable=True)

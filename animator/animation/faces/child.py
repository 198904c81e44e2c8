"""Faces of a job found in a child process, which keeps their landmarks and shows no frame.

Nothing here imports PyTorch: the child is there so that nobody waits for that.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

from animator.animation.faces.finding import find_faces_of
from animator.animation.landmark_cache import NothingKept
from animator.errors import AnimatorError
from animator.faces.motion import fill_missing
from animator.files.unchanged import check_unchanged, hashed
from animator.sandbox import Message, Send
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch


def find(task: Message, send: Send) -> None:
    """Find the faces of the job that the task names.

    Sends how far it is (``progress``), and in the end the names of the files in which it was first
    to find faces (``found``), or what is wrong with them (``error``). Neither comes where only the
    job itself can say.
    """
    spec = JobSpec.from_json(task["spec"])
    settings = Settings.from_environment(task["settings"])
    watch = Watch(lambda progress: send({"progress": asdict(progress)}), lambda: False)
    hashes, files = hashed({"source": spec.source, **spec.drivings}, settings)
    check = partial(check_unchanged, files)
    try:
        found = find_faces_of(spec, hashes, settings, watch, check, only_to_keep=True)
        if found.roles[0].source.moving is None:
            # Of a video without a face nothing is kept, so the job would look at all of it again.
            for role in found.roles:
                driving = found.drivings[role.driving]
                fill_missing(driving.landmarks, spec.missing_face, driving.seconds)
    except NothingKept:
        return
    except AnimatorError as error:
        # What may be otherwise in a moment, the job finds out for itself.
        if not error.retryable:
            send({"error": [error.code, error.message]})
        return
    send({"found": [name for name, known in found.known.items() if not known]})

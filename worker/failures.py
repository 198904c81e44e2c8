"""A job's error, as it is put on record, from the exception that ended the job."""

from __future__ import annotations

from animator.errors import AnimatorError, missing_library
from animator.record import JobError
from animator.values import without_users


def describe(error: Exception) -> JobError:
    """The record's form of an exception: its code, a sentence, and whether a retry can help."""
    if isinstance(error, AnimatorError):
        return JobError.of(error)
    # PyTorch has no exception of its own for the memory of the machine.
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
        message = "The machine has not enough memory for this job."
        return JobError("out_of_memory", message, True)
    if isinstance(error, ImportError) and (known := missing_library(str(error))):
        return JobError.of(known)
    what = f"{type(error).__name__}: {without_users(str(error))}"
    message = f"{what} (the traceback is in the worker's log)."
    return JobError("internal", message)

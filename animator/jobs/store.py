"""The job store: records in Redis, and who works on them.

Keys, all of them under `animator:` so that a Redis can be shared:

    animator:job:<id>          hash: the record
    animator:log:<id>          list: the last lines of its log, as JSON
    animator:jobs              sorted set: every id by time of creation (microseconds)
    animator:jobs:<state>      sorted set: the same, for the jobs in one state
    animator:leases            sorted set: running jobs by the end of their lease (milliseconds)
    animator:unswept           sorted set: ended jobs that may have left a folder, by when
    animator:waiting:<queue>   sorted set: queued jobs by when workers were told (milliseconds)
    animator:keys              hash: key of a submission to the job that it made
    animator:outputs           hash: output path to the id of the job that is going to write it
    animator:ended:<n>         hash: what ended in ten seconds, for the rates; with a time to live
    animator:events            stream: what became of jobs, the newest 10,000 changes
    animator:preview:<id>      a job's newest frame, a JPEG, with a time to live
    animator:preview:wanted:<id>  says that somebody looks at that; with a time to live
    animator:turn:<work>       says that a worker of the farm does it; with a time to live
    animator:worker:<id>       a worker's last sign of life, as JSON, with a time to live
    animator:workers           set: ids of workers that may still have such a key

Every change of state is one Lua script (`animator/jobs/lua`), so a job is never between two states,
two workers never get the same job, and a change is never without its event. The record is the
truth; a message in the broker is only a hint to look at it.
"""

from __future__ import annotations

from dataclasses import replace

from animator.broker.connection import PREFIX, connect, queue_errors
from animator.errors import AnimatorError
from animator.jobs.events import JobEvents
from animator.jobs.history import JobHistory, LogLine, Rate
from animator.jobs.leases import JobLeases, Reaped, Renewal
from animator.jobs.previews import JobPreviews
from animator.jobs.records import JobRequest, Submission
from animator.jobs.workers import WorkerInfo, WorkerRegistry
from animator.record import JobError, JobRecord, JobState, Progress, Result
from animator.values import now

__all__ = [
    "PREFIX",
    "JobRequest",
    "JobStore",
    "LogLine",
    "Rate",
    "Reaped",
    "Renewal",
    "Submission",
    "WorkerInfo",
    "connect",
    "now",
    "queue_errors",
]


class JobStore(JobLeases, JobHistory, JobEvents, JobPreviews, WorkerRegistry):
    """Job records behind atomic changes of state.

    Every method raises `AnimatorError` with `queue_unavailable` if Redis does not answer.

    Changes by a worker name the attempt, and those of an earlier one are refused: a worker that
    lost its job cannot touch it any more.

    Args:
        client: a Redis client as `connect` makes it.
    """

    def report(
        self, job_id: str, attempt: int, progress: Progress, *, resumed: int | None = None
    ) -> bool:
        """Write how far the job is; False if the attempt no longer owns it.

        Args:
            job_id: the job.
            attempt: the attempt that runs it.
            progress: how far it is.
            resumed: frames that the attempt took over from an earlier one, if that is known.
        """
        answer = self._run(
            "progress",
            id=job_id,
            attempt=attempt,
            progress=progress.to_json(),
            resumed="" if resumed is None else resumed,
            time=now(),
        )
        return bool(answer)

    def succeed(self, job_id: str, attempt: int, result: Result) -> bool:
        """End the job as succeeded; False if the attempt no longer owns it."""
        # Also as a field of its own: perhaps no progress was written that told it.
        fields = ("result", result.to_json(), "resumed", result.resumed)
        line = f"succeeded: {result.frames} frames, {result.resumed} of them resumed"
        state = JobState.SUCCEEDED
        return self._leave(job_id, attempt, state, line, *fields, frames=result.frames) is not None

    def fail(self, job_id: str, attempt: int, error: JobError) -> bool:
        """End the job as failed; False if the attempt no longer owns it."""
        fields = ("error", error.to_json())
        return self._leave(job_id, attempt, JobState.FAILED, _line(error), *fields) is not None

    def cancelled(self, job_id: str, attempt: int) -> bool:
        """End the job as cancelled; False if the attempt no longer owns it."""
        return self._leave(job_id, attempt, JobState.CANCELLED, "cancelled") is not None

    def requeue(
        self,
        job_id: str,
        attempt: int,
        *,
        suspect: bool = False,
        crash: JobError | None = None,
        max_crashes: int = 2,
    ) -> JobState | None:
        """Give the job back, as a worker does that is told to stop at once or whose child died.

        Args:
            job_id: the job.
            attempt: the attempt that ran it.
            suspect: whether it is to be run in a process of its own from now on.
            crash: how its own process died, if it did.
            max_crashes: with so many crashes it ends as failed, with the last one as its error.

        Returns:
            The state that follows: queued, failed, or cancelled if someone had asked for that;
            None if the attempt no longer owns it.
        """
        state = JobState.QUEUED
        if crash is None:
            return self._leave(job_id, attempt, state, "given back", suspect=suspect)
        fields = ("error", crash.to_json())
        line, most = _line(crash), str(max_crashes)
        return self._leave(job_id, attempt, state, line, *fields, max_crashes=most)

    def _leave(
        self,
        job_id: str,
        attempt: int,
        state: JobState,
        line: str,
        *fields: str | int,
        frames: int = 0,
        suspect: bool = False,
        max_crashes: str = "",
    ) -> JobState | None:
        after = self._run(
            "leave",
            id=job_id,
            attempt=attempt,
            asked=state.value,
            time=now(),
            frames=frames,
            suspect=int(suspect),
            max_crashes=max_crashes,
            line=line.encode(errors="backslashreplace").decode(),
            fields=fields,
        )
        return None if after is None else JobState(after.decode())

    def request_cancel(self, job_id: str) -> JobState:
        """Cancel a queued job at once; ask the worker of a running one to stop.

        Returns:
            The state that follows; a job that has ended keeps its state.

        Raises:
            AnimatorError: `no_such_job`.
        """
        state = self._run("cancel", id=job_id, time=now())
        if state is None:
            raise AnimatorError("no_such_job", f"There is no job {job_id!r}.")
        return JobState(state.decode())

    def retry(self, job_id: str, *, overwrite: bool = False) -> JobRecord:
        """Queue a failed or cancelled job again; workers are not told yet.

        Args:
            job_id: the job.
            overwrite: whether its output may replace a file from now on.

        Raises:
            AnimatorError: `no_such_job`; `wrong_state` for a job that runs or succeeded;
                `output_exists` if another job is going to write its output.
        """
        options = replace(self.get(job_id).options, overwrite=True).to_json() if overwrite else ""
        answer = self._run("retry", id=job_id, time=now(), options=options)
        if answer is None:
            raise AnimatorError("no_such_job", f"There is no job {job_id!r}.")
        code, text = answer[0], answer[1].decode()
        if code == 0:
            sentence = f"Job {job_id} is {text}; only a failed or cancelled one is tried again."
            raise AnimatorError("wrong_state", sentence)
        if code == -1:
            raise AnimatorError("output_exists", f"Job {text} is going to write the same output.")
        return self.get(job_id)


def _line(error: JobError) -> str:
    return f"failed [{error.code}]: {error.message}"

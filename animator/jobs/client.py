"""The client, by which a program submits a job, looks at it, waits for it and cancels it.

client = Client.connect()
job = client.submit(JobSpec(source="/a/portrait.png", driving="/a/clip.mp4", output="/a/o.mp4"))
record = client.wait(job.id, work=True)

Many jobs are submitted at once by `submit_many`; with keys, a script that was interrupted can be
run again and submits only what is missing:

client.submit_many([JobRequest(spec, JobOptions(key="auto")) for spec in specs])
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from animator.errors import AnimatorError
from animator.jobs.content_key import AUTO, content_key
from animator.jobs.preflight import check_many
from animator.jobs.queue import Announcement, Queue, load_queue, open_store
from animator.jobs.store import JobRequest, JobStore, Submission
from animator.jobs.supervision import POLL_SECONDS, JobWait, discard
from animator.jobs.webhook import check_host
from animator.record import JobRecord, JobState
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec

logger = logging.getLogger(__name__)


class Client:
    """A job queue and its store.

    Args:
        settings: which queue.
        store: where the records are.
        queue: where workers are told of jobs.
    """

    def __init__(self, settings: Settings, store: JobStore, queue: Queue) -> None:
        self.settings = settings
        self.store = store
        self.queue = queue

    @classmethod
    def connect(cls, settings: Settings | None = None) -> Client:
        """The client for the queue that the settings, or else the environment, ask for.

        Raises:
            AnimatorError: `queue_unavailable`.
        """
        settings = settings or Settings.from_environment()
        store = open_store(settings)
        return cls(settings, store, load_queue(settings, store))

    def submit(
        self, spec: JobSpec, *, overwrite: bool = False, options: JobOptions | None = None
    ) -> JobRecord:
        """Check a job's files, record it and tell the workers.

        Args:
            spec: the job.
            overwrite: whether the output may replace a file, now or in the end, or that of a job
                before it.
            options: how it is treated. With a key that a job has already, that job is returned and
                nothing is checked or queued; the key "auto" is made of the files' content, the
                settings and the weights.

        Raises:
            AnimatorError: as `animator.jobs.preflight.check_files`, `webhook_refused`, or
                `queue_unavailable`.
        """
        request = JobRequest(spec, options or JobOptions())
        (made,) = self.submit_many([request], overwrite=overwrite)
        return made.record

    def submit_many(
        self, requests: Sequence[JobRequest], *, overwrite: bool = False
    ) -> list[Submission]:
        """Submit many jobs, as `submit` does, in few round trips.

        Nothing is submitted if a job's files are not as they should be.

        Returns:
            What came of each request, in their order.

        Raises:
            AnimatorError: as `submit`. If only some outputs are taken by other jobs
                (`output_exists`), the rest is submitted nevertheless.
        """
        # The wish travels with the job, which may end when a file has appeared meanwhile.
        requests = [
            replace(one, options=replace(one.options, overwrite=overwrite))
            for one in map(self._with_key, requests)
        ]
        # Of jobs that are there already nothing is checked or made: their files may be gone by now.
        keys = [request.options.key for request in requests if request.options.key]
        there = self.store.find_keys(keys)
        new = [request for request in requests if request.options.key not in there]
        # All is checked before the first is recorded.
        check_many((one.spec for one in new), overwrite=overwrite, settings=self.settings)
        for webhook in {one.options.webhook for one in new} - {None}:
            check_host(cast("str", webhook), self.settings.webhook_hosts)
        # Recorded first: should the workers not be told, they find the records later.
        made = self.store.create_many(new, overwrite=overwrite)
        submitted = [one for one in made if isinstance(one, Submission)]
        self._announce([one.record for one in submitted if one.new])
        # The rest is queued by now; what is raised names the first that is not.
        if errors := [one for one in made if isinstance(one, AnimatorError)]:
            if len(requests) == 1:
                raise errors[0]
            count = f"{len(errors)} of {len(requests)} jobs were not submitted, the first because: "
            raise AnimatorError(errors[0].code, count + errors[0].message)
        # New and earlier jobs, in the order of the requests.
        found = {key: Submission(record, False) for key, record in there.items()}
        rest = iter(submitted)
        return [found.get(one.options.key or "") or next(rest) for one in requests]

    def find(self, spec: JobSpec, options: JobOptions) -> JobRecord | None:
        """The job that submitting this would return because it has the key; None if there is none.

        Raises:
            AnimatorError: as `content_key` for the key "auto".
        """
        key = self._with_key(JobRequest(spec, options)).options.key
        return self.store.find_keys([key]).get(key) if key else None

    def cancel(self, job_id: str) -> JobRecord:
        """Cancel a job: at once if it waits, at its next step if it runs.

        Raises:
            AnimatorError: `no_such_job`.
        """
        self.store.request_cancel(job_id)
        record = self.store.get(job_id)
        if record.state is JobState.CANCELLED and record.attempt:
            discard(record, self.settings)
        return record

    def retry(self, job_id: str, *, overwrite: bool = False) -> JobRecord:
        """Queue a failed or cancelled job again and tell the workers.

        Args:
            job_id: the job.
            overwrite: whether its output may replace a file from now on; if not, that stays as it
                was asked for.

        Raises:
            AnimatorError: as `JobStore.retry`.
        """
        record = self.store.retry(job_id, overwrite=overwrite)
        self._announce([record])
        return record

    def _with_key(self, request: JobRequest) -> JobRequest:
        if request.options.key != AUTO:
            return request
        key = content_key(request.spec, self.settings)
        return replace(request, options=replace(request.options, key=key))

    def _announce(self, records: Sequence[JobRecord]) -> None:
        """Tell the workers; if that fails, the workers find the records by themselves later."""
        if not records:
            return
        try:
            self.queue.enqueue_many([Announcement.of(record) for record in records])
        except AnimatorError as error:
            logger.warning("the workers were not told of %d jobs yet: %s", len(records), error)

    def wait(
        self,
        job_id: str,
        *,
        work: bool = False,
        on_change: Callable[[JobRecord], None] = lambda record: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> JobRecord:
        """Wait until a job has ended.

        Args:
            job_id: the job.
            work: start a worker while no other takes jobs; it ends when the job has ended.
            on_change: called with every snapshot of the record.
            should_stop: polled; once true, the job is cancelled.

        Returns:
            The record of the ended job.

        Raises:
            AnimatorError: `no_such_job`, or `queue_unavailable` if the store stays away or if no
                worker can be started or several died; `device_unavailable` if the job asks for a
                device that no worker has.
        """
        watch = JobWait(self.store, self.queue, self.settings, job_id, work)
        try:
            while True:
                record = watch.look()
                on_change(record)
                if record.state.ended:
                    return record
                if should_stop():
                    # Each time: once the job has had time to obey, its worker is ended.
                    watch.cancel()
                time.sleep(POLL_SECONDS)
        finally:
            watch.end()

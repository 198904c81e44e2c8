"""Previews: the newest frame of a running job, while somebody looks at it.

Who looks says so again and again; the worker learns of it where it renews the job's lease, draws
one picture a second at most, and stores it. Both have a short life, so nothing is drawn or left
where nobody looks.
"""

from __future__ import annotations

from typing import cast

from animator.broker.connection import PREFIX, RedisBase, queue_errors

WANTED_SECONDS = 5
"""How long a wish for a preview holds."""
KEPT_SECONDS = 60
"""How long a preview is kept, also after its job has ended."""


class JobPreviews(RedisBase):
    """Wishes for previews, and the previews.

    Every method raises `AnimatorError` with `queue_unavailable` if Redis does not answer.
    """

    def want_preview(self, job_id: str) -> None:
        """Say that somebody looks at a job; holds for `WANTED_SECONDS`."""
        with queue_errors():
            self.client.set(f"{PREFIX}preview:wanted:{job_id}", "1", ex=WANTED_SECONDS)

    def preview(self, job_id: str) -> bytes | None:
        """The newest frame that was stored of a job, as a JPEG; None if there is none."""
        with queue_errors():
            return cast("bytes | None", self.client.get(f"{PREFIX}preview:{job_id}"))

    def store_preview(self, job_id: str, attempt: int, picture: bytes) -> bool:
        """Store the newest frame for `KEPT_SECONDS`; False if the attempt no longer owns the job.

        Args:
            job_id: the job.
            attempt: the attempt that runs it.
            picture: a JPEG.
        """
        answer = self._run(
            "preview", id=job_id, attempt=attempt, seconds=KEPT_SECONDS, picture=picture
        )
        return bool(answer)

"""The atomic changes of job records: Lua scripts in the folder `lua`, which Redis runs.

Each says what it takes and returns, and may be sent twice, see
`animator.broker.connection.RedisBase`.

Leases and waiting times are by the clock of Redis itself, since those of the workers differ; the
times that people read are the callers'.
"""

from __future__ import annotations

from animator.broker.scripts import LuaScripts

RATE_BUCKET_SECONDS = 10
"""What ended is counted by spans of so many seconds."""
RATE_SECONDS = 3600
"""How far back rates can be told."""

EVENTS = 10_000
"""Events that are kept, the newest ones, and perhaps a hundred more."""

SCRIPTS = LuaScripts(
    "animator.jobs",
    RATE_BUCKET_SECONDS=RATE_BUCKET_SECONDS,
    RATE_SECONDS=RATE_SECONDS,
    EVENTS=EVENTS,
)

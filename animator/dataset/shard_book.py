"""The shards of a run as one submitter sees them: opened, settled sample by sample, completed."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from animator.dataset.claims import Claims
from animator.dataset.packing import clear, pack
from animator.dataset.run_folder import FAILED, RESULT, RunFolder, Shard
from animator.dataset.samples import Sample, SampleOutcome, SampleState
from animator.values import now

OTHERS_SECONDS = 5.0
"""Time between two looks at shards that other submitters have."""


@dataclass(eq=False)
class Open:
    """A shard that is being worked on."""

    shard: Shard
    left: set[int]
    """Places of samples that have not ended."""
    again: frozenset[int] = frozenset()
    """Places of those that had failed and are made again."""
    changed: bool = True
    """Whether there is something to complete."""
    tally: Counter[str] = field(default_factory=Counter)
    """How many samples have ended, by `SampleState`."""
    began: str = field(default_factory=now)


@dataclass(eq=False)
class SampleTask:
    """A sample that is to be made."""

    open: Open
    number: int
    sample: Sample
    tries: int = 0
    """How often its job was tried again in this call."""

    @property
    def again(self) -> bool:
        """Whether it had failed in an earlier call."""
        return self.number in self.open.again


class ShardBook:
    """Opens shards one after another and completes those whose samples have all ended.

    Args:
        run: the run.
        samples: its plan.
        claims: of this submitter; a shard is opened by one at a time.
        retry_failed: whether samples that failed before are made again.
        on_complete: called with every shard that has been completed.
    """

    def __init__(
        self,
        run: RunFolder,
        samples: Sequence[Sample],
        claims: Claims,
        *,
        retry_failed: bool,
        on_complete: Callable[[Shard], None],
    ) -> None:
        self._run, self._claims = run, claims
        self._retry_failed, self._on_complete = retry_failed, on_complete
        self._open: dict[int, Open] = {}
        stats = {one["shard"]: one for one in run.stats()}
        self._ended = {n: _tally_of(one) for n, one in stats.items() if not one["failed"]}
        self._unopened = deque(one for one in run.shards(samples) if one.number not in self._ended)
        self._packing: dict[Future[dict[str, Any]], Open] = {}
        self._pool = ThreadPoolExecutor(1, "packing")
        self._others_until = 0.0
        self.total = len(samples)
        self.completed = 0
        """Shards that were completed in this call."""

    @property
    def tally(self) -> Counter[str]:
        """How many samples of the run have ended, by `SampleState`, as far as is known here."""
        return sum(self._ended.values(), sum((one.tally for one in self._open.values()), Counter()))

    @property
    def through(self) -> bool:
        """Whether nothing is left to be opened or completed."""
        return not (self._unopened or self._open or self._packing)

    @property
    def packing(self) -> int:
        """How many samples are in shards that are being completed."""
        return sum(len(one.shard.samples) for one in self._packing.values())

    def open_next(self) -> list[SampleTask] | None:
        """Open the next shard that no other submitter has: what is to be made of it.

        Returns:
            None if there is none at present.

        Raises:
            AnimatorError: `queue_unavailable`, or what a store of files raises.
        """
        if time.monotonic() < self._others_until:
            return None
        for _ in range(len(self._unopened)):
            shard = self._unopened.popleft()
            if self._claims.take(shard.name):
                return self._begin(shard)
            self._unopened.append(shard)
        # All that is left is with other submitters, which may end it or die.
        self._others_until = time.monotonic() + OTHERS_SECONDS
        return None

    def settle(self, task: SampleTask, outcome: SampleOutcome) -> None:
        """A sample has ended; what failed is put down in the run's folder."""
        name = self._run.part(task.open.shard, task.sample, FAILED)
        if outcome.state == "failed":
            self._run.storage.write(name, outcome.to_json())
        elif task.again:
            self._run.storage.delete([name])
        task.open.left.discard(task.number)
        task.open.tally[outcome.state] += 1

    def look(self) -> None:
        """Complete shards, in a thread, and hear of those that are complete.

        Raises:
            AnimatorError: what a store of files raises, `bad_data`, or `queue_unavailable`.
        """
        for future, opened in [*self._packing.items()]:
            if future.done():
                del self._packing[future]
                self._completed(opened.shard, future.result())
        for number, opened in [*self._open.items()]:
            if opened.left:
                continue
            del self._open[number]
            self._ended[number] = opened.tally
            if not opened.changed:
                self._claims.release(opened.shard.name)
            elif self._claims.take(opened.shard.name):
                future = self._pool.submit(pack, self._run, opened.shard, began=opened.began)
                self._packing[future] = opened
            else:  # the claim ran out while Redis was away, and another submitter has it
                self._unopened.append(opened.shard)

    def close(self) -> None:
        """Wait for what is being completed."""
        self._pool.shutdown(wait=True)

    def _completed(self, shard: Shard, stats: dict[str, Any]) -> None:
        self._ended[shard.number] = _tally_of(stats)
        self.completed += 1
        self._on_complete(shard)
        self._claims.release(shard.name)

    def _begin(self, shard: Shard) -> list[SampleTask]:
        stats_name = f"shards/{shard.name}_stats.json"
        ended = self._run.ended(shard)
        if self._run.storage.exists(stats_name):
            opened = self._reopened(shard, ended, json.loads(self._run.storage.read(stats_name)))
        else:
            opened = self._opened(shard, ended)
        self._open[shard.number] = opened
        numbered = shard.numbered()
        return [
            SampleTask(opened, number, one) for number, one in numbered if number in opened.left
        ]

    def _opened(self, shard: Shard, ended: dict[str, str]) -> Open:
        """A shard that is not complete."""
        files = {number: ended.get(sample.id, "") for number, sample in shard.numbered()}
        failed = {number for number, name in files.items() if name.endswith(FAILED)}
        again = frozenset(failed if self._retry_failed else ())
        left = {number for number, name in files.items() if not name} | again
        opened = Open(shard, left, again)
        opened.tally["failed"] = len(failed - again)
        opened.tally["succeeded"] = len(files) - len(left) - opened.tally["failed"]
        return opened

    def _reopened(self, shard: Shard, ended: dict[str, str], stats: dict[str, Any]) -> Open:
        """A complete shard; of use only if samples of it that failed are made again."""
        opened = Open(shard, set(), changed=False, tally=_tally_of(stats))
        retry = self._retry_failed and stats["failed"]
        if not ended and not retry:
            return opened
        failed = {row["number"] for row in self._run.rows(shard) if row["state"] == "failed"}
        names = {number: ended.get(sample.id, "") for number, sample in shard.numbered()}
        # An earlier call had begun to make them again.
        made = {number for number in failed if names[number].endswith(RESULT)}
        if retry:
            opened.left = failed - made
            opened.again = frozenset(opened.left)
        opened.changed = bool(made or opened.left)
        if not opened.changed:
            clear(self._run, shard)
        opened.tally["failed"] -= len(opened.left) + len(made)
        opened.tally["succeeded"] += len(made)
        return opened


def _tally_of(stats: dict[str, Any]) -> Counter[str]:
    states: tuple[SampleState, ...] = ("succeeded", "failed", "rejected")
    return Counter({state: stats[state] for state in states})

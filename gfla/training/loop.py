"""The training loop: explicit arguments in, a trained run out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric import Fabric
from torch import Tensor

from gfla.errors import GflaError
from gfla.training.clock import Clock
from gfla.training.loader import Failure, Loaded, check_failures
from gfla.training.records import Records, save_batch
from gfla.training.state import Run
from gfla.training.tasks.base import Batch
from gfla.training.tasks.critics import Critics, Move

Pictures = dict[str, Tensor]
End = Literal["finished", "max-minutes", "max-steps", "stopped"]


@dataclass(frozen=True)
class Limits:
    """When a call ends though the run has not."""

    max_minutes: float | None = None
    """Of this call."""
    max_steps: int | None = None
    """Of this call."""
    should_stop: Callable[[], bool] = lambda: False
    """Polled after every step."""


@dataclass(frozen=True)
class StepReport:
    """How a run is doing, after a step.

    Attributes:
        step: steps made.
        steps: of the whole run.
        values: the loss and its terms, means since the last line of metrics.
        pictures_per_second: rendered in training, of all processes, in the last seconds.
        seconds_left: estimated; None until something is known.
        failed: samples that were replaced.
        waiting: share of the time of this call that went into waiting for data.
    """

    step: int
    steps: int
    values: Mapping[str, float]
    pictures_per_second: float
    seconds_left: float | None
    failed: int
    waiting: float


class Loop:
    """A run on its devices."""

    def __init__(
        self,
        fabric: Fabric,
        run: Run,
        folder: Path,
        *,
        info: Mapping[str, Any] | None = None,
        state: dict[str, Any] | None = None,
        report: Callable[[StepReport], None] = lambda report: None,
    ) -> None:
        """Move the run to its device and set up what processes share.

        Args:
            fabric: launched.
            run: to train.
            folder: of the run.
            info: goes into the averaged weights' file.
            state: of ``read_state``, where the run goes on from.
            report: called after every step of the first process.
        """
        self.fabric = fabric
        self.run = run
        self.folder = folder
        self.info = dict(info or {})
        self.report = report
        self.critics: Any = None
        self.critic_optimizer: Any = None
        # The task is what DDP wraps: its forward pass is a whole step, loss included.
        self.task, self.optimizer = fabric.setup(run.task, run.optimizer)
        if run.critics is not None and run.critic_optimizer is not None:
            self.critics, self.critic_optimizer = fabric.setup(run.critics, run.critic_optimizer)
        fabric.to_device(run.average)
        if (
            state is not None
        ):  # when all is where it belongs, so that the optimizers' means go there
            run.load_state_dict(state)
        self.clock = Clock(run)
        self.rate = 0.0

    def train(
        self,
        batches: Iterable[Loaded],
        records: Records | None,
        sheet_batch: Batch | None,
        limits: Limits,
    ) -> End:
        """Train until the run's last step or a limit; either way ends with a checkpoint.

        Args:
            batches: endless, beginning at the run's position, of this process.
            records: of the first process; None elsewhere.
            sheet_batch: samples that sheets are drawn of; None for no sheets.
            limits: of this call.

        Returns:
            Why it ended.

        Raises:
            GflaError: ``diverged`` or ``broken_data``; the last checkpoint stays as it is.
        """
        # A batch of clips is good for several steps, one for each block of frames.
        run, begun, source = self.run, self.run.step, iter(batches)
        self.clock.start()
        end: End | None = "finished" if run.step >= run.config.steps else None
        while end is None:
            before = run.step
            loaded = self._load(source, records)
            # Of each batch: the frames that its next block begins with.
            carried: list[list[Tensor]] = [[] for _ in loaded]
            for block in range(run.config.blocks):
                values = self._step(loaded, block, carried)
                self._note(values, records)
            # Only now, between two batches, may the run stop: a state holds no half clips.
            run.position += run.step_size
            end = self._end(limits, begun)
            self._keep(before, records, sheet_batch)
        # The end: metrics, a checkpoint and a sheet, whatever their intervals.
        self._note_rest(records)
        self.save()
        self._draw(records, sheet_batch)
        return end

    def save(self) -> None:
        """Write a checkpoint; all processes return when it is there."""
        if self.fabric.is_global_zero:
            self.run.save(self.folder, self.info)
        self.clock.saved = time.monotonic()
        self.fabric.barrier()

    def measure(self, batch: dict[str, Tensor]) -> float:
        """Seconds of a step with all its losses on one batch; for runs that are thrown away."""
        # Critics take part in what is measured, even if they would join later.
        self.run.step = max(self.run.step, self.run.config.critics.start)
        self._synchronise()
        began = time.perf_counter()
        carried: list[list[Tensor]] = [[]]
        for block in range(self.run.config.blocks):
            self._step([batch], block, carried)
        self._synchronise()
        return (time.perf_counter() - began) / self.run.config.blocks

    def _synchronise(self) -> None:
        if self.fabric.device.type == "cuda":
            torch.cuda.synchronize(self.fabric.device)

    def _load(self, source: Iterator[Loaded], records: Records | None) -> list[dict[str, Tensor]]:
        """The batches of a step, on the device."""
        began, run = time.monotonic(), self.run
        loaded, failures = [], list[Failure]()
        for _ in range(run.config.accumulate):
            batch = next(source)
            failures += batch.failures
            if batch.tensors is None:
                reason = batch.failures[-1].reason
                raise GflaError("broken_data", f"sample after sample fails; the latest: {reason}")
            loaded.append(self.fabric.to_device(batch.tensors))
        self.clock.waited += time.monotonic() - began
        if failures and records is not None:
            records.skipped(run.step + 1, failures)
        # All processes count alike, so all of them stop or none.
        run.failed += self._agreed(len(failures), "sum")
        if run.failed:
            reason = failures[-1].reason if failures else "see skipped.jsonl"
            check_failures(run.failed, run.position, reason)
        return loaded

    def _step(
        self, batches: list[dict[str, Tensor]], block: int, carried: list[list[Tensor]]
    ) -> dict[str, float]:
        """One step of all weights: gradients of all batches, averaged."""
        run, config = self.run, self.run.config
        run.set_rates()
        self.optimizer.zero_grad(set_to_none=True)
        # Critics sit out until their first step; so do their optimizers.
        playing = run.critics if run.step >= config.critics.start else None
        if playing is not None:
            self.critic_optimizer.zero_grad(set_to_none=True)
        first = playing is not None and config.critics.first
        judged: dict[str, float] = {}

        def move(real: Mapping[str, Tensor], fake: Mapping[str, Tensor]) -> None:
            """The critics' step, between the generator's pictures and what is said of them."""
            with torch.autocast(self.fabric.device.type, enabled=False):
                judged.update(self._critic_gradients([(real, fake)]))
            self._check(judged, batches)
            self.critic_optimizer.step()

        # Unless critics are first, both sides' gradients come before either side moves.
        values, shown = self._generator_gradients(
            batches, block, carried, playing, move if first else None
        )
        if first:
            values |= judged
        elif playing is not None:
            values |= self._critic_gradients(shown)
        # Clipped even where any norm is allowed: the norm is a metric, and NaN in it stops the run.
        clip = config.optimizer.gradient_clip or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(run.task.parameters(), clip)
        values["gradient_norm"] = float(norm)
        self._check(values, batches)
        self.optimizer.step()
        if playing is not None and not first:
            self.critic_optimizer.step()
        # The averaged weights follow every step.
        run.average.update_parameters(run.generator)
        run.step += 1
        return values

    def _generator_gradients(
        self,
        batches: list[dict[str, Tensor]],
        block: int,
        carried: list[list[Tensor]],
        critics: Critics | None,
        move: Move | None,
    ) -> tuple[dict[str, float], list[tuple[Pictures, Pictures]]]:
        """Add them up; terms, and what the critics shall see. The last batch alone is shared."""
        count, values, shown = len(batches), dict[str, float](), []
        # Alike in all processes and on resuming: windows and frames are drawn from it.
        seed = (self.run.config.seed, self.run.step)
        for index, batch in enumerate(batches):
            with self.fabric.no_backward_sync(self.task, enabled=index < count - 1):
                outcome = self.task(batch, block, carried[index], seed, critics, move)
                terms = self._means({"loss": outcome["loss"].detach()} | outcome["terms"])
                # Before the gradients: on a CPU those of a flow that is no number are a crash.
                self._check(terms, batches)
                self.fabric.backward(outcome["loss"] / count)
            carried[index] = outcome["carried"]
            shown.append((outcome["real"], outcome["fake"]))
            values = {name: values.get(name, 0.0) + term / count for name, term in terms.items()}
        return values, shown

    def _critic_gradients(
        self, shown: Sequence[tuple[Mapping[str, Tensor], Mapping[str, Tensor]]]
    ) -> dict[str, float]:
        """Likewise of the critics, which all batches share."""
        count, values = len(shown), dict[str, float]()
        for index, (real, fake) in enumerate(shown):
            self.critics.train(index == 0)  # spectral normalisation moves once a step
            with self.fabric.no_backward_sync(self.critics, enabled=index < count - 1):
                losses = self.critics(real, fake)
                self.fabric.backward(torch.stack(list(losses.values())).sum() / count)
            means = self._means({name: loss.detach() for name, loss in losses.items()})
            values = {name: values.get(name, 0.0) + mean / count for name, mean in means.items()}
        self.critics.train()
        return values

    def _means(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Of all processes, as numbers."""
        together = self.fabric.all_reduce(torch.stack(list(values.values())), reduce_op="mean")
        assert isinstance(together, Tensor)
        return dict(zip(values, together.tolist(), strict=True))

    def _check(self, values: Mapping[str, float], batches: list[dict[str, Tensor]]) -> None:
        """Stop before numbers that are none reach the weights.

        The values are the same in all processes, so all of them stop.
        """
        if all(abs(value) < float("inf") for value in values.values()):
            return
        rank = self.fabric.global_rank
        path = self.folder / f"diverged-{self.run.step:07d}-{rank}.npz"
        save_batch(path, batches)
        terms = ", ".join(f"{name} {value:.5g}" for name, value in values.items())
        raise GflaError(
            "diverged",
            f"step {self.run.step + 1} is not finite: {terms}; its batch is in {path}, and the "
            "weights are those of the last checkpoint",
        )

    def _note(self, values: Mapping[str, float], records: Records | None) -> None:
        """Add up metrics, write a line when it is time, report."""
        run, clock = self.run, self.clock
        run.sums = {name: run.sums.get(name, 0.0) + value for name, value in values.items()} | {
            "steps": run.sums.get("steps", 0.0) + 1
        }
        # Means since the last line of metrics.
        means = {name: total / run.sums["steps"] for name, total in run.sums.items()}
        means.pop("steps")
        rate = self.rate = clock.tick(self.fabric.world_size)
        if records is not None:
            left = run.config.steps - run.step
            pace = clock.seconds_a_step
            self.report(
                StepReport(
                    run.step, run.config.steps, means, rate, left * pace if pace else None,
                    run.failed, clock.waiting,
                )
            )  # fmt: skip
        if run.step % run.config.record.log_every == 0:
            run.sums = {}
            if records is not None:
                records.metrics(run.step, means | self._aside(rate))

    def _aside(self, rate: float) -> dict[str, float]:
        """What a line of metrics has besides: it tells speed, not success."""
        return {
            "learning_rate": self.run.learning_rate(),
            "images_per_second": rate,
            "waiting": self.clock.waiting,
            "failed": self.run.failed,
        }

    def _note_rest(self, records: Records | None) -> None:
        """Write the means since the last line of metrics; the run that goes on sums on."""
        sums = self.run.sums
        if records is None or not sums.get("steps"):
            return
        means = {name: total / sums["steps"] for name, total in sums.items() if name != "steps"}
        records.metrics(self.run.step, means | self._aside(self.rate), part=True)

    def _end(self, limits: Limits, begun: int) -> End | None:
        """Whether to end, and why; all processes agree."""
        run, end = self.run, 0
        # Clocks and signals differ between processes: they agree on the largest reason.
        if limits.max_minutes is not None and self.clock.minutes >= limits.max_minutes:
            end = 1
        if limits.should_stop():
            end = 2
        end = self._agreed(end, "max")
        if run.step >= run.config.steps:
            return "finished"
        if end:
            return "stopped" if end == 2 else "max-minutes"
        if limits.max_steps is not None and run.step - begun >= limits.max_steps:
            return "max-steps"
        return None

    def _keep(self, before: int, records: Records | None, sheet_batch: Batch | None) -> None:
        """Checkpoint and sheet, when it is time."""
        record, run = self.run.config.record, self.run
        # A step of a batch may pass a multiple without meeting it.
        if record.sheet_every and run.step // record.sheet_every > before // record.sheet_every:
            self._draw(records, sheet_batch)
        due = time.monotonic() - self.clock.saved > 60 * record.save_minutes
        if record.save_every and run.step // record.save_every > before // record.save_every:
            due = True
        if self._agreed(int(due), "max"):
            self.save()

    def _draw(self, records: Records | None, sheet_batch: Batch | None) -> None:
        if records is None or sheet_batch is None:
            return
        batch = self.fabric.to_device(dict(sheet_batch))
        with self.fabric.autocast():
            picture = self.run.task.sheet(self.run.averaged, batch)
        records.sheet(self.run.step, picture)

    def _agreed(self, value: int, how: str) -> int:
        """The "sum" or the "max" of a number over all processes."""
        if self.fabric.world_size == 1:
            return value
        shared = self.fabric.all_reduce(torch.tensor(float(value)), reduce_op=how)
        assert isinstance(shared, Tensor)
        return int(shared)

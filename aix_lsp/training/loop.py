"""The training loop: one for a model from scratch on two cores, an adapter on a GPU, and many processes of both.

Distribution (processes, devices, gradients) is accelerate's; start it with `accelerate launch` or `torchrun` for more
than one process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aix_lsp.training.checkpoints import RunState, load, save
from aix_lsp.training.interruption import interruptions
from aix_lsp.training.optim import OptimizerSettings, factor, optimizers, set_rate

if TYPE_CHECKING:
    import torch

    from aix_lsp.training.objective import Objective
    from aix_lsp.training.rows import Batch


class TrainingError(ValueError):
    """Training cannot go on; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How long and how.

    The run ends after `steps` or `minutes` of training, whichever comes first (at least one must be given), or when
    the held-out loss was not the best `patience` times in a row. `accumulate` batches make a step. Validation runs
    every `validate_every` steps, a checkpoint is written every `checkpoint_minutes` and at the end. `clip` bounds the
    norm of the gradient.
    """

    steps: int | None = None
    minutes: float | None = None
    accumulate: int = 1
    clip: float = 1.0
    validate_every: int = 100
    patience: int | None = None
    checkpoint_minutes: float = 5.0
    report_every: int = 10

    def __post_init__(self) -> None:
        """Raises TrainingError for counts that cannot be."""
        for name in ("accumulate", "validate_every", "report_every"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class StepReport:
    """What is told now and then: the weighted loss and those by part (nats) since the last report, the share of the
    full rate, tokens per second over all processes, and the seconds that the run may still take."""

    step: int
    tokens: int
    loss: float
    parts: Mapping[str, float]
    rate: float
    tokens_per_second: float
    seconds_left: float
    progress: float


@dataclass(frozen=True, slots=True)
class Validation:
    """The held-out loss after a step, by part; `loss` decides which weights are best."""

    step: int
    loss: float
    parts: Mapping[str, float]

    @classmethod
    def of(cls, step: int, losses: Mapping[str, float]) -> Validation:
        """Of losses by part, with the one that decides as "loss"."""
        return cls(step, losses["loss"], {name: own for name, own in losses.items() if name != "loss"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: `reason` is "steps", "time", or "patience". `best` is the lowest held-out loss, if measured."""

    state: RunState
    reason: str


def train(
    objective: Objective,
    batches: Callable[[int], Iterator[Batch]],
    settings: LoopSettings,
    rates: OptimizerSettings,
    *,
    folder: Path | None = None,
    about: Mapping[str, Any] | None = None,
    validate: Callable[[], Mapping[str, float]] | None = None,
    keep_best: Callable[[], None] | None = None,
    on_report: Callable[[StepReport], None] = lambda report: None,
    on_validation: Callable[[Validation], None] = lambda validation: None,
    accelerator: Any = None,
) -> Outcome:
    """Train the weights of `objective` that need a gradient, in place.

    `batches(skip)` begins this process's batches, without the first `skip`. With `folder` the run keeps a checkpoint
    there and goes on from one that it finds, if `about` is the same. `validate` returns held-out losses by part, the
    weighted one as "loss"; `keep_best` is called whenever that is the lowest so far. Raises TrainingError when the
    loss is no number any more (from the last checkpoint the run can be started again), CheckpointError, OSError; and
    KeyboardInterrupt when the process is told to end (SIGINT, SIGTERM), with `folder` once the step under way is kept.
    """
    if settings.steps is None and settings.minutes is None:
        raise TrainingError("say how long to train: a number of steps or of minutes")
    accelerator = accelerator or make_accelerator()
    listed = optimizers(objective, rates)
    state = RunState()
    named = dict(about or {})
    if folder is not None:
        state = load(folder, objective, listed, named) or state
    model, *prepared = accelerator.prepare(objective, *listed)
    run = _Run(accelerator, model, objective, prepared, settings, rates, state)
    feed = batches(state.batches)
    saved = time.monotonic()
    with interruptions() if folder is not None else nullcontext(lambda: False) as asked_to_end:
        while (reason := run.finished()) is None:
            run.step(feed, on_report)
            if validate is not None and run.state.step % settings.validate_every == 0:
                reason = _validated(run, validate, keep_best, on_validation)
            interrupted = run.agreed(asked_to_end())
            if folder is not None and run.agreed(
                interrupted or time.monotonic() - saved >= 60 * settings.checkpoint_minutes
            ):
                saved = time.monotonic()
                run.save(folder, named)
            if interrupted:
                raise KeyboardInterrupt
            if reason is not None:
                break
    if folder is not None:
        run.save(folder, named)
    return Outcome(run.state, reason or "steps")


def make_accelerator() -> Any:
    """accelerate's handle on devices and processes, as the launcher (if any) set it up."""
    import torch
    from accelerate import Accelerator

    # without the word, several processes on processors would each take themselves for the only one
    cpu = not torch.accelerator.is_available()
    return Accelerator(cpu=cpu)


def _validated(
    run: _Run,
    validate: Callable[[], Mapping[str, float]],
    keep_best: Callable[[], None] | None,
    on_validation: Callable[[Validation], None],
) -> str | None:
    """Validate, remember the best, and say "patience" when it is used up."""
    run.objective.eval()
    found = Validation.of(run.state.step, validate())
    run.objective.train()
    best = run.state.best is None or found.loss < run.state.best
    run.state = run.state.changed(best=found.loss if best else run.state.best, since=0 if best else run.state.since + 1)
    if best and keep_best is not None and run.accelerator.is_main_process:
        keep_best()
    on_validation(found)
    patience = run.settings.patience
    return "patience" if patience is not None and run.state.since >= patience else None


class _Run:
    """A run under way."""

    def __init__(
        self,
        accelerator: Any,
        model: Any,
        objective: Objective,
        listed: list[torch.optim.Optimizer],
        settings: LoopSettings,
        rates: OptimizerSettings,
        state: RunState,
    ) -> None:
        from aix_lsp.training.objective import Tally

        self.accelerator = accelerator
        self.model = model
        self.objective = objective
        self.optimizers = listed
        self.settings = settings
        self.rates = rates
        self.state = state
        self._fresh_tally = Tally
        self._tally = Tally()
        self._losses: list[float] = []
        self._since = (time.monotonic(), state.tokens)
        objective.train()

    def progress(self) -> float:
        """The share of the run that lies behind, the same in all processes."""
        shares = [0.0]
        if self.settings.steps is not None:
            shares.append(self.state.step / self.settings.steps)
        if self.settings.minutes is not None:
            shares.append(self.state.seconds / (60 * self.settings.minutes))
        return max(shares)

    def finished(self) -> str | None:
        """Why the run is at its end; None when it is not."""
        if self.settings.steps is not None and self.state.step >= self.settings.steps:
            return "steps"
        if self.settings.minutes is not None and self.state.seconds >= 60 * self.settings.minutes:
            return "time"
        return None

    def step(self, feed: Iterator[Batch], on_report: Callable[[StepReport], None]) -> None:
        """One update of the weights."""
        import torch

        began = time.monotonic()
        accelerator, settings = self.accelerator, self.settings
        share = factor(self.progress(), self.rates)
        set_rate(self.optimizers, share)
        tokens, loss = 0, 0.0
        for number in range(settings.accumulate):
            batch = next(feed).to(accelerator.device)
            tokens += batch.tokens
            last = number == settings.accumulate - 1
            with accelerator.no_sync(self.model) if not last else nullcontext():
                found = self.model(batch)
                accelerator.backward(found.loss / settings.accumulate)
            self._tally.add(found)
            loss += float(found.loss.detach()) / settings.accumulate
        norm = torch.nn.utils.clip_grad_norm_(
            [weight for weight in self.objective.parameters() if weight.requires_grad], settings.clip
        )
        # one broken process breaks all, since gradients are shared; so all see the same norm
        if not bool(torch.isfinite(norm)):
            raise TrainingError(
                f"the gradient is no number after step {self.state.step}; start again from the last checkpoint, "
                "with a lower rate if it happens again"
            )
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        seconds = self._shared(time.monotonic() - began)
        world = accelerator.num_processes
        self._losses.append(loss)
        self.state = self.state.changed(
            step=self.state.step + 1,
            batches=self.state.batches + settings.accumulate,
            tokens=self.state.tokens + tokens * world,
            seconds=self.state.seconds + seconds,
        )
        if self.state.step % settings.report_every == 0:
            self._report(share, on_report)

    def save(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Write the checkpoint, by the first process only."""
        if self.accelerator.is_main_process:
            inner = [getattr(optimizer, "optimizer", optimizer) for optimizer in self.optimizers]
            save(folder, self.objective, inner, self.state, about)
        self.accelerator.wait_for_everyone()

    def agreed(self, wanted: bool) -> bool:
        """What the first process wants."""
        return self._shared(float(wanted)) > 0

    def _shared(self, value: float) -> float:
        """The first process's number, in all of them."""
        if self.accelerator.num_processes == 1:
            return value
        import torch
        from accelerate.utils import broadcast

        tensor = torch.tensor([value], dtype=torch.float32, device=self.accelerator.device)
        return float(broadcast(tensor)[0])

    def _report(self, share: float, on_report: Callable[[StepReport], None]) -> None:
        now = time.monotonic()
        began, tokens = self._since
        progress = max(self.progress(), 1e-9)
        speed = (self.state.tokens - tokens) / max(now - began, 1e-9)
        report = StepReport(
            step=self.state.step,
            tokens=self.state.tokens,
            loss=sum(self._losses) / len(self._losses),
            parts=self._tally.means(),
            rate=share,
            tokens_per_second=speed,
            seconds_left=self.state.seconds * (1 - progress) / progress,
            progress=progress,
        )
        self._since = (now, self.state.tokens)
        self._tally, self._losses = self._fresh_tally(), []
        if self.accelerator.is_main_process:
            on_report(report)

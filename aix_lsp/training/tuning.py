"""One training run from files to a finished folder: an adapter for a model, or a small model from scratch.

While it goes on, everything lies in `OUT.unfinished` beside the target: checkpoint, best weights, losses. The target
appears at the end.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from aix_lsp import __version__
from aix_lsp.languages import language_id_of
from aix_lsp.training.card import CardFacts, card
from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.data import Tally, documents, split
from aix_lsp.training.held_out import HeldOut, LossLog
from aix_lsp.training.loop import LoopSettings, Outcome, StepReport, TrainingError, Validation, make_accelerator, train
from aix_lsp.training.optim import OptimizerSettings
from aix_lsp.training.plot import loss_plot
from aix_lsp.training.subject import Subject, adapted_model, new_model
from aix_lsp.training.tuning_feed import SampleDrawer, TuningFeed
from aix_lsp.training.tuning_plan import TuneSettings, check, loop_settings, product_format, rate_settings, workplace

PLOT: Final = "loss.png"
_ENDED: Final = {
    "steps": "after all its steps",
    "time": "when its time was over",
    "patience": "because the held-out loss did not get lower any more",
}
_TOKENS_HELD_OUT: Final = {"cpu": 6_000}
_MOST_TOKENS_HELD_OUT: Final = 100_000


@dataclass(frozen=True, slots=True)
class Tuned:
    """A finished run. Losses are those of the held-out answers (nats per token), None when nothing was held out."""

    out: Path
    outcome: Outcome
    before: float | None
    after: float | None
    tally: Tally


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how the run goes: a line of text, a report of some steps, a validation. Called in the first process
    only."""

    say: Callable[[str], None] = lambda line: None
    step: Callable[[StepReport], None] = lambda report: None
    validation: Callable[[Validation], None] = lambda found: None


def tune(settings: TuneSettings, watch: Watch | None = None) -> Tuned:
    """Do one run, or go on with an interrupted one.

    Raises TrainingError, DataError or another ValueError or EngineError of one line, and OSError when the disk is full;
    the target then is not there, and what can be gone on with is in `OUT.unfinished`.
    """
    watch = watch or Watch()
    work = workplace(settings.out)
    # As launchers tell it; what can go wrong with files is told before PyTorch is loaded.
    main = os.environ.get("RANK", "0") == "0"
    if main:
        # The other processes would see what this one has begun.
        check(settings, work)
    else:
        watch = Watch()
    tally = Tally()
    files, held_out_files = split(documents(settings.source, tally), settings.held_out, settings.seed)
    watch.say(
        f"{tally.files:,} files, {tally.characters:,} characters ({_listed(tally.languages)}), "
        f"{len(held_out_files):,} of them held out"
    )
    accelerator = make_accelerator()
    import torch

    torch.manual_seed(settings.seed)
    with _unfinished(work, settings.resume, main):
        with accelerator.main_process_first():
            subject = _subject(settings, files, work)
        watch.say(f"{subject.name}: {_trainable(subject.model):,} of {subject.parameters:,} parameters to train")
        return _run(settings, watch, subject, files, held_out_files, tally, work, accelerator)


def _run(
    settings: TuneSettings,
    watch: Watch,
    subject: Subject,
    files: Sequence[SourceFile],
    held_out_files: Sequence[SourceFile],
    tally: Tally,
    work: Path,
    accelerator: Any,
) -> Tuned:
    from aix_lsp.training.objective import Objective

    length = min(settings.sequence, subject.max_positions)
    drawer = SampleDrawer(subject.tokenizer, subject.family, settings.samples, length, subject.limits)
    feed = TuningFeed(
        drawer.draws(files, files),
        length,
        settings.batch,
        settings.seed,
        accelerator.process_index,
        accelerator.num_processes,
    )
    products = product_format(accelerator.device.type)
    objective = Objective(subject.model, lean=subject.lean, compiled=False, dtype=products)
    objective.to(accelerator.device)
    held_out = HeldOut(
        objective,
        drawer.draws(held_out_files, files)(0) if held_out_files else (),
        work,
        length=length,
        rows=settings.batch,
        most_rows=max(_TOKENS_HELD_OUT.get(accelerator.device.type, _MOST_TOKENS_HELD_OUT) // length, 1),
        accelerator=accelerator,
    )
    loop, rates = (
        loop_settings(settings, feed.rows_of_a_pass(), accelerator.num_processes),
        rate_settings(settings, subject.parameters),
    )
    log = LossLog.open(work / "losses.jsonl")
    told = _Told(log, watch, accelerator.is_main_process)
    if held_out and not log.held_out:
        told.validation(Validation.of(0, held_out()))
    with _explained(settings):
        outcome = train(
            objective,
            feed.batches,
            loop,
            rates,
            folder=work / "checkpoint",
            about=_about(settings, subject, files),
            validate=held_out if held_out else None,
            keep_best=held_out.keep if held_out else None,
            on_report=told.step,
            on_validation=told.validation,
            accelerator=accelerator,
        )
        last = _settle(held_out, outcome, told)
    if accelerator.is_main_process:
        facts = _facts(settings, subject, tally, held_out_files, loop, rates, outcome, log, last)
        languages = sorted({language_id_of(file.path) for file in files})
        finished = work / "finished"
        shutil.rmtree(finished, ignore_errors=True)
        subject.write(finished, card(facts), languages)
        curve = [(step, loss) for step, loss, _ in log.held_out]
        loss_plot(finished / PLOT, log.steps, curve, title=facts.title)
        _appear(finished, settings.out.expanduser().resolve())
        shutil.rmtree(work, ignore_errors=True)
    accelerator.wait_for_everyone()
    before = log.held_out[0][1] if log.held_out else None
    return Tuned(settings.out, outcome, before, last["loss"] if last else None, tally)


def _appear(finished: Path, out: Path) -> None:
    """Give a whole folder its name; `out` is not there, or empty."""
    if out.exists():
        out.rmdir()
    finished.rename(out)


def _settle(held_out: HeldOut, outcome: Outcome, told: _Told) -> Mapping[str, float]:
    """Leave the best weights in the model, whether they are the last or earlier ones; their losses."""
    if not held_out:
        return {}
    losses = held_out()
    if outcome.state.best is not None and losses["loss"] > outcome.state.best and held_out.restore():
        losses = held_out()
    else:
        told.validation(Validation.of(outcome.state.step, losses))
    return losses


@contextmanager
def _unfinished(work: Path, resumed: bool, main: bool) -> Iterator[None]:
    """The working folder; taken away again when the run fails before there is anything to go on with."""
    if main:
        work.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if main and work.exists() and not (work / "checkpoint").exists() and not resumed:
            shutil.rmtree(work, ignore_errors=True)


def _subject(settings: TuneSettings, files: Sequence[SourceFile], work: Path) -> Subject:
    if settings.init is not None:
        return new_model(settings.init, [file.text for file in files], work / "tokenizer", seed=settings.seed)
    return adapted_model(
        settings.model,
        four_bit=settings.four_bit,
        rank=settings.rank,
        alpha=settings.alpha,
        dropout=settings.dropout,
        targets=settings.targets,
    )


def _about(settings: TuneSettings, subject: Subject, files: Sequence[SourceFile]) -> dict[str, Any]:
    """What must be the same for a run to go on from a checkpoint."""
    data = blake2b(digest_size=16)
    for file in files:
        data.update(f"{file.project}\0{file.path}\0{len(file.text)}\0".encode("utf-8", "surrogatepass"))
        data.update(blake2b(file.text.encode("utf-8", "surrogatepass")).digest())
    return {
        **subject.identity,
        "files": data.hexdigest(),
        "seed": settings.seed,
        "sequence": settings.sequence,
        "batch": settings.batch,
    }


def _facts(
    settings: TuneSettings,
    subject: Subject,
    tally: Tally,
    held_out: Sequence[SourceFile],
    loop: LoopSettings,
    rates: OptimizerSettings,
    outcome: Outcome,
    log: LossLog,
    after: Mapping[str, float],
) -> CardFacts:
    state = outcome.state
    held_out_languages = Counter(file.language for file in held_out)
    samples = settings.samples
    return CardFacts(
        title=settings.out.expanduser().resolve().name,
        made_by=f"aix-lsp {__version__}",
        base=subject.name if subject.adapter else "",
        base_licence=subject.licence,
        parameters=subject.parameters,
        trained_parameters=_trainable(subject.model),
        source=settings.source.kind,
        languages=tally.languages - held_out_languages,
        held_out_languages=held_out_languages,
        characters=tally.characters,
        settings={
            **subject.settings,
            "learning rate": f"{rates.rate:.2g} ({'Muon and AdamW' if rates.muon else 'AdamW'}, {rates.schedule})",
            "tokens of a row": min(settings.sequence, subject.max_positions),
            "rows of a step": settings.batch * loop.accumulate,
            "share with a hole": samples.fim_rate,
            "of these suffix first": samples.spm_rate,
            "of these random spans": samples.random_span_rate,
            "share with snippets of other files": samples.snippet_rate,
            "seed": settings.seed,
        },
        steps=state.step,
        tokens=state.tokens,
        minutes=state.seconds / 60,
        ended=_ENDED.get(outcome.reason, outcome.reason),
        training_loss=log.steps[-1][1] if log.steps else None,
        before=log.held_out[0][2] if log.held_out else {},
        after=after,
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """Passes on how the run goes, and writes it down."""

    log: LossLog
    watch: Watch
    main: bool

    def step(self, report: StepReport) -> None:
        if self.main:
            self.log.step(report)
            self.watch.step(report)

    def validation(self, found: Validation) -> None:
        if self.main:
            self.log.validation(found)
            self.watch.validation(found)


@contextmanager
def _explained(settings: TuneSettings) -> Iterator[None]:
    """Say in one line what to do about a GPU without room."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        four = "" if settings.four_bit or settings.init is not None else ", or add --four-bit"
        raise TrainingError(f"the GPU's memory does not suffice; lower --batch or --sequence{four}") from None


def _trainable(model: Any) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())

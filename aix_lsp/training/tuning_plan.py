"""What a training run was asked to do, whether it can be, and what follows for its length and its rates."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aix_lsp.engine.adapter import CONFIG
from aix_lsp.training.data import Source
from aix_lsp.training.loop import LoopSettings, TrainingError
from aix_lsp.training.lora import TARGETS
from aix_lsp.training.optim import OptimizerSettings
from aix_lsp.training.samples import SamplerSettings

STRETCH: Final = 800
"""Characters of a file for one sample and pass: fewer than a corpus needs, because a workspace is small."""

_MOST_ACCUMULATED: Final = 8
_FEWEST_STEPS_OF_A_PASS: Final = 10
_VALIDATIONS: Final = 10
_REPORTS: Final = 50


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """What to train and how. Exactly one of `model` (a name or folder, gets an adapter) and `init` (a TOML with the
    sizes of a new model) is given.

    The run ends after `steps`, `epochs` passes over the files or `minutes`, whichever comes first, or when the held-out
    loss was not the lowest `patience` times in a row (0: never). `batch` rows of `sequence` tokens are run at once and
    `accumulate` times before a step (0: up to eight, fewer for little data). `rate` 0 takes one that fits the size.
    """

    source: Source
    out: Path
    model: str = ""
    init: Path | None = None
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05
    targets: tuple[str, ...] = TARGETS
    four_bit: bool = False
    epochs: float | None = None
    steps: int | None = None
    minutes: float | None = None
    batch: int = 2
    accumulate: int = 0
    rate: float = 0.0
    sequence: int = 1024
    samples: SamplerSettings = field(default_factory=lambda: SamplerSettings(stretch=STRETCH))
    held_out: float = 0.1
    patience: int = 3
    seed: int = 0
    resume: bool = False
    checkpoint_minutes: float = 2.0


def workplace(out: Path) -> Path:
    """Where a run for the folder `out` keeps what is not finished."""
    resolved = out.expanduser().resolve()
    return resolved.with_name(f"{resolved.name}.unfinished")


def check(settings: TuneSettings, work: Path) -> None:
    """Everything that can be told before any work is done."""
    out = settings.out.expanduser().resolve()
    if bool(settings.model) == (settings.init is not None):
        raise TrainingError("say what to train: --model NAME (an adapter for it) or --init SIZES.toml (a new model)")
    if settings.four_bit and settings.init is not None:
        raise TrainingError("--four-bit goes with --model: only a base that is not trained itself can be in 4 bits")
    for name, value, least in (
        ("--batch", settings.batch, 1),
        ("--accumulate", settings.accumulate, 0),
        ("--patience", settings.patience, 0),
        ("--sequence", settings.sequence, 64),
        ("--steps", 1 if settings.steps is None else settings.steps, 1),
    ):
        if value < least:
            raise TrainingError(f"{name} must be at least {least}, not {value}")
    for name, number in (("--epochs", settings.epochs), ("--minutes", settings.minutes)):
        if number is not None and not 0 < number < math.inf:
            raise TrainingError(f"{name} must be more than 0, not {number}")
    if not 0 <= settings.rate < math.inf:
        raise TrainingError(f"--lr must be more than 0, not {settings.rate}")
    if not 0 <= settings.held_out < 1:
        raise TrainingError(f"--held-out must be at least 0 and less than 1, not {settings.held_out}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "a finished training" if (out / CONFIG).exists() or (out / "config.json").exists() else "files"
        raise TrainingError(f"{out} already holds {what}; choose another --out")
    if work.exists() and not settings.resume:
        raise TrainingError(f"{work} holds an unfinished run: add --resume to go on with it, or delete that folder")
    if settings.resume and not (work / "checkpoint").exists():
        raise TrainingError(f"there is nothing to resume: {work} holds no checkpoint; leave --resume out")


def loop_settings(settings: TuneSettings, rows: int, processes: int) -> LoopSettings:
    """How long a run takes, from the number of rows of a pass over the files and the number of processes."""
    batches = max(math.ceil(rows / (settings.batch * processes)), 1)
    accumulate = settings.accumulate or min(max(batches // _FEWEST_STEPS_OF_A_PASS, 1), _MOST_ACCUMULATED)
    epochs = settings.epochs
    if epochs is None and settings.steps is None and settings.minutes is None:
        epochs = 3.0
    counts = [settings.steps] if settings.steps is not None else []
    if epochs is not None:
        counts.append(max(math.ceil(epochs * batches / accumulate), 1))
    steps = min(counts, default=None)
    return LoopSettings(
        steps=steps,
        minutes=settings.minutes,
        accumulate=accumulate,
        validate_every=max(steps // _VALIDATIONS, 10) if steps is not None else 50,
        patience=settings.patience or None,
        checkpoint_minutes=settings.checkpoint_minutes,
        report_every=min(max(steps // _REPORTS, 1), 10) if steps is not None else 10,
    )


def rate_settings(settings: TuneSettings, parameters: int) -> OptimizerSettings:
    """The rates for a model with so many parameters."""
    if settings.init is not None:
        return OptimizerSettings(rate=settings.rate or OptimizerSettings().rate)
    # 2e-4 suits 7 billion parameters (Dettmers et al. 2023, section 4); small models bear and want more.
    rate = settings.rate or min(max(2e-4 * math.sqrt(7e9 / parameters), 1e-4), 5e-3)
    return OptimizerSettings(
        rate=rate, muon=False, weight_decay=0.0, betas=(0.9, 0.999), schedule="cosine", warmup=0.05
    )


def product_format(device: str) -> Any:
    """The number format of matrix products: bfloat16 where it is quick."""
    import torch

    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device == "cpu":
        quick: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return torch.bfloat16 if quick.get("avx512_bf16") or quick.get("amx_bf16") else torch.float32
    return torch.float32

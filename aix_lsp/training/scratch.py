"""A process that trains all weights of a model on prepared pieces; the launcher starts one or several of it.

    python -m torch.distributed.run --standalone --nproc-per-node 2 -m aix_lsp.training.scratch SPEC.json

On a processor one process with one thread per core is the fastest way: two cores then share no matrix product, only a
gradient once a step.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aix_lsp.training.averaging import average_into
from aix_lsp.training.corpus.build import usable_cores
from aix_lsp.training.folders import replaced_folder
from aix_lsp.training.launch import ATTENDED, end_with_launcher
from aix_lsp.training.loop import LoopSettings, StepReport, TrainingError, Validation, make_accelerator, train
from aix_lsp.training.optim import OptimizerSettings
from aix_lsp.training.piece_store import PieceArrays, read_shards
from aix_lsp.training.rows import Batch, Feed

if TYPE_CHECKING:
    from aix_lsp.training.objective import Objective, Weights


@dataclass(frozen=True, slots=True)
class Spec:
    """What one run trains on what. `start` is a model's folder, `out` gets the run: `checkpoint/`, `progress.jsonl`
    and at the end `model/`. `tokens` are those of one process in one batch; `sequence` the lengths of rows. `compiled`
    is a wish: without a compiler on the machine the pass runs as it is. `keep` is the share of the start's
    weights in the finished ones. `ahead` is the id of the marker before a suffix, where that is asked for an answer as
    well (`Weights.ahead`)."""

    start: str
    pieces: str
    held_out: str
    out: str
    loop: LoopSettings
    rates: OptimizerSettings
    weights: Weights
    sequence: tuple[int, ...] = (512, 1024)
    tokens: int = 8192
    held_out_tokens: int = 100_000
    compiled: bool = True
    keep: float = 0.0
    seed: int = 0
    ahead: int | None = None

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Spec:
        """What `write` wrote."""
        from aix_lsp.training.objective import Weights

        data = json.loads(path.read_text(encoding="utf-8"))
        rates = data["rates"] | {"betas": tuple(data["rates"]["betas"])}
        return cls(
            **data
            | {
                "loop": LoopSettings(**data["loop"]),
                "rates": OptimizerSettings(**rates),
                "weights": Weights(**data["weights"]),
                "sequence": tuple(data["sequence"]),
            }
        )


def run(spec: Spec) -> None:
    """Train, and leave the weights (float32) in `out/model`; the run goes on where an interrupted one stopped."""
    import torch
    from transformers import AutoModelForCausalLM

    from aix_lsp.training.objective import Objective

    if not torch.cuda.is_available():
        torch.set_num_threads(max(usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1))
    torch.manual_seed(spec.seed)
    accelerator = make_accelerator()
    out = Path(spec.out)
    model: Any = AutoModelForCausalLM.from_pretrained(spec.start, dtype=torch.float32, attn_implementation="sdpa")
    compiled = spec.compiled and _can_compile(accelerator.device.type)
    objective = Objective(model, spec.weights, compiled=compiled).to(accelerator.device)
    arrays = read_shards(Path(spec.pieces))
    rank, world = accelerator.process_index, accelerator.num_processes
    feed = Feed(arrays, spec.sequence, spec.tokens, spec.seed, rank, world, spec.ahead)
    held_out = _held_out(spec, read_shards(Path(spec.held_out)))
    log = _Log(out / "progress.jsonl", accelerator.is_main_process)
    outcome = train(
        objective,
        lambda skip: feed.batches(skip=skip),
        spec.loop,
        spec.rates,
        folder=out / "checkpoint",
        about={"start": Path(spec.start).name, "pieces": len(arrays), "seed": spec.seed, "tokens": spec.tokens},
        validate=lambda: _validate(objective, held_out, accelerator),
        on_report=log.step,
        on_validation=log.validation,
        accelerator=accelerator,
    )
    if accelerator.is_main_process:
        if spec.keep:
            average_into(model, AutoModelForCausalLM.from_pretrained(spec.start, dtype=torch.float32), spec.keep)
        with replaced_folder(out / "model") as new:
            model.save_pretrained(new)
        log.write({"done": outcome.reason, **asdict(outcome.state)})
    accelerator.wait_for_everyone()
    accelerator.end_training()


def _can_compile(device: str) -> bool:
    """Whether there is what compiling needs: a C++ compiler for a processor, Triton for a GPU."""
    if device == "cpu":
        return any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++", "cl") if name)
    return find_spec("triton") is not None


def _held_out(spec: Spec, arrays: PieceArrays) -> Sequence[Batch]:
    feed = Feed(arrays, spec.sequence, spec.tokens, seed=1, ahead=spec.ahead)
    batches: Iterator[Batch] = feed.batches()
    return [next(batches) for _ in range(max(min(spec.held_out_tokens, len(arrays.ids)) // spec.tokens, 1))]


def _validate(objective: Objective, batches: Sequence[Batch], accelerator: Any) -> Mapping[str, float]:
    """Losses of the held-out batches by part, and the weighted one."""
    from aix_lsp.training.objective import measured

    tally, loss = measured(objective, batches, accelerator)
    return {"loss": loss, **tally.means()}


class _Log:
    """The run's progress as JSON lines, by the first process."""

    def __init__(self, path: Path, active: bool) -> None:
        self._path = path if active else None
        if active:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._end_line(path)

    @staticmethod
    def _end_line(path: Path) -> None:
        """Take off a last line that a full disk cut short: the next entry would go on with it."""
        data = path.read_bytes() if path.exists() else b""
        if data and not data.endswith(b"\n"):
            os.truncate(path, data.rfind(b"\n") + 1)

    def step(self, report: StepReport) -> None:
        """One report."""
        self.write({"kind": "step", **asdict(report)})

    def validation(self, found: Validation) -> None:
        """One validation."""
        self.write({"kind": "validation", **asdict(found)})

    def write(self, entry: Mapping[str, Any]) -> None:
        """One line."""
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")


def main() -> None:
    """The process's start."""
    if ATTENDED in sys.argv[2:]:
        end_with_launcher()
    try:
        run(Spec.read(Path(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit(130)
    except (TrainingError, ValueError, OSError) as error:
        sys.exit(f"aix-lsp: {error}")
    except RuntimeError as error:
        # the library's own, out of memory for one: its trace for those who look, and a line for all
        traceback.print_exc()
        sys.exit(f"aix-lsp: {' '.join(str(error).split())[:300]}")


if __name__ == "__main__":
    main()

"""Files that are not trained on tell when to stop, and which of the weights so far are the best."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aix_lsp.files import replaced_file
from aix_lsp.training.pieces import Part, Piece
from aix_lsp.training.rows import collate, packed
from aix_lsp.training.tuning_feed import gathered

if TYPE_CHECKING:
    from aix_lsp.training.loop import StepReport, Validation
    from aix_lsp.training.objective import Objective, Tally
    from aix_lsp.training.rows import Batch

_ANSWERS: Final = ("psm_first", "psm", "spm_first", "spm")


class HeldOut:
    """The loss of files that are not trained on, and the weights that were best on them, kept in `folder`.

    The loss that decides is that of the answers (nats per token; of the text where there are no answers): what stands
    before them is context, which is easy to learn by heart. The samples are drawn once and stay the same.
    """

    def __init__(
        self,
        objective: Objective,
        pieces: Iterable[Piece],
        folder: Path,
        *,
        length: int,
        rows: int,
        most_rows: int,
        accelerator: Any,
    ) -> None:
        """At most `most_rows` rows of `length` tokens are looked at, `rows` at a time."""
        self._objective = objective
        self._path = folder / "best.safetensors"
        self._accelerator = accelerator
        found = iter(list(islice(packed(gathered(pieces), length, seed=0), most_rows)))
        self._batches: list[Batch] = []
        while taken := list(islice(found, rows)):
            self._batches.append(collate(taken))

    def __bool__(self) -> bool:
        return bool(self._batches)

    def __call__(self) -> Mapping[str, float]:
        """Losses by part, and the one that decides as "loss"; the same in all processes."""
        from aix_lsp.training.objective import measured

        training = self._objective.training
        self._objective.eval()
        tally, _ = measured(self._objective, self._batches, self._accelerator)
        self._objective.train(training)
        losses = tally.means()
        return {"loss": _deciding(losses, tally), **losses}

    def keep(self) -> None:
        """Write the weights as they are now in place of the best ones. Raises OSError."""
        from safetensors.torch import save

        from aix_lsp.training.checkpoints import trained

        with replaced_file(self._path) as file:
            file.write(save(trained(self._objective)))

    def restore(self) -> bool:
        """Set the best weights again; False when none were kept."""
        if not self._path.is_file():
            return False
        import torch
        from safetensors.torch import load_file

        own = dict(self._objective.named_parameters())
        with torch.no_grad():
            for name, weight in load_file(self._path).items():
                own[name].copy_(weight)
        return True


def _deciding(losses: Mapping[str, float], tally: Tally) -> float:
    answers = [Part[name.upper()] for name in _ANSWERS if name in losses]
    number = sum(float(tally.counts[part]) for part in answers)
    if number:
        return sum(float(tally.sums[part]) for part in answers) / number
    return losses.get("text", math.inf)


@dataclass(slots=True)
class LossLog:
    """All losses of a run so far, on disk as JSON lines, so that a run that goes on has those before.

    `steps` are (step, training loss); `held_out` are (step, deciding loss, losses by part), step 0 before training.
    """

    path: Path
    steps: list[tuple[int, float]] = field(default_factory=list)
    held_out: list[tuple[int, float, dict[str, float]]] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> LossLog:
        """The log at `path`, with what it has. A line that an interrupted write cut off is passed over."""
        log = cls(path)
        if path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                log._take(entry)
        return log

    def step(self, report: StepReport) -> None:
        """Add a report of training."""
        self._add({"step": report.step, "loss": report.loss})

    def validation(self, found: Validation) -> None:
        """Add a validation."""
        self._add({"step": found.step, "held_out": found.loss, "parts": dict(found.parts)})

    def _add(self, entry: dict[str, Any]) -> None:
        self._take(entry)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def _take(self, entry: dict[str, Any]) -> None:
        # A run that goes on begins at its checkpoint, and does the steps behind it again.
        step: int = entry["step"]
        if "held_out" in entry:
            self.held_out = [one for one in self.held_out if one[0] < step]
            self.held_out.append((step, entry["held_out"], entry["parts"]))
        else:
            self.steps = [one for one in self.steps if one[0] < step]
            self.steps.append((step, entry["loss"]))

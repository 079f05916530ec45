"""The catalog as somebody chooses from it: what is on disk, what this machine can run, and under which terms.

Run as a module (`python -m aix_lsp.engine.model_list`) with the question on its stdin; it is no command for people. It
is a process of its own because the look at the machine imports PyTorch: a window that shares its model does without,
and on a GPU the look would leave a context behind that takes hundreds of megabytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import CatalogEntry, embedded, known
from aix_lsp.engine.choice import REFERENCE, best_precision, whole_on_disk
from aix_lsp.engine.hardware import Machine, look_around
from aix_lsp.engine.weight_memory import weight_bytes
from aix_lsp.settings import ModelSettings

MODULE = "aix_lsp.engine.model_list"


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model of the catalog on this machine. `size_gb` are its weights in 16 bits, which is what a download fetches;
    `fits` says whether `auto` would find it usable here, licence aside, and `note` why or why not."""

    name: str
    parameters: int
    licence: str
    commercial: bool
    on_disk: bool
    fits: bool
    size_gb: float
    note: str

    def to_dict(self) -> dict[str, Any]:
        """As `aix.models` tells it."""
        return {
            "name": self.name,
            "parameters": self.parameters,
            "licence": self.licence,
            "commercial": self.commercial,
            "onDisk": self.on_disk,
            "fits": self.fits,
            "sizeGb": self.size_gb,
            "note": self.note,
        }


def list_models(
    settings: ModelSettings, current: str, look: Callable[[], Machine], on_disk: Callable[[str], bool]
) -> list[ListedModel]:
    """All models of the catalog, the smallest first. `current` names the one that runs, "" for none of them: its memory
    would be free for another. A machine that cannot be looked at runs the embedded one alone."""
    entries = known()
    try:
        machine, trouble = _without(entries.get(current), settings, look()), ""
    except ModelError as error:
        machine, trouble = None, str(error)
    except (ImportError, OSError) as error:
        machine, trouble = None, f"PyTorch cannot be loaded: {error}"
    listed = [_listed(entry, settings, current, machine, trouble, on_disk) for entry in entries.values()]
    return sorted(listed, key=lambda model: model.parameters)


def _listed(
    entry: CatalogEntry,
    settings: ModelSettings,
    current: str,
    machine: Machine | None,
    trouble: str,
    on_disk: Callable[[str], bool],
) -> ListedModel:
    assert entry.counts is not None, "every model of the table has its counts"
    is_embedded = entry.name == embedded().name
    if is_embedded:
        fits, note = True, "part of aix-lsp; always runs"
    elif entry.name == current:
        fits, note = True, "runs now"
    elif machine is None:
        fits, note = False, trouble
    else:
        precision, note = best_precision(entry, settings, machine)
        fits = precision is not None
    if not entry.commercial and entry.name != REFERENCE:
        note += "; auto does not take it for its licence, name it to use it"
    return ListedModel(
        name=entry.name,
        parameters=entry.counts.parameters,
        licence=entry.licence,
        commercial=entry.commercial,
        on_disk=is_embedded or on_disk(str(entry.source)),
        fits=fits,
        size_gb=round(entry.memory() / 1e9, 2),
        note=note,
    )


def _without(current: CatalogEntry | None, settings: ModelSettings, machine: Machine) -> Machine:
    """The machine as it is once the model that runs has gone. Where nobody says in which precision it runs it counts
    with the least, so that nothing is promised that does not fit."""
    if current is None or current.counts is None or machine.free_bytes is None or current.name == embedded().name:
        return machine
    precision = "int4" if settings.quantization == "auto" else settings.quantization
    held = weight_bytes(current.counts, machine.dtype, precision)
    return replace(machine, free_bytes=machine.free_bytes + held)


def main() -> None:
    """Entry of the process: `{"settings": ..., "current": name}` comes in, a JSON list goes out."""
    question = json.loads(sys.stdin.read())
    settings = ModelSettings.model_validate(question["settings"])
    models = list_models(
        settings, question["current"], lambda: look_around(settings.device, settings.dtype), whole_on_disk
    )
    sys.stdout.write(json.dumps([model.to_dict() for model in models]))


if __name__ == "__main__":
    main()

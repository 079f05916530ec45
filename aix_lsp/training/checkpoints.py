"""Checkpoints of a run: whole or not there at all, the last one and the best one."""

from __future__ import annotations

import errno
import glob
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

_STATE, _WEIGHTS, _OPTIMIZERS = "state.json", "weights.safetensors", "optimizers.pt"


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class RunState:
    """How far a run has come.

    `batches` were taken from the feed by each process. `seconds` are those of training, over all stretches of an
    interrupted run. `best` is the lowest held-out loss so far and `since` the validations since then.
    """

    step: int = 0
    batches: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best: float | None = None
    since: int = 0

    def changed(self, **values: Any) -> RunState:
        """A copy with other values."""
        return replace(self, **values)


def save(
    folder: Path,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    state: RunState,
    about: Mapping[str, Any],
) -> None:
    """Write a checkpoint in place of the one before, of the weights that are trained. `about` names the run: a
    checkpoint of another run is not taken up. Raises OSError (a full disk); the one before then stays."""
    import torch
    from safetensors.torch import save_file

    remove_partial(folder)
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    try:
        temporary.mkdir(parents=True)
        with written(folder):
            save_file(trained(model), temporary / _WEIGHTS)
            torch.save([optimizer.state_dict() for optimizer in optimizers], temporary / _OPTIMIZERS)
        (temporary / _STATE).write_text(json.dumps({"state": asdict(state), "about": dict(about)}), encoding="utf-8")
        replace_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load(
    folder: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], about: Mapping[str, Any]
) -> RunState | None:
    """Take up a checkpoint: weights and optimizers are set. None when there is none.

    Raises CheckpointError for a damaged one and for one of another run.
    """
    if not folder.exists() and folder.with_name(f"{folder.name}.old").exists():
        # interrupted between the two renames; of several processes one is the first to mend it
        with suppress(FileNotFoundError):
            folder.with_name(f"{folder.name}.old").rename(folder)
    if not folder.exists():
        return None
    import torch
    from safetensors.torch import load_file

    try:
        stored = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        weights = load_file(folder / _WEIGHTS)
        listed = torch.load(folder / _OPTIMIZERS, map_location="cpu", weights_only=True)
        state = RunState(**stored["state"])
    except Exception as error:  # safetensors and pickle raise classes of their own
        raise CheckpointError(f"the checkpoint in {folder} is damaged: {' '.join(str(error).split())[:120]}") from error
    differ = sorted(key for key in {*about, *stored["about"]} if about.get(key) != stored["about"].get(key))
    if differ:
        raise CheckpointError(f"{folder} is the checkpoint of another run: {', '.join(differ)} differ")
    own = dict(model.named_parameters())
    if weights.keys() != trained(model).keys() or len(listed) != len(optimizers):
        raise CheckpointError(f"the checkpoint in {folder} is that of another model")
    with torch.no_grad():
        for name, weight in weights.items():
            own[name].copy_(weight)
    for optimizer, entry in zip(optimizers, listed, strict=True):
        optimizer.load_state_dict(entry)
    return state


def trained(model: nn.Module) -> dict[str, torch.Tensor]:
    """Name -> weight of everything that is trained, each once, on the processor and contiguous."""
    return {
        name: weight.detach().cpu().contiguous() for name, weight in model.named_parameters() if weight.requires_grad
    }


def replace_folder(new: Path, folder: Path) -> None:
    """Put a finished folder in the place of another. One of the two is there at any moment, the old one as `.old`."""
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def remove_partial(folder: Path) -> None:
    """Remove what killed processes left half written beside `folder`, under its name and theirs."""
    for path in folder.parent.glob(f"{glob.escape(folder.name)}.*.partial"):
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Weights are written inside; a disk that is full, which each library tells in a way of its own, is an OSError."""
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        raise OSError(errno.ENOSPC, "could not be written (is the disk full?)", str(folder)) from error

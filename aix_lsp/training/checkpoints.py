"""Checkpoints of a run: whole or not there at all, the last one and the best one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aix_lsp.training.folders import replaced_folder, restore

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

    with replaced_folder(folder) as new:
        save_file(trained(model), new / _WEIGHTS)
        torch.save([optimizer.state_dict() for optimizer in optimizers], new / _OPTIMIZERS)
        (new / _STATE).write_text(json.dumps({"state": asdict(state), "about": dict(about)}), encoding="utf-8")


def load(
    folder: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], about: Mapping[str, Any]
) -> RunState | None:
    """Take up a checkpoint: weights and optimizers are set. None when there is none.

    Raises CheckpointError for a damaged one and for one of another run.
    """
    restore(folder)
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

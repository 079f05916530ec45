"""Faults of the model: its files, its memory, its thread, its process, and the clock while it serves."""

from __future__ import annotations

from tests.faults import model_clock, model_files, model_memory, model_process, model_thread
from tests.faults.fault import Stage, fault

__all__ = ["model_clock", "model_files", "model_memory", "model_process", "model_thread"]


@fault("the embedded model answers, and the user is told once", group="model", quick=False)
async def model_folder_missing(stage: Stage) -> str:
    """The folder that `model.name` names is not there."""
    return await model_files.answers_with_embedded(stage, stage.folder / "none", "does not exist")

"""Faults of the model."""

from __future__ import annotations

from tests.faults.fault import Stage, fault


@fault("the embedded model answers, and the user is told once", group="model")
async def model_folder_missing(stage: Stage) -> str:
    """The folder that `model.name` names is not there."""
    missing = stage.folder / "none"
    editor = await stage.editor(
        settings={"model": {"name": str(missing), "share": "off"}}, env={"AIX_LSP_MODEL__NAME": str(missing)}
    )
    await editor.works()
    told = await editor.until_shown("model")
    editor.was_told_once("model")
    return told

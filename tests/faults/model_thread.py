"""A model thread that raises, that a library wants to end, or that does not come back."""

from __future__ import annotations

import asyncio

from aix_lsp.cli.lsp_client import inline_params
from tests.e2e.conftest import status
from tests.faults.fault import ALONE, Editor, Stage, fault
from tests.faults.model_files import EMBEDDED_ANSWERS, told_only, until_told_by_status, whole_model
from tests.faults.model_injection import LOADING, SERVING, Injected


async def _with_faults(stage: Stage, injected: Injected, model: str = "aix-mini") -> Editor:
    editor = await stage.editor(env={**ALONE, **injected.environment, "AIX_LSP_MODEL__NAME": model})
    await editor.works()
    return editor


@fault("the model is loaded again, offers come again, and the user is told once", group="model")
async def model_thread_raises(stage: Stage) -> str:
    """A kernel fails in one request."""
    return await _fails_and_is_loaded_again(stage, "error")


@fault("the model is loaded again, offers come again, and the user is told once", group="model", quick=False)
async def library_that_exits_while_serving(stage: Stage) -> str:
    """A library calls sys.exit in one request, and a kernel fails in the next."""
    return await _fails_and_is_loaded_again(stage, "exit", "error")


async def _fails_and_is_loaded_again(stage: Stage, *kinds: str) -> str:
    injected = Injected(stage)
    editor = await _with_faults(stage, injected)
    for kind in kinds:
        injected.set(SERVING, f"{kind} 1")
        await editor.works(offers=False)
        assert injected.happened(SERVING)
        await editor.works()
    return await told_only(editor, "the model failed")


@fault("the embedded model takes its place, and each is told once", group="model", quick=False)
async def model_that_fails_for_ever(stage: Stage) -> str:
    """Every pass fails, until another model answers."""
    injected = Injected(stage)
    editor = await _with_faults(stage, injected, str(whole_model(stage.folder / "broken")))
    injected.set(SERVING, "error 4")
    for _ in range(4):
        await editor.works(offers=False)
    told = await editor.until_shown("within a minute")
    assert "the embedded model aix-mini answers" in told, told
    await told_only(editor, "within a minute", "is loaded again")
    return told


@fault("the embedded model answers, and the user is told once", group="model", quick=False)
async def library_that_exits_while_loading(stage: Stage) -> str:
    """A library calls sys.exit as the model is loaded."""
    injected = Injected(stage)
    injected.set(LOADING, "exit 1")
    folder = whole_model(stage.folder / "broken")
    editor = await stage.editor(env={**ALONE, **injected.environment, "AIX_LSP_MODEL__NAME": str(folder)})
    told = await told_only(editor, "SystemExit")
    assert EMBEDDED_ANSWERS in told, told
    return told.replace(str(stage.folder), "")


@fault("requests are answered, the user is told once, and offers come again with the model", group="model", quick=False)
async def model_thread_hangs(stage: Stage) -> str:
    """A pass does not come back for a while."""
    injected = Injected(stage, stuck_s=1.0)
    editor = await _with_faults(stage, injected)
    injected.set(SERVING, "hang 1")
    await editor.works(offers=False)
    told = await editor.until_shown("has not moved")
    await editor.works(offers=False)
    now = (await status(editor.client))["status"]
    assert now["state"] == "failed", now
    injected.over(SERVING)
    await until_told_by_status(editor, "is ready")
    await told_only(editor, "has not moved")
    return told


@fault("requests are answered empty while the model loads, and offers come with it", group="model", quick=False)
async def load_that_hangs(stage: Stage) -> str:
    """A load that does not come back for a while."""
    injected = Injected(stage)
    injected.set(LOADING, "hang 1")
    env = {**ALONE, **injected.environment, "AIX_LSP_MODEL__NAME": "aix-mini", "AIX_LSP_MODEL__LOAD_WAIT_S": "0.2"}
    editor = await stage.editor(env=env, ready=False)
    for _ in range(2):
        await editor.works(offers=False)
    now = (await status(editor.client))["status"]
    assert now["state"] == "loading", now
    injected.over(LOADING)
    await until_told_by_status(editor, "is ready")
    await told_only(editor)
    return f"{now['state']}: {now['message']}"


@fault("nothing is left of a server that is told to go while its model hangs", group="model", quick=False)
async def editor_closes_while_the_model_hangs(stage: Stage) -> str:
    """A pass does not come back, and the editor says shutdown and exit."""
    injected = Injected(stage)
    editor = await _with_faults(stage, injected)
    injected.set(SERVING, "hang 1")
    editor.mirror.open("untitled:a", "def total(amounts):\n    return su")
    _, answer = editor.client.start_request("textDocument/inlineCompletion", inline_params("untitled:a", 1, 13))
    await asyncio.sleep(0)
    code = await editor.client.shutdown()
    assert code == 0, code
    answer.cancel()
    return "the process ended with code 0"

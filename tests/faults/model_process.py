"""The process that holds the model for all windows: killed, killed again and again, or standing still."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import psutil

from aix_lsp.cli.lsp_client import inline_params
from tests.faults.fault import Editor, Stage, fault
from tests.faults.model_files import WEIGHTS, cut, told_only, whole_model
from tests.faults.model_injection import SERVING, Injected
from tests.model_host import hosts


def _own_host(stage: Stage, injected: Injected) -> Mapping[str, str]:
    """An environment in which the servers of this fault share a host of their own, which leaves with them."""
    place = stage.folder / "run"
    place.mkdir(mode=0o700)
    return {
        **injected.environment,
        "XDG_RUNTIME_DIR": str(place),
        "AIX_LSP_MODEL__NAME": "aix-mini",
        "AIX_LSP_MODEL__SHARE": "on",
        "AIX_LSP_MODEL__SHARE_LINGER_S": "0",
    }


def _host(stage: Stage) -> psutil.Process:
    """The one host of this fault."""
    found = hosts("XDG_RUNTIME_DIR", str(stage.folder / "run"))
    assert len(found) == 1, f"{len(found)} hosts"
    return found[0]


async def _ask(editor: Editor) -> asyncio.Future[dict[str, list[object]]]:
    """A request that is answered later."""
    uri = "untitled:asked"
    if uri not in editor.mirror.documents:
        editor.mirror.open(uri, "def total(amounts):\n    return su")
    _, answer = editor.client.start_request("textDocument/inlineCompletion", inline_params(uri, 1, 13))
    return answer


@fault("the request is answered by another host, and nobody is bothered", group="model", quick=False)
async def host_killed_while_serving(stage: Stage) -> str:
    """Killed in the middle of a pass."""
    injected = Injected(stage)
    editor = await stage.editor(env=_own_host(stage, injected))
    await editor.works()
    injected.set(SERVING, "hang 1")
    answer = await _ask(editor)
    await injected.until_hanging(SERVING)
    _host(stage).kill()
    injected.over(SERVING)
    items = (await asyncio.wait_for(answer, 120))["items"]
    assert items, "the request was answered empty"
    editor.mirror.close("untitled:asked")
    await told_only(editor)
    return f"{len(items)} offers from another host"


@fault("a model in the server's own process takes its place, and the user is told once", group="model", quick=False)
async def host_killed_again_and_again(stage: Stage) -> str:
    """Killed as often as it comes."""
    injected = Injected(stage)
    editor = await stage.editor(env=_own_host(stage, injected))
    await editor.works()
    for _ in range(4):
        _host(stage).kill()
        await editor.works()
    return await told_only(editor, "times within a minute")


@fault("another host answers once it is given up, and nobody waits for ever", group="model", quick=False)
async def host_stands_still(stage: Stage) -> str:
    """A pass of the host's model does not come back."""
    injected = Injected(stage, stuck_s=2.0)
    editor = await stage.editor(env=_own_host(stage, injected))
    await editor.works()
    before = _host(stage).pid
    injected.set(SERVING, "hang 1")
    answer = await _ask(editor)
    async with asyncio.timeout(120):
        while psutil.pid_exists(before) and _is_host(before):
            await asyncio.sleep(0.05)
    injected.over(SERVING)
    items = (await asyncio.wait_for(answer, 120))["items"]
    editor.mirror.close("untitled:asked")
    await editor.works()
    told = editor.shown()
    assert len(told) <= 1, told
    return f"{len(items)} offers; told: {told}"


@fault("each window is told once that the embedded model answers", group="model", quick=False)
async def shared_model_broken(stage: Stage) -> str:
    """Two windows, one after the other, share a model whose weights are cut short."""
    folder = whole_model(stage.folder / "broken")
    cut(WEIGHTS, 0.6)(folder)
    env = {**_own_host(stage, Injected(stage)), "AIX_LSP_MODEL__NAME": str(folder)}
    editors = [await stage.editor(env=env), await stage.editor(env=env)]
    _host(stage)
    return (await told_only(editors[0], "is damaged") and await told_only(editors[1], "is damaged")).replace(
        str(stage.folder), ""
    )


def _is_host(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False

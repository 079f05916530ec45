"""The system gives out no more watches: changes are looked for instead, and the user is told once."""

from __future__ import annotations

from tests.faults.fault import Stage, fault
from tests.faults.workspace_means import Asking, heron, idles, namespace

LIMIT = "The system's limit of watched folders is reached"


async def _follows(stage: Stage, name: str, most: int, folders: int = 0) -> str:
    heron(stage.workspace / "robin.py")
    editor = await stage.editor(wrapper=namespace(f'echo "$1" > /proc/sys/user/{name}', str(most)))
    asking = Asking(editor, stage.workspace)
    await asking.until("robin.py")
    for number in range(folders):
        (stage.workspace / f"more{number}").mkdir()
    await editor.until_shown(LIMIT)
    heron(stage.workspace / "shop" / "crane.py")
    await asking.until("robin.py", "shop/crane.py")
    (stage.workspace / "robin.py").unlink()
    await asking.until("shop/crane.py")
    await editor.works()
    editor.was_told_once(LIMIT)
    assert len(editor.shown()) == 1, editor.shown()
    return f"found by looking; idle at {await idles(editor):.0%} of a core"


@fault("at the limit of watches changes are found by looking, told once", group="workspace", quick=False)
async def watch_limit_reached(stage: Stage) -> str:
    return await _follows(stage, "max_inotify_watches", 1)


@fault("at the limit of inotify instances changes are found by looking, told once", group="workspace", quick=False)
async def inotify_instances_used_up(stage: Stage) -> str:
    return await _follows(stage, "max_inotify_instances", 0)


@fault("at the limit reached later changes are found by looking, told once", group="workspace", quick=False)
async def watch_limit_reached_later(stage: Stage) -> str:
    return await _follows(stage, "max_inotify_watches", 12, folders=20)

"""The folder itself goes, comes back, or is another one."""

from __future__ import annotations

import shutil

from tests.faults.fault import Editor, Stage, fault
from tests.faults.workspace_means import (
    TEXT,
    Asking,
    folder_status,
    heron,
    idles,
    in_namespace_of,
    namespace,
    settled,
    until,
)

_TMPFS = 'mount -t tmpfs -o size=1m,nr_inodes=100 none "$1"'

GONE = "cannot be read; completions work without it"


async def _lost(editor: Editor, asking: Asking) -> None:
    """What holds once the folder is away: told once, shown in the status, nothing quoted, edits kept."""
    await editor.until_shown(GONE)
    await asking.until()
    await until(lambda: _phase(editor, "failed"))
    await editor.works()


async def _phase(editor: Editor, phase: str) -> bool:
    folder = await folder_status(editor)
    return folder["phase"] == phase and not folder["indexing"]


@fault("a folder that is deleted is told once, and followed again when it is made anew", group="workspace")
async def workspace_deleted_and_made_again(stage: Stage) -> str:
    heron(stage.workspace / "robin.py")
    editor = await stage.editor()
    asking = Asking(editor, stage.workspace)
    await asking.until("robin.py")
    for name in ("crane", "stork"):
        shutil.rmtree(stage.workspace)
        await _lost(editor, asking)
        stage.workspace.mkdir()
        heron(stage.workspace / f"{name}.py")
        await asking.until(f"{name}.py")
        heron(stage.workspace / "tern.py")  # its changes are noticed again
        await asking.until(f"{name}.py", "tern.py")
    editor.was_told_once(GONE)
    return f"twice; idle at {await idles(editor):.0%} of a core"


@fault("a folder that is moved away quotes nothing, and does again when it is back", group="workspace", quick=False)
async def workspace_moved_away_and_back(stage: Stage) -> str:
    heron(stage.workspace / "robin.py")
    editor = await stage.editor()
    asking = Asking(editor, stage.workspace)
    await asking.until("robin.py")
    stage.workspace.rename(stage.folder / "elsewhere")
    await _lost(editor, asking)
    (stage.folder / "elsewhere").rename(stage.workspace)
    await asking.until("robin.py")
    heron(stage.workspace / "tern.py")
    await asking.until("robin.py", "tern.py")
    editor.was_told_once(GONE)
    return "followed again"


@fault("a folder that has become a file is one that is gone", group="workspace", quick=False)
async def workspace_replaced_by_a_file(stage: Stage) -> str:
    heron(stage.workspace / "robin.py")
    editor = await stage.editor()
    asking = Asking(editor, stage.workspace)
    await asking.until("robin.py")
    shutil.rmtree(stage.workspace)
    stage.workspace.write_text("x = 1\n")
    await _lost(editor, asking)
    editor.was_told_once(GONE)
    stage.workspace.unlink()
    stage.workspace.mkdir()
    heron(stage.workspace / "robin.py")
    await asking.until("robin.py")
    editor.was_told_once(GONE)
    return "followed again as a folder"


@fault(
    "a folder that is not there at the start is told once, and indexed when it comes", group="workspace", quick=False
)
async def workspace_that_is_not_there_at_the_start(stage: Stage) -> str:
    place = stage.folder / "later"
    editor = await stage.editor([place], ready=False)
    asking = Asking(editor, place)
    await _lost(editor, asking)
    place.mkdir()
    heron(place / "robin.py")
    await asking.until("robin.py")
    editor.was_told_once(GONE)
    assert editor.shown() == editor.shown(GONE), editor.shown()
    return "indexed when it came"


@fault(
    "a file system that is unmounted is told once, and followed when it is mounted again",
    group="workspace",
    quick=False,
)
async def workspace_unmounted_and_mounted_again(stage: Stage) -> str:
    place = stage.folder / "mounted" / "project"
    place.parent.mkdir()
    mount = f'{_TMPFS}; mkdir "$1/project"; printf %s "$2" > "$1/project/$3.py"'
    wrapper = namespace(mount, place.parent, TEXT.format("robin"), "robin", mount=True)
    editor = await stage.editor([place], ready=False, wrapper=wrapper)
    await settled(editor)
    asking = Asking(editor, place)
    await asking.until("robin.py")
    in_namespace_of(editor, 'umount -l "$1"', place.parent)
    await _lost(editor, asking)
    in_namespace_of(editor, mount, place.parent, TEXT.format("crane"), "crane")
    await asking.until("crane.py")
    in_namespace_of(editor, 'printf %s "$2" > "$1/tern.py"', place, TEXT.format("tern"))
    await asking.until("crane.py", "tern.py")
    editor.was_told_once(GONE)
    return f"idle at {await idles(editor):.0%} of a core"


@fault("a mount point that is empty for a while quotes nothing, and no word is said", group="workspace", quick=False)
async def mount_point_as_workspace_unmounted(stage: Stage) -> str:
    place = stage.folder / "mounted"
    place.mkdir()
    mount = f'{_TMPFS}; printf %s "$2" > "$1/$3.py"'
    editor = await stage.editor([place], wrapper=namespace(mount, place, TEXT.format("robin"), "robin", mount=True))
    asking = Asking(editor, place)
    await asking.until("robin.py")
    in_namespace_of(editor, 'umount -l "$1"', place)
    await asking.until()
    await editor.works()
    in_namespace_of(editor, mount, place, TEXT.format("crane"), "crane")
    await asking.until("crane.py")
    in_namespace_of(editor, 'printf %s "$2" > "$1/tern.py"', place, TEXT.format("tern"))
    await asking.until("crane.py", "tern.py")
    assert not editor.shown(), editor.shown()
    return "followed before, meanwhile and after"

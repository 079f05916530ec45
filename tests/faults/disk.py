"""The user's own folders: full, read-only, not there; the server answers on and keeps what it can."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.fault import Editor, NotHere, Stage, fault
from tests.faults.workspace_means import (
    Asking,
    heron,
    in_namespace_of,
    lesser_rights,
    namespace,
    quiet,
    said_no_traceback,
    settled,
)

_FILL = 'cat /dev/zero > "$1/fill" 2>/dev/null || :'
_TMPFS = "mount -t tmpfs -o size=64k,nr_inodes=1000 none"
_FULL = f'{_TMPFS} "$1"; mkdir "$1/tmp"; {_TMPFS} "$1/tmp"; {_FILL}'


async def _ends_well(editor: Editor) -> None:
    assert await editor.client.shutdown() == 0, "the server did not end well"


@fault(
    "with no room for cache, statistics, log file and page the server answers on and ends well",
    group="workspace",
    quick=False,
)
async def disk_full(stage: Stage) -> str:
    heron(stage.workspace / "robin.py")
    home = stage.folder / "home"
    log = stage.folder / "stderr"
    editor = await stage.editor(
        settings={"log": {"file": str(home / "aix.log"), "level": "debug"}, "inspect": {"socket": True}},
        env={"TMPDIR": str(home / "tmp"), "XDG_RUNTIME_DIR": stage.environment.get("XDG_RUNTIME_DIR", "")},
        wrapper=[*namespace(_FULL, home, mount=True), *quiet(log)],
    )
    asking = Asking(editor, stage.workspace)
    await asking.until("robin.py")
    heron(stage.workspace / "crane.py")
    await asking.until("crane.py", "robin.py")
    await editor.until_shown("the log file")
    shown = len(editor.shown())
    in_namespace_of(editor, _FILL, home / "tmp")  # a full one from the start would have been passed over
    for _ in range(2):
        answer = await editor.client.request("workspace/executeCommand", {"command": "aix.inspect"})
        assert answer is None, "a page that could not be written is said to be there"
    told = editor.shown("the page cannot be written")
    assert len(told) == 2, f"each call of the command has an answer, {editor.shown()}"
    assert len(editor.shown()) == shown + 2, editor.shown()
    await editor.works()
    editor.was_told_once("the log file")
    await _ends_well(editor)
    said_no_traceback(log)
    return "snippets, answers and the end as ever"


@fault("cache, state and configuration that cannot be written cost nothing else", group="workspace", quick=False)
async def home_that_cannot_be_written(stage: Stage) -> str:
    heron(stage.workspace / "robin.py")
    home = stage.folder / "home"
    home.chmod(0o500)
    log = stage.folder / "stderr"
    try:
        editor = await stage.editor(
            settings={"log": {"file": str(home / "aix.log")}}, wrapper=[*lesser_rights(), *quiet(log)]
        )
        asking = Asking(editor, stage.workspace)
        await asking.until("robin.py")
        await editor.until_shown("the log file")
        assert len(editor.shown()) == 1, editor.shown()
        await editor.works()
        await _ends_well(editor)
    finally:
        home.chmod(0o700)
    said_no_traceback(log)
    assert not list(home.iterdir()), "something was written nevertheless"
    return "told once of the log file"


@fault("a cache that is a file is none", group="workspace", quick=False)
async def cache_folder_that_is_a_file(stage: Stage) -> str:
    heron(stage.workspace / "robin.py")
    for name in ("cache", "state", "config"):
        (stage.folder / "home" / name).write_text("not a folder")
    log = stage.folder / "stderr"
    editor = await stage.editor(wrapper=quiet(log))
    await _told_of_the_log_alone(stage, editor)
    said_no_traceback(log)
    return "told once of the log file"


async def _told_of_the_log_alone(stage: Stage, editor: Editor) -> None:
    """All goes well, and the user hears that no log file is written, once."""
    await Asking(editor, stage.workspace).until("robin.py")
    await editor.until_shown("the log file")
    await editor.works()
    assert len(editor.shown()) == 1, editor.shown()
    await _ends_well(editor)


@fault("without a HOME the server works, and writes nothing in strange places", group="workspace", quick=False)
async def home_that_is_not_there(stage: Stage) -> str:
    heron(stage.workspace / "robin.py")
    (stage.folder / "home").rmdir()
    nowhere = str(stage.folder / "nowhere" / "at" / "all")
    places = dict.fromkeys(("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"), "")
    (stage.folder / "nowhere").write_text("so that no folder can be made here")
    log = stage.folder / "stderr"
    editor = await stage.editor(env={"HOME": nowhere, **places}, wrapper=quiet(log))
    await _told_of_the_log_alone(stage, editor)
    said_no_traceback(log)
    return "told once of the log file"


@fault("a kept index that is damaged is made anew without a word", group="workspace", quick=False)
async def kept_index_damaged_in_every_way(stage: Stage) -> str:
    for name in ("robin", "crane"):
        heron(stage.workspace / f"{name}.py")
    editor = await stage.editor()
    await settled(editor)
    await _ends_well(editor)
    kept = sorted(path for path in (stage.folder / "home" / "cache").rglob("*") if path.is_file())
    assert kept, "nothing was kept"
    seen = []
    for name, damage in DAMAGES.items():
        for path in kept:
            damage(path)
        editor = await stage.editor()
        await Asking(editor, stage.workspace).until("crane.py", "robin.py")
        assert not editor.shown(), (name, editor.shown())
        await editor.works(edits=2)
        await _ends_well(editor)
        seen.append(name)
    return ", ".join(seen)


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _of_another_version(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b"aix-store-1", b"aix-store-2", 1))


DAMAGES = {"cut": _cut, "of another version": _of_another_version}


@fault("a kept index that is another user's is neither read nor a hindrance", group="workspace", quick=False)
async def kept_index_of_another_user(stage: Stage) -> str:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise NotHere("only root can give a file to somebody else")
    heron(stage.workspace / "robin.py")
    editor = await stage.editor()
    await _ends_well(editor)
    cache = stage.folder / "home" / "cache"
    for path in (cache, *cache.rglob("*")):
        os.chown(path, 65534, 65534)
        path.chmod(0o700 if path.is_dir() else 0o600)
    log = stage.folder / "stderr"
    editor = await stage.editor(wrapper=[*lesser_rights(), *quiet(log)])
    assert (await settled(editor))["reused"] == 0, "another user's index was taken"
    await Asking(editor, stage.workspace).until("robin.py")
    assert not editor.shown(), editor.shown()
    await editor.works()
    await _ends_well(editor)
    said_no_traceback(log)
    return "read anew"

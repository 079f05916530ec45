"""Odd files and folders: nothing of them is waited for, followed or shown as garbage; the others are quoted as ever."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from pathlib import Path

from aix_lsp.uris import path_to_uri
from tests.faults.fault import NotHere, Stage, fault
from tests.faults.workspace_means import TEXT, Asking, heron, idles, lesser_rights, process_of, settled

MANY = {"retrieval": {"snippets": 20}}
MOST_MB = 8


@fault("links in circles end nothing, and what lies outside is not read through links", group="workspace")
async def links_in_circles_and_out_of_the_workspace(stage: Stage) -> str:
    root, outside = stage.workspace, stage.folder / "outside"
    outside.mkdir()
    heron(outside / "stork.py")
    heron(root / "robin.py")
    try:
        (root / "loop").symlink_to(".")
    except OSError:
        raise NotHere("no links here") from None
    (root / "shop" / "up").symlink_to("..")
    (root / "one.py").symlink_to("two.py")
    (root / "two.py").symlink_to("one.py")
    (root / "stork.py").symlink_to(outside / "stork.py")
    (root / "away").symlink_to(outside)
    editor = await stage.editor(settings={**MANY, "workspace": {"watch": "poll"}})
    asking = Asking(editor, root)
    await asking.until("robin.py")
    heron(outside / "tern.py")
    heron(root / "crane.py")
    await asking.until("crane.py", "robin.py")
    for name in ("one.py", "loop/robin.py", "away/stork.py"):  # an editor may open them
        editor.mirror.open(path_to_uri(root / name), "import this\n")
        editor.client.notify("textDocument/didSave", {"textDocument": {"uri": path_to_uri(root / name)}})
    await editor.works()
    await asking.until("crane.py", "robin.py")
    assert not editor.shown(), editor.shown()
    return f"idle at {await idles(editor):.0%} of a core while polling"


@fault("pipes, sockets, devices and what may not be read are passed over", group="workspace")
async def files_that_cannot_be_read(stage: Stage) -> str:
    root = stage.workspace
    heron(root / "robin.py")
    if not hasattr(os, "mkfifo"):
        raise NotHere("no pipes with names here")
    made = ["pipe", "socket"]
    os.mkfifo(root / "pipe.py")
    listener = socket.socket(socket.AF_UNIX)
    folder = os.open(root, os.O_RDONLY)
    listener.bind(f"/proc/self/fd/{folder}/socket.py")  # the path itself may be too long for a socket
    with contextlib.suppress(PermissionError):
        os.mknod(root / "device.py", stat.S_IFCHR | 0o666, os.makedev(1, 5))  # zeros without end
        made.append("device")
    heron(root / "closed.py").chmod(0)
    (root / "closed").mkdir()
    heron(root / "closed" / "tern.py")
    (root / "closed").chmod(0)
    try:
        editor = await stage.editor(settings=MANY, wrapper=lesser_rights())
        asking = Asking(editor, root)
        await asking.until("robin.py")
        # as if they had changed, and open in the editor
        for name in ("pipe.py", "socket.py", "device.py", "closed.py", "closed/tern.py"):
            uri = path_to_uri(root / name)
            editor.client.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": uri, "type": 2}]})
            editor.mirror.open(uri, "x = 1\n")
            editor.client.notify("textDocument/didSave", {"textDocument": {"uri": uri}})
            editor.mirror.close(uri)
        os.mkfifo(root / "later.py")
        heron(root / "crane.py")
        await asking.until("crane.py", "robin.py")
        await editor.works()
        assert not editor.shown(), editor.shown()
        (root / "closed.py").chmod(0o644)
        (root / "closed").chmod(0o755)
    finally:
        (root / "closed").chmod(0o755)
        listener.close()
        os.close(folder)
    return f"{', '.join(made)}; idle at {await idles(editor):.0%} of a core"


@fault(
    "names and bytes that are no UTF-8 end nothing, and come into no prompt as garbage", group="workspace", quick=False
)
async def names_and_bytes_that_are_no_utf_8(stage: Stage) -> str:
    root = stage.workspace
    heron(root / "robin.py")
    heron(root / "latin.py", "# caf\xe9\n", encoding="latin-1")
    heron(root / "wide.py", encoding="utf-16")
    (root / "binary.py").write_bytes(bytes(range(256)) * 64 + b"heron_migration(start")
    (root / "half.py").write_bytes(TEXT.encode() + b"\0")
    longest = "n" * 252 + ".py"
    strange = [os.fsdecode(b"caf\xe9.py"), "new\nline.py", "re\rturn.py", "esc\x1b[2J.py"]
    try:
        for name in strange:
            (root / name).write_text(TEXT.format("strange"))
    except OSError:
        raise NotHere("this file system takes no such names") from None
    (root / longest).write_text(TEXT.format("longest"))
    (root / "\U0001f600.py").write_text(TEXT.format("smile"))
    editor = await stage.editor(settings=MANY)
    asking = Asking(editor, root)
    readable = ["robin.py", "latin.py", "wide.py", longest, "\U0001f600.py"]
    found = await settled(editor)
    assert found["found"] == len(readable) + 2, found
    assert found["left_out"] == {"name": len(strange), "binary": 2}, found
    for name in ("robin.py", "latin.py", "\U0001f600.py"):
        (root / name).unlink()
    await asking.until(longest, "wide.py")
    for name in (*strange, longest, "\U0001f600.py"):
        uri = path_to_uri(root / name) if name.isprintable() else "file://" + os.fsencode(root / name).hex("%")
        editor.mirror.open(uri, "x = 1\n")
        editor.mirror.edit(uri, (0, 1, "\U0001f600"))
        await editor.client.inline_completion(uri, 0, 4)
        await editor.mirror.check(editor.client)
        editor.mirror.close(uri)
    (root / os.fsdecode(b"sp\xe4ter.py")).write_text(TEXT.format("late"))
    (root / "line\nlater.py").write_text(TEXT.format("later"))
    heron(root / "crane.py")
    (root / "wide.py").unlink()
    await asking.until("crane.py", longest)
    await editor.works()
    assert not editor.shown(), editor.shown()
    return f"{len(readable)} readable ones quoted, {len(strange)} names passed over"


@fault("a file that grows while it is read is read to the limit at most", group="workspace", quick=False)
async def file_that_grows_while_it_is_read(stage: Stage) -> str:
    root = stage.workspace
    growing = root / "growing.py"
    growing.write_text(TEXT.format("growing"))
    heron(root / "robin.py")
    grown = asyncio.create_task(asyncio.to_thread(_grow, growing))
    editor = await stage.editor()
    asking = Asking(editor, root)
    before = process_of(editor).memory_info().rss
    while not grown.done():
        assert "robin.py" in await asking.quoted()
    await grown
    await asking.until("robin.py")  # it is too large by now
    more = (process_of(editor).memory_info().rss - before) >> 20
    assert more < 200, f"{more} MB more"
    growing.write_text(TEXT.format("growing"))
    await asking.until("growing.py", "robin.py")
    await editor.works()
    return f"{MOST_MB} MB in small steps; {max(more, 0)} MB more memory"


def _grow(path: Path) -> None:
    """In steps of 4 KB, up to `MOST_MB`."""
    line = b"value = heron_migration(start, growing)\n" * 100
    with path.open("ab", buffering=0) as file:
        while file.tell() < MOST_MB << 20:
            file.write(line)

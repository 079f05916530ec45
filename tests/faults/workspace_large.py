"""Very large things: a file and a document of 200 MB, a folder of 300,000 files."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psutil

from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import status
from tests.faults.fault import Editor, Stage, fault
from tests.faults.workspace_means import Asking, folder_status, heron, idles, namespace, process_of, settled

SIZE = 200 << 20
LINE = "value = heron_migration(start, end)  # " + "x" * 80 + "\n"
FILES = 300_000
WITH_TEXT = 20_000
LONG_S = 400.0
LONGEST_S = 5.0
"""How long a request may take meanwhile, on a machine that is busy with other things too."""

# In one flat folder: most files are empty, the newest have text. $1 the place, $2 and $3 as above.
_MANY_FILES = """mount -t tmpfs -o size=200m,nr_inodes=$(($2 + 1000)) none "$1"
python3 - "$1" "$2" "$3" <<'END'
import os, sys
place, files, with_text = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for number in range(files):
    handle = os.open(f"{place}/file{number}.py", os.O_WRONLY | os.O_CREAT)
    if number >= files - with_text:
        os.write(handle, f"def bird_{number}(wing_{number}):\\n    return wing_{number} + {number}\\n".encode())
    os.close(handle)
END"""


def _memory(editor: Editor) -> float:
    """Megabytes of the server and its indexer."""
    server = process_of(editor)
    total = server.memory_info().rss
    for child in server.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:
            continue
    return total / 1e6


@fault("a file of 200 MB is never read", group="workspace", quick=False)
async def file_of_200_mb(stage: Stage) -> str:
    heron(stage.workspace / "robin.py")
    large = stage.workspace / "large.py"
    with large.open("wb") as file:
        file.write(LINE.encode() * 100)
        file.truncate(SIZE)
    editor = await stage.editor()
    asking = Asking(editor, stage.workspace)
    await asking.until("robin.py")
    before = _memory(editor)
    editor.mirror.open(path_to_uri(large), LINE)  # as an editor that shows the beginning may have it
    editor.mirror.close(path_to_uri(large))
    with large.open("r+b") as file:
        file.write(b"#")
    heron(stage.workspace / "crane.py")
    await asking.until("crane.py", "robin.py")
    more = _memory(editor) - before
    assert more < 100, f"{more:.0f} MB more memory"
    assert (await folder_status(editor))["left_out"].get("size") == 1
    await editor.works()
    assert not editor.shown(), editor.shown()
    return f"{max(more, 0):.0f} MB more memory"


async def _document_of(stage: Stage, size: int) -> str:
    heron(stage.workspace / "robin.py")
    editor = await stage.editor()
    asking = Asking(editor, stage.workspace)
    await asking.until("robin.py")
    before = _memory(editor)
    uri = path_to_uri(stage.workspace / "large.py")
    began = time.monotonic()
    document = editor.mirror.open(uri, LINE * (size // len(LINE)))
    await asking.quoted()
    opening = time.monotonic() - began
    took = []
    for edit in ((0, 0, "import this\n"), (5, 9, ""), (3, 3, "\U0001f600\r\n")):
        began = time.monotonic()
        editor.mirror.edit(uri, edit)
        answered = await editor.client.inline_completion(uri, 0, 3, timeout=120)
        took.append(time.monotonic() - began)
        assert answered == [], "a text that long cannot have been looked through for secrets"
    end = len(document.text)
    editor.mirror.edit(uri, (end - 1, end, "\nend = 1"))
    await editor.mirror.check(editor.client)
    assert await asking.quoted() == ["robin.py"]
    await editor.works(edits=5)
    most = _memory(editor)
    editor.mirror.close(uri)
    await asking.until("robin.py")
    assert not editor.shown(), editor.shown()
    return (
        f"opened in {opening:.1f} s, an edit and a request {max(took):.2f} s, {most - before:.0f} MB more memory, "
        f"{_memory(editor) - before:.0f} MB after closing"
    )


@fault("a very long document is followed, and nothing is offered in it", group="workspace", quick=False)
async def document_of_12_mb(stage: Stage) -> str:
    return await _document_of(stage, 12 << 20)


@fault("a document of 200 MB is followed, and nothing is offered in it", group="workspace", quick=False)
async def document_of_200_mb(stage: Stage) -> str:
    return await _document_of(stage, SIZE)


@fault("a folder of 300,000 files is told once, and requests are answered meanwhile", group="workspace", quick=False)
async def folder_of_300_000_files(stage: Stage) -> str:
    place = stage.folder / "many"
    place.mkdir()
    wrapper = namespace(_MANY_FILES, place, str(FILES), str(WITH_TEXT), mount=True)
    editor = await stage.editor([place], ready=False, wrapper=wrapper)
    asking = Asking(editor, stage.workspace)
    began = time.monotonic()
    scanned, most, took = 0.0, 0.0, [0.0]
    loaded = False
    indexing = asyncio.ensure_future(settled(editor, LONG_S))
    while not indexing.done():
        loaded = loaded or (await status(editor.client))["state"] == "ready"  # until then a request waits for the model
        asked = time.monotonic()
        await asking.quoted()
        if loaded:
            took.append(time.monotonic() - asked)
        most = max(most, _memory(editor))
        if not scanned and (await folder_status(editor))["phase"] not in ("waiting", "scanning"):
            scanned = time.monotonic() - began
        await asyncio.sleep(0.1)
    found = await indexing
    ended = time.monotonic() - began
    assert (found["found"], found["truncated"]) == (WITH_TEXT, True), found
    assert found["files"] > 0.9 * WITH_TEXT, found  # the oldest of them may be as old as some without text
    editor.was_told_once("more files than workspace.max_files")
    await editor.works()
    assert max(took) < LONGEST_S, f"a request took {max(took):.1f} s while the folder was indexed"
    idle = await idles(editor, seconds=10)
    return (
        f"scanned in {scanned:.1f} s, indexed in {ended:.1f} s, server and indexer {most:.0f} MB, then "
        f"{_memory(editor):.0f} MB; {len(took) - 1} requests meanwhile, the longest {max(took):.2f} s; "
        f"idle at {idle:.0%} of a core"
    )


@fault(
    "where 300,000 files are looked at instead of watched, that takes little of a core", group="workspace", quick=False
)
async def folder_of_300_000_files_that_is_polled(stage: Stage) -> str:
    place = stage.folder / "many"
    place.mkdir()
    wrapper = namespace(_MANY_FILES, place, str(FILES), str(WITH_TEXT), mount=True)
    options = {"workspace": {"watch": "poll", "max_files": 1000}}
    editor = await stage.editor([place], ready=False, wrapper=wrapper, settings=options)
    await settled(editor, LONG_S)
    inside = Path(f"/proc/{process_of(editor).pid}/root{place}")
    asking = Asking(editor, stage.workspace)
    idle = await idles(editor, seconds=30, share=0.2)
    heron(inside / "robin.py")
    began = time.monotonic()
    await asking.until("robin.py", seconds=LONG_S)
    return (
        f"idle at {idle:.0%} of a core, a change found after {time.monotonic() - began:.0f} s, {_memory(editor):.0f} MB"
    )

"""A folder's disk neither answers nor fails, as a share whose server is gone: whatever asks it waits."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import status, trace
from tests.faults import hanging_disk
from tests.faults.fault import Editor, NotHere, Stage, fault
from tests.faults.workspace_means import Asking, heron, namespace

SILENT = "does not answer; completions work without it"
_ANSWER_S = 10.0
"""For any answer meanwhile, on a machine that is busy."""
_KEYS = 6
_TYPED = "# {0}\ndef total(amounts):\n    return su"


class Share:
    """A folder of the fault's own, shown to the server under another path by a disk that can be made to hang."""

    def __init__(self, stage: Stage) -> None:
        if sys.platform != "linux" or not os.access("/dev/fuse", os.R_OK | os.W_OK):
            raise NotHere("a disk that hangs needs FUSE")
        self.files = stage.folder / "served"
        """Its files as the test reaches them, at any time."""
        self.place = stage.folder / "share"
        """Where the server has them."""
        self._flag = stage.folder / "hangs"
        for folder in (self.files, self.place):
            folder.mkdir()
        program = Path(hanging_disk.__file__)
        mount = '"$1" "$2" "$3" "$4" "$5"'
        self.wrapper = namespace(mount, sys.executable, program, self.files, self.place, self._flag, mount=True)

    @asynccontextmanager
    async def hangs(self) -> AsyncIterator[None]:
        """Nothing on it is answered meanwhile."""
        self._flag.touch()
        try:
            await asyncio.sleep(0.2)  # what was on its way is answered
            yield
        finally:
            self._flag.unlink()


class Typing:
    """A document in which one types."""

    def __init__(self, editor: Editor, folder: Path) -> None:
        self._editor = editor
        self._chance = Random(0)
        self._uri = path_to_uri(folder / "typed.py")
        editor.mirror.open(self._uri, _TYPED.format(0))

    async def goes_on(self) -> float:
        """Keys, each with a request and a look at the status. The longest that was waited for both, in seconds. Raises
        AssertionError where an edit or a completion is missing, TimeoutError where no answer comes."""
        longest = 0.0
        for _ in range(_KEYS):
            self._editor.mirror.replace(self._uri, _TYPED.format(self._chance.random()))
            began = time.monotonic()
            items = await self._editor.client.inline_completion(self._uri, 2, 13, timeout=_ANSWER_S)
            assert items, f"no completion came: {(await trace(self._editor.client))['reason']}"
            async with asyncio.timeout(_ANSWER_S):
                await status(self._editor.client)
            longest = max(longest, time.monotonic() - began)
        await self._editor.mirror.check(self._editor.client)
        return longest


async def _is_degraded(editor: Editor) -> bool:
    told: dict[str, str] = (await status(editor.client))["status"]
    return told["state"] == "degraded" and "share does not answer" in told["message"]


async def _ends(editor: Editor) -> float:
    """How long the server takes to end, in seconds. Raises AssertionError, TimeoutError."""
    began = time.monotonic()
    async with asyncio.timeout(_ANSWER_S):
        assert await editor.client.shutdown() == 0, "the server did not end well"
    return time.monotonic() - began


@fault(
    "a disk that does not answer holds up no completion, is told once, and is followed when it answers again",
    group="workspace",
    quick=False,
)
async def workspace_on_a_disk_that_hangs(stage: Stage) -> str:
    share = Share(stage)
    heron(share.files / "robin.py")
    heron(stage.workspace / "crane.py")
    editor = await stage.editor([share.place, stage.workspace], wrapper=share.wrapper)
    there, here = Asking(editor, share.place), Asking(editor, stage.workspace)
    typing = Typing(editor, share.place), Typing(editor, stage.workspace)
    for asking in (there, here):
        await asking.until("crane.py", "robin.py")
    async with share.hangs():
        heron(share.files / "tern.py")
        longest = max([await each.goes_on() for each in typing])
        await editor.until_shown(SILENT)
        assert await _is_degraded(editor), "the status knows nothing of it"
        heron(stage.workspace / "stork.py")  # the other folder is followed as ever
        for asking in (there, here):
            await asking.until("crane.py", "stork.py")
        (stage.workspace / "stork.py").unlink()
        await editor.works()
    await there.until("crane.py", "robin.py", "tern.py")  # with what changed meanwhile
    assert "robin.py" in await here.quoted(), "the other folder does not quote it again"
    assert not await _is_degraded(editor), "the status has not noticed that it is back"
    async with share.hangs():
        longest = max([longest, *[await each.goes_on() for each in typing]])
        editor.was_told_once(SILENT)
        assert len(editor.shown()) == 1, editor.shown()
        ended = await _ends(editor)
    return f"the longest answer took {longest:.1f} s, the end {ended:.1f} s"


@fault(
    "a disk that does not answer at the start holds up nothing, and is indexed when it does",
    group="workspace",
    quick=False,
)
async def workspace_on_a_disk_that_hangs_at_the_start(stage: Stage) -> str:
    share = Share(stage)
    heron(share.files / "robin.py")
    heron(stage.workspace / "crane.py")
    async with share.hangs():
        editor = await stage.editor([share.place, stage.workspace], wrapper=share.wrapper, ready=False)
        there, here = Asking(editor, share.place), Asking(editor, stage.workspace)
        await editor.until_shown(SILENT)
        for asking in (there, here):
            await asking.until("crane.py")
        typing = Typing(editor, share.place), Typing(editor, stage.workspace)
        longest = max([await each.goes_on() for each in typing])
    for asking in (there, here):
        await asking.until("crane.py", "robin.py")
    heron(share.files / "tern.py")
    editor.was_told_once(SILENT)
    assert len(editor.shown()) == 1, editor.shown()
    return f"the longest answer took {longest:.1f} s"

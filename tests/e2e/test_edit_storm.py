"""Retrieval while everything changes at once: keys in several documents, files saved and deleted, a batch of files."""

from __future__ import annotations

import asyncio
import itertools
import re
import statistics
import time
from collections.abc import Collection
from pathlib import Path

from aix_lsp.cli.lsp_client import LspClient, inline_params
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import StartServer, status, trace

FILES = 300
EDITED = ("amber", "cobalt", "russet", "violet")
BATCH = range(60, 260)
STORM_SECONDS = 5.0
KEY_SECONDS = 0.01
SAVE_SECONDS = 0.05

FRESH_SECONDS = 0.3
SLACK_SECONDS = 2.0
SLACK_QUERIES = 200
"""Queries take part of the time measured, and both cores may be busy with other work; on a slow machine, as long as so
many queries without a storm."""

TIMES_SLOWER = 5
MORE_MS = 15.0
RARELY_MORE_MS = 60.0
"""Retrieval in a storm against the median without one, in the same run: the median, and nine of ten queries. In a
storm a query also takes over what was typed in four documents, at a few milliseconds each, and other threads interrupt
it; with other work on two cores that is twice the time. What must not be is a wait for the indexer, the disk or a merge
of the whole index, which take a tenth of a second and more."""

QUICK = [
    "completion.max_tokens_line=2",
    "completion.max_tokens_block=2",
    "completion.reuse=false",  # every request is to query
    "statistics.enabled=false",
]
_DEFINED = re.compile(r"def ((?:lantern|heath|marsh|tarn)_\w+)\(")


def module(name: str) -> str:
    """A file that defines `name` among other things."""
    rest = "".join(f"    depth_{line} = measure_depth({line}, width)\n" for line in range(8))
    return f'"""Soundings."""\n\n\ndef {name}(width: int) -> int:\n{rest}    return width\n'


class Workspace:
    """The files, which of their names are gone, and a client that asks about them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.gone: set[str] = set()
        self.milliseconds: list[float] = []
        self._version = itertools.count(2)
        for number in range(FILES):
            self.path(number).parent.mkdir(parents=True, exist_ok=True)
            self.path(number).write_text(module(f"lantern_{number}"))

    def path(self, number: int) -> Path:
        return self.root / f"area_{number % 10}" / f"module_{number}.py"

    async def begin(self, start: StartServer) -> None:
        arguments = [part for option in QUICK for part in ("--set", option)]
        self.client: LspClient = await start([self.root], arguments=arguments)
        self.uri = path_to_uri(self.root / "asking.py")
        self.client.open(self.uri, "")
        self.edits = dict.fromkeys(EDITED, 0)
        for colour in EDITED:
            self.client.open(self.uri_of(colour), module(f"heath_{colour}_0"))

    def uri_of(self, colour: str) -> str:
        return path_to_uri(self.path(EDITED.index(colour)))

    def edit(self, colour: str) -> int:
        """One key in an open document: the name that it defines becomes another one; the name's new number."""
        before = f"heath_{colour}_{self.edits[colour]}"
        self.edits[colour] += 1
        line = module("").split("\n").index("def (width: int) -> int:")
        place = {"start": {"line": line, "character": 4}, "end": {"line": line, "character": 4 + len(before)}}
        change = {"range": place, "text": f"heath_{colour}_{self.edits[colour]}"}
        self.client.change(self.uri_of(colour), self.edits[colour] + 1, [change])
        self.gone.add(before)
        return self.edits[colour]

    def type_about(self, name: str) -> dict[str, object]:
        """The asking document uses a name; the params of a request at its end."""
        text = f"from soundings import {name}\n\nfound = {name}("
        self.client.change(self.uri, next(self._version), [{"text": text}])
        return inline_params(self.uri, 2, len(f"found = {name}("))

    async def defined(self, name: str) -> set[str]:
        """The names whose definitions a request at a use of `name` quotes; never one that was gone when it was sent."""
        gone = frozenset(self.gone)
        answer = await self.client.request("textDocument/inlineCompletion", self.type_about(name))
        assert isinstance(answer["items"], list)
        told = await trace(self.client)
        assert told["file"] == "asking.py"
        self.milliseconds.append(told["timings_ms"]["retrieval"])
        defined = {found for snippet in told["snippets"] for found in _DEFINED.findall(snippet["text"])}
        assert not defined & gone, (name, defined & gone)
        return defined

    async def finds(self, name: str) -> bool:
        return name in await self.defined(name)

    async def finds_edit(self, colour: str, number: int) -> bool:
        """Whether an edit is seen, or one that came after it and before the answer."""
        found = (name.split("_") for name in await self.defined(f"heath_{colour}_{number}"))
        return any(name[1] == colour and int(name[2]) >= number for name in found if name[0] == "heath")

    async def seconds_until_found(self, name: str) -> float:
        began = time.monotonic()
        async with asyncio.timeout(120):
            while not await self.finds(name):
                pass
        return time.monotonic() - began

    async def all_are_answered(self, names: Collection[str]) -> None:
        """Requests one upon the other: each gets one answer, and it is a list."""
        sent = [self.client.start_request("textDocument/inlineCompletion", self.type_about(name)) for name in names]
        answers = await asyncio.wait_for(asyncio.gather(*(future for _, future in sent)), 120)
        assert all(isinstance(answer["items"], list) for answer in answers)
        assert [self.client.answers[number] for number, _ in sent] == [1] * len(sent)

    async def type_on(self) -> None:
        for colour in itertools.cycle(EDITED):
            self.edit(colour)
            await asyncio.sleep(KEY_SECONDS)

    async def save_and_delete(self) -> None:
        for number in itertools.count():
            (self.root / f"short_lived_{number}.py").write_text(module(f"marsh_{number}"))
            if number >= 5:
                (self.root / f"short_lived_{number - 5}.py").unlink()
                self.gone.add(f"marsh_{number - 5}")
            await asyncio.sleep(SAVE_SECONDS)

    def change_a_batch(self) -> None:
        for number in BATCH:
            self.path(number).write_text(module(f"tarn_{number}"))
        self.gone.update(f"lantern_{number}" for number in BATCH)


async def test_an_edit_storm_slows_no_query_hides_no_edit_and_shows_nothing_that_is_gone(
    start: StartServer, workspace: Path
) -> None:
    place = Workspace(workspace / "soundings")
    await place.begin(start)
    for number in range(20, 35):
        assert await place.finds(f"lantern_{number}")
    quiet, place.milliseconds = place.milliseconds, []

    storm = [asyncio.ensure_future(place.type_on()), asyncio.ensure_future(place.save_and_delete())]
    end = time.monotonic() + STORM_SECONDS
    fresh: list[float] = []
    for turn in itertools.count():
        if turn == 3:
            place.change_a_batch()
        # the edit just made is visible to the next query
        colour = EDITED[turn % len(EDITED)]
        assert await place.finds_edit(colour, place.edit(colour))
        assert await place.finds(f"lantern_{20 + turn % 30}")
        # a saved file soon, a deleted one never again
        probe = place.root / f"probe_{turn}.py"
        probe.write_text(module(f"marsh_p{turn}"))
        fresh.append(await place.seconds_until_found(f"marsh_p{turn}"))
        probe.unlink()
        place.gone.add(f"marsh_p{turn}")
        assert not await place.finds(f"marsh_p{turn}")
        await place.all_are_answered([f"lantern_{20 + item}" for item in range(5)])
        if time.monotonic() > end:
            break
    for task in storm:
        task.cancel()
    ended = await asyncio.gather(*storm, return_exceptions=True)
    assert all(isinstance(how, asyncio.CancelledError) for how in ended), ended
    usual = TIMES_SLOWER * statistics.median(quiet)
    assert statistics.median(place.milliseconds) <= usual + MORE_MS
    assert statistics.quantiles(place.milliseconds, n=10)[-1] <= usual + RARELY_MORE_MS
    slack = max(SLACK_SECONDS, SLACK_QUERIES * statistics.median(quiet) / 1000)
    assert statistics.median(fresh) <= FRESH_SECONDS + slack
    # afterwards the index holds what is on disk, and nothing else
    async with asyncio.timeout(120):
        while True:
            (folder,) = (await status(place.client))["folders"]
            if not folder["indexing"] and folder["files"] == len(list(place.root.rglob("*.py"))):
                break
            await asyncio.sleep(0.1)
    assert folder["phase"] == "ready"
    assert await place.finds(f"tarn_{BATCH[0]}")

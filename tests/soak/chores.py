"""What lies between two parts of typing: each is done once before any comes again, in an order drawn anew each time."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence

from aix_lsp.cli.lsp_client import inline_params
from aix_lsp.uris import path_to_uri
from tests.soak.person import Person, in_file
from tests.soak.project import BRANCHES, git, source

FEWEST_FREE = 5
"""Files of our own that lie beside the project's."""

Chore = Callable[[Person], Awaitable[None]]


async def switch_branch(person: Person) -> None:
    """Several hundred files become others. The editor reads documents anew that have nothing unsaved: half of them."""
    person.branch = 1 - person.branch
    await asyncio.to_thread(git, person.project.root, "checkout", "-q", "-f", BRANCHES[person.branch])
    for path in [path for path in person.open if person.draw.random() < 0.5]:
        person.close(path)
        person.show(path)


async def save(person: Person) -> None:
    """Documents are written to disk and the server is told."""
    for path, document in list(person.open.items())[-3:]:
        path.write_text(person.mirror.documents[document.uri].text, encoding="utf-8", newline="")
        person.client.notify("textDocument/didSave", {"textDocument": {"uri": document.uri}})


async def create_files(person: Person) -> None:
    """New files that nobody opens; the oldest go."""
    folder = person.project.root / "extra"
    folder.mkdir(exist_ok=True)
    for _ in range(5):
        name = f"part_{person.draw.randrange(10**9)}.py"
        (folder / name).write_text(source(name, name), encoding="utf-8", newline="")
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[:-FEWEST_FREE]:
        path.unlink()


async def rename_files(person: Person) -> None:
    """A file and a folder get other names, and theirs back."""
    folder = person.project.root / "extra"
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir())[:2]:
        path.rename(path.with_name(f"moved_{path.name}"))
    moved = folder.with_name("extra_moved")
    folder.rename(moved)
    await asyncio.sleep(0.05)
    moved.rename(folder)


async def delete_folder(person: Person) -> None:
    """A folder goes with what is in it."""
    await asyncio.to_thread(shutil.rmtree, person.project.root / "extra", ignore_errors=True)


async def tidy(person: Person) -> None:
    """The folder is as at the start again: the first branch, and no files beside the project's."""
    await delete_folder(person)
    if person.branch:
        await switch_branch(person)


async def accept_and_take_back(person: Person) -> None:
    """What is offered is inserted whatever it is, told as accepted, asked about again, and undone."""
    document = person.open[next(reversed(person.open))]
    screen = document.screen
    for item in (await person.asked(document.uri, *screen.position(screen.cursor)))[:1]:
        before = person.mirror.documents[document.uri].text
        start, cursor = (
            in_file(document, screen.buffer.text, offset)
            for offset in (screen.buffer.offset(*item["range"]["start"].values(), "utf-16"), screen.cursor)
        )
        typed, whole = before[start:cursor], item["insertText"]
        taken = whole if person.draw.random() < 0.5 else whole[: len(typed) + 3]  # its first word, say
        person.mirror.edit(document.uri, (start, cursor, taken))
        if taken == whole:
            await person.told("aix.accepted", *(item.get("command") or {}).get("arguments", [""]))
        await person.asked(document.uri, *screen.position(screen.cursor))
        person.mirror.edit(document.uri, (start, start + len(taken), typed))
        assert person.mirror.documents[document.uri].text == before


async def many_requests(person: Person) -> None:
    """Requests one upon the other, some of them cancelled at once."""
    document = person.open[next(reversed(person.open))]
    lines = person.mirror.documents[document.uri].text.count("\n")
    for number in range(8):
        params = inline_params(document.uri, person.draw.randint(0, lines), 0, kind=1 + number % 2)
        sent, _ = person.start("textDocument/inlineCompletion", params)
        if number % 3 == 0:
            person.cancel(sent)
    await person.settle()


async def wild_edits(person: Person) -> None:
    """Edits of all kinds in a document that is no file."""
    uri = "untitled:notes"
    person.mirror.open(uri, "def total(amounts):\n    return sum(\r\n", "python")
    for _ in range(30):
        person.mirror.edit_somewhere(uri, person.draw)
        if person.draw.random() < 0.3:
            person.start("textDocument/inlineCompletion", inline_params(uri, 1, 4, kind=2))
    await person.compare()
    await person.settle()
    person.mirror.close(uri)


async def change_settings(person: Person) -> None:
    """Options change and change back."""
    for values in (
        {"completion": {"max_tokens_line": 32, "amount": "line"}, "retrieval": {"snippets": 2}},
        {"inspect": {"requests": 5}, "statistics": {"enabled": False}},
        None,
    ):
        person.client.configuration = values
        person.client.notify("workspace/didChangeConfiguration", {"settings": None})
        document = person.open[next(reversed(person.open))]
        await person.asked(document.uri, *document.screen.position(document.screen.cursor))


async def look(person: Person) -> None:
    """Status, trace and page."""
    await person.told("aix.trace")
    await person.told("aix.trace", "summary")
    await person.told("aix.inspect")
    await person.until_quiet()


async def off_and_on(person: Person) -> None:
    """Completions are switched off and on, and paused for no time."""
    await person.told("aix.toggle")
    await person.told("aix.toggle")
    await person.told("aix.pause", 10)
    await person.told("aix.pause", 0)


async def another_folder(person: Person) -> None:
    """A folder of the project joins as a workspace of its own, is asked about, and leaves."""
    folder = person.project.root.parent / "beside"
    if not folder.is_dir():
        folder.mkdir()
        for number in range(12):
            (folder / f"side_{number}.py").write_text(source("side.py", str(number)), encoding="utf-8", newline="")
    there = {"uri": path_to_uri(folder), "name": folder.name}
    event = {"added": [there], "removed": []}
    person.client.notify("workspace/didChangeWorkspaceFolders", {"event": event})
    uri = path_to_uri(folder / "side_0.py")
    person.mirror.open(uri, (folder / "side_0.py").read_text(encoding="utf-8"))
    await person.until_quiet()
    await person.asked(uri, 3, 0)
    person.mirror.close(uri)
    event = {"added": [], "removed": [there]}
    person.client.notify("workspace/didChangeWorkspaceFolders", {"event": event})


async def notebook(person: Person) -> None:
    """A notebook is opened, a cell edited and asked about, and closed."""
    uri, cell = "file:///soak/sums.ipynb", "vscode-notebook-cell:/soak/sums.ipynb#1"
    document = {"uri": uri, "notebookType": "jupyter-notebook", "version": 1, "cells": [{"kind": 2, "document": cell}]}
    text = {"uri": cell, "languageId": "python", "version": 1, "text": "def total(amounts):\n    return su"}
    person.client.notify("notebookDocument/didOpen", {"notebookDocument": document, "cellTextDocuments": [text]})
    await person.asked(cell, 1, 13)
    closed = {"notebookDocument": {"uri": uri}, "cellTextDocuments": [{"uri": cell}]}
    person.client.notify("notebookDocument/didClose", closed)


async def models(person: Person) -> None:
    """The menu of models, which a process of its own makes."""
    await person.told("aix.models")


async def pause(person: Person) -> None:
    """Nothing happens for a while: the person reads."""
    await asyncio.sleep(person.draw.uniform(0.5, 2.0))


async def compare(person: Person) -> None:
    """The server's text against the reference client's."""
    await person.compare()


async def close_one(person: Person) -> None:
    """The document in front is closed."""
    person.close(next(reversed(person.open)))


CHORES: tuple[Chore, ...] = (
    switch_branch, save, create_files, rename_files, delete_folder, accept_and_take_back, many_requests, wild_edits,
    change_settings, look, off_and_on, another_folder, notebook, models, pause, compare, close_one,
)  # fmt: skip


QUICK = tuple(chore for chore in CHORES if chore is not models)
"""Those of a short run: a process that imports PyTorch takes a tenth of its time."""


class Deck:
    """Chores like cards: drawn one by one, shuffled anew when none is left."""

    def __init__(self, person: Person, chores: Sequence[Chore] = CHORES) -> None:
        self._person = person
        self._chores = chores
        self._left: list[Chore] = []

    async def next(self) -> None:
        """Do the next one."""
        if not self._left:
            self._left = list(self._chores)
            self._person.draw.shuffle(self._left)
        chore = self._left.pop()
        if not self._person.open:
            self._person.show(self._person.next_file())
        self._person.seen.done[chore.__name__.replace("_", " ")] += 1
        await chore(self._person)

"""Steps of a client that LSP allows: documents, notebooks, requests, settings. Each is a function of the client and of
random numbers of its own; a step is told by its name and a number."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from aix_lsp.uris import path_to_uri
from tests.fuzz.client import Client, respelled
from tests.mirror import PIECES

Run = Callable[[Client, Random], None]
STEPS: dict[str, tuple[int, Run]] = {}
"""Every kind of step: how often it is taken, and what it does."""

LANGUAGES = ("python", "javascript", "rust", "go", "markdown", "no-such-language")
CODE = "import os\n\n\ndef total(amounts):\n    result = 0\n    for amount in amounts:\n        result += \n"


def step(weight: int) -> Callable[[Run], Run]:
    """Register a kind of step."""

    def register(run: Run) -> Run:
        STEPS[run.__name__] = (weight, run)
        return run

    return register


def anywhere(client: Client, chance: Random) -> tuple[str, dict[str, int]]:
    """The URI of an open document and a place in it."""
    document = client.some_document(chance)
    offset = client.mirror.settled(document.text, chance.randint(0, len(document.text)))
    return document.uri, client.mirror.place(document.text, offset)


def some_text(chance: Random) -> str:
    """Code, or pieces that are none."""
    return CODE if chance.random() < 0.5 else "".join(chance.choices(PIECES, k=chance.randrange(40)))


@step(6)
def opens(client: Client, chance: Random) -> None:
    uri = chance.choice(client.uris)
    if uri not in client.mirror.documents:
        client.mirror.open(uri, some_text(chance), chance.choice(LANGUAGES))


@step(1)
def opens_again(client: Client, chance: Random) -> None:
    uri = client.some_document(chance).uri
    spelled = respelled(uri, chance)
    if uri in client.uris:  # the latest text counts, under the latest spelling
        client.mirror.open(spelled, some_text(chance), chance.choice(LANGUAGES))
        if spelled != uri:
            del client.mirror.documents[uri]
            client.mirror.close(spelled)


@step(3)
def closes(client: Client, chance: Random) -> None:
    document = client.some_document(chance)
    if document.uri in client.uris:
        client.mirror.close(document.uri)


@step(40)
def edits(client: Client, chance: Random) -> None:
    client.mirror.edit_somewhere(client.some_document(chance).uri, chance)


@step(8)
def types(client: Client, chance: Random) -> None:
    document = client.some_document(chance)
    at = chance.randint(0, len(document.text))
    for sign in chance.choice(("amount\n", "x.y(z)", "  \r\n", "if a:\n    b", "é😀")):
        client.mirror.edit(document.uri, (at, at, sign))
        at += 1
        if chance.random() < 0.3:
            asks(client, chance)


@step(3)
def types_half_a_pair(client: Client, chance: Random) -> None:
    """Half of a surrogate pair, which JSON can carry and UTF-8 cannot; then a request."""
    document = client.some_document(chance)
    at = chance.randint(0, len(document.text))
    client.mirror.edit(document.uri, (at, at, chance.choice(("\ud800 ", "x = '\udfff'\n", "\ndef f\udc80():\n    "))))
    chance.choice((asks, asks_and_waits, asks_and_waits))(client, chance)


@step(3)
def replaces(client: Client, chance: Random) -> None:
    client.mirror.replace(client.some_document(chance).uri, some_text(chance))


@step(4)
def edits_past_the_end(client: Client, chance: Random) -> None:
    """A position past the end of its line or of the text is that end; a range's ends may be swapped; versions jump."""
    document = client.some_document(chance)
    far = chance.choice((1, 1000, 2**31 - 1))
    new = chance.choice(PIECES)
    text = document.text
    line = client.mirror.place(text, len(text))["line"]
    start = client.mirror.settled(text, chance.randint(0, len(text)))
    low, high = client.mirror.place(text, start), {"line": line + (far if far < 2**31 - 1 else 0), "character": far}
    if chance.random() < 0.5:
        low, high = high, low
    document.text = text[:start] + new
    document.version += chance.choice((0, 1, 1000))  # a version may come twice
    client.notify(
        "textDocument/didChange",
        {
            "textDocument": {"uri": document.uri, "version": document.version},
            "contentChanges": [{"range": {"start": low, "end": high}, "text": new}],
        },
    )


@step(2)
def changes_nothing(client: Client, chance: Random) -> None:
    client.mirror.edit(client.some_document(chance).uri)


@step(3)
def comes_late(client: Client, chance: Random) -> None:
    """Changes of an older version than the known one are dropped."""
    document = client.some_document(chance)
    changes = [{"text": "late"}] * chance.randint(1, 3)
    older = document.version - chance.randint(1, 5)
    identifier = {"uri": document.uri, "version": older}
    client.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": changes})


@step(3)
def edits_what_is_closed(client: Client, chance: Random) -> None:
    uri = chance.choice(client.uris)
    if uri in client.mirror.documents:
        return
    zero = {"line": 0, "character": 0}
    change = chance.choice(({"text": "x"}, {"range": {"start": zero, "end": zero}, "text": "x"}))
    params = {"textDocument": {"uri": uri, "version": chance.randint(0, 9)}, "contentChanges": [change]}
    client.notify("textDocument/didChange", params)
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    client.notify("textDocument/didSave", {"textDocument": {"uri": uri}})


@step(2)
def saves(client: Client, chance: Random) -> None:
    client.notify("textDocument/didSave", {"textDocument": {"uri": client.some_document(chance).uri}})


@step(25)
def asks(client: Client, chance: Random) -> None:
    uri, place = anywhere(client, chance)
    context: dict[str, Any] = {"triggerKind": chance.choice((0, 1, 2, 2))}
    if chance.random() < 0.15:
        start = {"line": place["line"], "character": max(0, place["character"] - chance.randrange(5))}
        text = chance.choice(("amount", "", "é😀", "x\ny"))
        context["selectedCompletionInfo"] = {"range": {"start": start, "end": place}, "text": text}
    params = {"textDocument": {"uri": uri}, "position": place, "context": context}
    if chance.random() < 0.1:
        params["position"] = {"line": chance.choice((0, 2**31 - 1)), "character": chance.choice((7, 2**31 - 1))}
    client.request("textDocument/inlineCompletion", params)


@step(6)
def asks_and_waits(client: Client, chance: Random) -> None:
    """At the end of a line, where offers are made; then the first letters of an offer are typed."""
    document = client.some_document(chance)
    end = client.mirror.settled(document.text, len(document.text))
    client.mirror.edit(document.uri, (end, end, "\n    result = "))
    place = client.mirror.place(document.text, len(document.text))
    params = {"textDocument": {"uri": document.uri}, "position": place}
    if chance.random() < 0.3:
        client.request("textDocument/completion", params)
    else:
        client.request("textDocument/inlineCompletion", {**params, "context": {"triggerKind": chance.choice((1, 2))}})
    client.waits = True


@step(5)
def asks_for_a_list(client: Client, chance: Random) -> None:
    uri, place = anywhere(client, chance)
    client.request("textDocument/completion", {"textDocument": {"uri": uri}, "position": place})


@step(3)
def asks_twice_under_one_id(client: Client, chance: Random) -> None:
    uri, place = anywhere(client, chance)
    number = chance.choice(("again", 2**53, client.asked[-1] if client.asked else 1))
    params = {"textDocument": {"uri": uri}, "position": place, "context": {"triggerKind": 1}}
    for _ in range(chance.choice((2, 2, 5))):
        client.request("textDocument/inlineCompletion", params, number)
        if chance.random() < 0.3:
            client.request("workspace/executeCommand", {"command": "aix.status"}, number)
    if chance.random() < 0.4:
        client.notify("$/cancelRequest", {"id": number})


@step(2)
def switches_on(client: Client, chance: Random) -> None:
    """What a mutated command has switched off would stay off, and nothing more be offered."""
    client.ask_status()


@step(0)
def asks_for_models(client: Client, chance: Random) -> None:
    """Starts a process, so that it is not drawn by chance: `run.some_steps` puts it in here and there."""
    client.command("aix.models")


@step(6)
def cancels(client: Client, chance: Random) -> None:
    known = [*client.asked[-4:], "never made", 10**9, -1]
    client.notify("$/cancelRequest", {"id": chance.choice(known)})


@step(4)
def commands(client: Client, chance: Random) -> None:
    name = chance.choice(("status", "trace", "inspect", "accepted", "documents", "status"))
    arguments: list[Any] = []
    if name == "accepted" and client.offers:
        arguments = [chance.choice(client.offers)]
    elif name in ("trace", "inspect") and chance.random() < 0.5:
        arguments = ["summary"] if name == "trace" else [chance.randint(1, 50)]
    client.command(f"aix.{name}", *arguments)


@step(1)
def switches(client: Client, chance: Random) -> None:
    """Off and soon on again, or nothing more would be offered."""
    name = chance.choice(("aix.toggle", "aix.pause"))
    arguments: list[Any] = [chance.choice((5, 0.5, 10))] if name == "aix.pause" else []
    if name == "aix.toggle" and chance.random() < 0.5:
        arguments = [chance.choice(LANGUAGES)]
    client.command(name, *arguments)
    asks(client, chance)
    client.command(name, *arguments)


@step(1)
def changes_folders(client: Client, chance: Random) -> None:
    folder = chance.choice((client.folder / "other", client.folder / "no such folder", client.folder / ("x" * 300)))
    entry = {"uri": path_to_uri(folder), "name": folder.name}
    chosen = [entry] if chance.random() < 0.2 else []
    event = {"added": chosen, "removed": [] if chosen else [entry]}
    client.notify("workspace/didChangeWorkspaceFolders", {"event": event})


@step(2)
def files_change(client: Client, chance: Random) -> None:
    names = ("shop/pricing.py", "new.py", ".gitignore", "x" * 300, ".git/HEAD")
    changes = [
        {"uri": path_to_uri(client.folder / chance.choice(names)), "type": chance.choice((1, 2, 3))}
        for _ in range(chance.choice((0, 1, 3)))
    ]
    client.notify("workspace/didChangeWatchedFiles", {"changes": changes})


@step(2)
def settings_change(client: Client, chance: Random) -> None:
    settings: Any = chance.choice(
        (
            None,
            {},
            {"aix": {"completion": {"maxLines": chance.randint(1, 9)}}},
            {"aix.completion.enabled": True},
            {"completion": {"disabledLanguages": ["rust"]}},
            {"aix": {"inspect": {"requests": chance.choice((0, 5, 50))}}},
            {"editor": {"tabSize": 4}},
        )
    )
    client.notify("workspace/didChangeConfiguration", {"settings": settings})


@step(8)
def checks(client: Client, chance: Random) -> None:
    client.check()


@step(2)
def replies_late(client: Client, chance: Random) -> None:
    client.keeps_silent = chance.random() < 0.3
    client.reply(chance)

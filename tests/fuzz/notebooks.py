"""Steps of a client that opens, changes and closes notebooks."""

from __future__ import annotations

from random import Random
from typing import Any

from aix_lsp.uris import path_to_uri
from tests.fuzz.client import Client
from tests.fuzz.steps import some_text, step


@step(3)
def opens_a_notebook(client: Client, chance: Random) -> None:
    uri = chance.choice((path_to_uri(client.folder / "a.ipynb"), "untitled:b.ipynb"))
    if uri in client.notebooks:
        return
    cells = [f"vscode-notebook-cell:{uri.partition(':')[2]}#W{number}" for number in range(chance.randrange(4))]
    sent: list[Any] = []
    previous = client.mirror._notify
    client.mirror._notify = lambda _, params: sent.append(params["textDocument"])
    for cell in cells:
        client.mirror.open(cell, some_text(chance))
    client.mirror._notify = previous
    notebook = {
        "uri": uri,
        "notebookType": "jupyter-notebook",
        "version": 1,
        "cells": [{"kind": chance.choice((1, 2)), "document": cell} for cell in cells],
    }
    client.notebooks[uri] = cells
    client.notify("notebookDocument/didOpen", {"notebookDocument": notebook, "cellTextDocuments": sent})


@step(6)
def changes_a_notebook(client: Client, chance: Random) -> None:
    """Cells go, come and move, change their kind, and their text changes."""
    if not client.notebooks:
        return
    uri = chance.choice(list(client.notebooks))
    cells = client.notebooks[uri]
    at = chance.randint(0, len(cells))
    gone = cells[at : at + chance.randint(0, 2)]
    new = f"{uri.replace('file:', 'vscode-notebook-cell:')}#X{chance.randrange(10**6)}"
    come = [new] if chance.random() < 0.5 and new not in client.mirror.documents else []
    sent: list[Any] = []
    previous = client.mirror._notify
    client.mirror._notify = lambda _, params: sent.append(params)
    for cell in come:
        client.mirror.open(cell, some_text(chance))
    opened = [params["textDocument"] for params in sent]
    sent.clear()
    for cell in gone:
        client.mirror.close(cell)
    closed = [params["textDocument"] for params in sent]
    sent.clear()
    cells[at : at + len(gone)] = come
    if cells and chance.random() < 0.7:
        client.mirror.edit_somewhere(chance.choice(cells), chance)
    client.mirror._notify = previous
    change: dict[str, Any] = {
        "structure": {
            "array": {
                "start": at,
                "deleteCount": len(gone),
                "cells": [{"kind": chance.choice((1, 2)), "document": cell} for cell in come],
            },
            "didOpen": opened,
            "didClose": closed,
        },
        "textContent": [{"document": item["textDocument"], "changes": item["contentChanges"]} for item in sent],
    }
    if cells and chance.random() < 0.3:
        change["data"] = [{"kind": chance.choice((1, 2)), "document": chance.choice(cells)}]
    document = {"uri": uri, "version": chance.randint(1, 99)}
    client.notify("notebookDocument/didChange", {"notebookDocument": document, "change": {"cells": change}})


@step(1)
def closes_a_notebook(client: Client, chance: Random) -> None:
    if not client.notebooks:
        return
    uri = chance.choice(list(client.notebooks))
    cells = client.notebooks.pop(uri)
    told = [{"uri": cell} for cell in cells] if chance.random() < 0.5 else []  # the server knows them
    for cell in cells:
        del client.mirror.documents[cell]
    params = {"notebookDocument": {"uri": uri}, "cellTextDocuments": told}
    client.notify("notebookDocument/didClose", params)

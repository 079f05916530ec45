"""Steps that LSP does not allow: wrong types, wrong frames, wrong order, floods. Those that could be taken for a change
of a document name documents of their own (`wild`), whose text is not compared, or can only be refused."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

from aix_lsp.uris import path_to_uri
from tests.fuzz.client import Client
from tests.fuzz.steps import CODE, anywhere, asks, step
from tests.fuzz.values import HUGE, STRINGS, dumped, junk, mutated, nested

_ENDINGS = ("shutdown", "exit")


def wild(chance: Random) -> str:
    """The URI of a document that is not compared."""
    return f"untitled:wild-{chance.randrange(5)}"


def whole(client: Client, chance: Random) -> dict[str, Any]:
    """A message as it should be, of any method that the server handles."""
    uri, zero = wild(chance), {"line": 0, "character": chance.choice((0, 3))}
    span = {"start": zero, "end": {"line": 1, "character": 2}}
    cell = f"{uri}#cell"
    item = {"uri": uri, "languageId": "python", "version": 1, "text": CODE}
    folder = {"uri": path_to_uri(client.folder / "other"), "name": "other"}
    version = {"uri": uri, "version": chance.randrange(9)}
    notebook = {"uri": uri, "notebookType": "x", "version": 1, "cells": [{"kind": 2, "document": cell}]}
    structure = {"start": 0, "deleteCount": 1, "cells": [{"kind": 1, "document": cell}]}
    info = {"range": span, "text": "x"}
    name = chance.choice((*("accepted", "status", "trace", "documents", "inspect") * 8, "toggle", "pause"))
    requests = {
        "initialize": {"processId": None, "rootUri": None, "capabilities": {"general": {"positionEncodings": []}}},
        "textDocument/inlineCompletion": {
            "textDocument": {"uri": uri},
            "position": zero,
            "context": {"triggerKind": 2, "selectedCompletionInfo": info},
        },
        "textDocument/completion": {"textDocument": {"uri": uri}, "position": zero, "context": {"triggerKind": 1}},
        # not so often on that the rest of the session offers nothing
        "workspace/executeCommand": {
            "command": f"aix.{name}",
            "arguments": [0] if name == "pause" else ["wild"] if name == "toggle" else [1],
        },
    }
    notifications = {
        "initialized": {},
        "textDocument/didOpen": {"textDocument": item},
        "textDocument/didChange": {
            "textDocument": version,
            "contentChanges": [{"range": span, "text": "y"}, {"text": CODE}, {"range": span, "text": ""}],
        },
        "textDocument/didSave": {"textDocument": {"uri": uri}, "text": "x"},
        "textDocument/didClose": {"textDocument": {"uri": uri}},
        "notebookDocument/didOpen": {"notebookDocument": notebook, "cellTextDocuments": [{**item, "uri": cell}]},
        "notebookDocument/didChange": {
            "notebookDocument": version,
            "change": {
                "cells": {
                    "structure": {"array": structure, "didOpen": [{**item, "uri": cell}], "didClose": [{"uri": cell}]},
                    "data": [{"kind": 1, "document": cell}],
                    "textContent": [{"document": {**version, "uri": cell}, "changes": [{"text": "z"}]}],
                }
            },
        },
        "notebookDocument/didClose": {"notebookDocument": {"uri": uri}, "cellTextDocuments": [{"uri": cell}]},
        "workspace/didChangeConfiguration": {"settings": {"aix": {"completion": {"maxLines": 3}}}},
        "workspace/didChangeWatchedFiles": {"changes": [{"uri": path_to_uri(client.folder / "a.py"), "type": 2}]},
        "workspace/didChangeWorkspaceFolders": {"event": {"added": [], "removed": [folder]}},
        "$/setTrace": {"value": "verbose"},
        "$/cancelRequest": {"id": 1},
        "window/workDoneProgress/cancel": {"token": 1},
    }
    method = chance.choice([*requests, *notifications])
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if method in requests:
        message["id"] = f"wild-{chance.randrange(10**9)}"
    message["params"] = copy.deepcopy((requests | notifications)[method])
    return message


def fair(message: Any) -> bool:
    """Whether the session may go on after it."""
    return not (isinstance(message, dict) and message.get("method") in _ENDINGS)


@step(60)
def mutates(client: Client, chance: Random) -> None:
    """Wrong types in every field of every method."""
    message = mutated(whole(client, chance), chance)
    if chance.random() < 0.15:
        message[chance.choice(("id", "jsonrpc", "method", "params", "result", "error"))] = junk(chance)
    if chance.random() < 0.05:
        message.pop(chance.choice(list(message)))
    client.send_body(dumped(message))


@step(8)
def says_it_right(client: Client, chance: Random) -> None:
    """The same without a mistake, so that what comes after meets something."""
    client.send_body(dumped(whole(client, chance)))


@step(8)
def damages_a_change(client: Client, chance: Random) -> None:
    """A change of a compared document that does not fit: nothing may come of it."""
    uri, place = anywhere(client, chance)
    version = client.mirror.documents[uri].version + 1
    bad: Any = chance.choice(({}, [], "text", True, None, {"uri": uri}, 1.5, -1, 2**31))
    change: dict[str, Any] = {"range": {"start": place, "end": place}, "text": "damage"}
    params: dict[str, Any] = {"textDocument": {"uri": uri, "version": version}, "contentChanges": [change]}
    kind = chance.randrange(8)
    if kind == 0:
        change["text"] = bad if not isinstance(bad, str) else None
    elif kind == 1:
        change["range"] = bad if bad is not None else "null"  # null is the whole text
    elif kind == 2:
        change["range"]["start"] = bad
    elif kind == 3:
        change["range"] = {"start": {**place, "line": chance.choice((-1, "1", None, 0.5, True))}, "end": place}
    elif kind == 4:
        params["textDocument"]["version"] = bad if bad not in (-1, None, 2**31) else "5"
    elif kind == 5:
        params["contentChanges"] = [change, bad if bad != {"text": 1} else 7]
    elif kind == 6:
        params["contentChanges"] = bad if bad != [] else None
    else:
        params["textDocument"]["uri"] = 5
    if bad == [] and kind == 0:
        change["text"] = 5
    client.notify("textDocument/didChange", params)


@step(3)
def damages_an_opening(client: Client, chance: Random) -> None:
    document = client.some_document(chance)
    item: dict[str, Any] = {"uri": document.uri, "languageId": "python", "version": 99, "text": "damage"}
    name = chance.choice(list(item))
    # a language or a version that is missing is none, and a version may be past LSP's numbers
    item[name] = chance.choice(
        (True, [], {}, 1.5) if name in ("languageId", "version") else (None, True, [], 2**40, 1.5)
    )
    client.notify("textDocument/didOpen", {"textDocument": item})
    client.notify("textDocument/didClose", {"textDocument": {"uri": chance.choice((None, [document.uri], 5))}})
    client.notify("textDocument/didClose", {"textDocument": document.uri})
    client.notify("textDocument/didClose", document.uri)


@step(6)
def is_no_message(client: Client, chance: Random) -> None:
    number = b"%d" % chance.randrange(10**6)
    body = chance.choice(
        (
            b"",
            b"{",
            b"\xff\xfe\x00",
            b"null",
            b'"shutdown"',
            b"NaN",
            b"[" * chance.choice((10, 2000, 100_000)),
            b"{}" * 3,
            b'{"jsonrpc": "2.0"}',
            b'{"jsonrpc": "1.0", "method": "x", "id": ' + number + b"}",
            b'{"jsonrpc": "2.0", "method": 7, "id": ' + number + b"}",
            b'{"jsonrpc": "2.0", "method": "x", "id": 1, "id": ' + number + b"}",
            b'{"jsonrpc": "2.0", "method": "no/such", "method": "none", "id": ' + HUGE.encode() + b"}",
            b'{"jsonrpc": "2.0", "method": "no/such", "id": ' + b"9" * 5000 + b"}",
            b'{"jsonrpc": "2.0", "method": "no/such", "id": NaN}',
            b'{"jsonrpc": "2.0", "id": '
            + number
            + b', "method": "textDocument/inlineCompletion", "params": '
            + str(nested(chance.choice((50, 600, 5000)), True))[5:].encode()
            + b"}",
        )
    )
    client.send_body(body)


@step(3)
def floods_with_batches(client: Client, chance: Random) -> None:
    """JSON-RPC arrays are no messages in LSP, whatever is in them."""
    inside = [whole(client, chance) for _ in range(chance.choice((0, 1, 3, 50)))]
    client.send_body(dumped(inside))


@step(5)
def asks_what_there_is_not(client: Client, chance: Random) -> None:
    method = chance.choice(
        ("textDocument/hover", "$/no/such", "$/progress", "aix/status", "no/such", "", "\ud800", "__init__", "rpc.x")
    )
    if chance.random() < 0.5:
        client.request(method, junk(chance))
    else:
        client.notify(method, junk(chance))


@step(4)
def asks_under_any_id(client: Client, chance: Random) -> None:
    number = chance.choice((*STRINGS, -1, 0, 2**70, -(2**70), None, True, 1.0, 0.5, [1], {"a": 1}, []))
    client.send({"id": number, "method": chance.choice(("no/such", "workspace/executeCommand")), "params": {}})


@step(5)
def cancels_with_anything(client: Client, chance: Random) -> None:
    asks(client, chance)
    client.notify("$/cancelRequest", chance.choice((junk(chance), {"id": junk(chance)}, {"id": client.asked[-1]})))


@step(5)
def replies_to_what_was_not_asked(client: Client, chance: Random) -> None:
    """Also under the ids of its own requests that run: that is no answer to them."""
    if chance.random() < 0.5:
        asks(client, chance)
    number = chance.choice((*client.asked[-3:], "x", 10**8, None, [1], {}, True, 1.5))
    reply = chance.choice(({"result": junk(chance)}, {"error": junk(chance)}, {"result": 1, "error": {"code": 1}}))
    client.send({"id": number, **reply})


@step(4)
def calls_by_the_wrong_kind(client: Client, chance: Random) -> None:
    """Requests without an id, notifications with one."""
    message = whole(client, chance)
    if "id" in message:
        del message["id"]
    else:
        message["id"] = f"kind-{chance.randrange(10**9)}"
        message["params"] = junk(chance) if chance.random() < 0.2 else message["params"]
    client.send_body(dumped(message))


@step(5)
def commands_with_anything(client: Client, chance: Random) -> None:
    """`aix.toggle` and `aix.pause` would leave the rest of the session without offers, and so come in pairs."""
    name = chance.choice(("accepted", "status", "trace", "documents", "inspect", "no-such", "toggle", "pause", ""))
    arguments = [junk(chance) for _ in range(chance.choice((0, 1, 1, 2, 5)))]
    for _ in range(2 if name in ("toggle", "pause") else 1):
        client.command(f"aix.{name}", *arguments)


@step(3)
def pushes_any_settings(client: Client, chance: Random) -> None:
    names = [f"{section}.{option}" for section, options in _options() for option in options]
    chosen = {name: junk(chance) for name in chance.sample(names, 3)}
    settings = chance.choice(({"aix": chosen}, {f"aix.{name}": value for name, value in chosen.items()}))
    client.notify("workspace/didChangeConfiguration", {"settings": settings})
    client.notify("workspace/didChangeConfiguration", {"settings": {"aix": {}}})


def _options() -> list[tuple[str, list[str]]]:
    from aix_lsp.settings import Settings

    sections = Settings.model_fields
    return [
        (name, list(getattr(field.annotation, "model_fields", {})))
        for name, field in sections.items()
        if name not in ("log", "statistics")  # those act on the process that plays
    ]


@step(6)
def frames_oddly(client: Client, chance: Random) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": f"frame-{chance.randrange(10**9)}", "method": "no/such"}).encode()
    size = b"%d" % len(body)
    good = chance.choice(
        (
            b"content-length: %s\r\n\r\n",
            b"CONTENT-LENGTH:%s\r\n\r\n",
            b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: %s\r\n\r\n",
            b"Content-Length: %s\r\nContent-Type: application/vscode-jsonrpc; charset=utf8\r\nX: y\r\n\r\n",
            b"\r\n\r\nContent-Length :  %s  \r\n\r\n",
            b"Content-Length: 5\r\nContent-Length: %s\r\n\r\n",
            b"X-" + b"y" * 200_000 + b": 1\r\nContent-Length: %s\r\n\r\n",
            b"\x00\xff: \x80\r\nno colon\r\nContent-Length: %s\n\n",
        )
    )
    if chance.random() < 0.6:
        client.send_frame(good % size + body, body)
        return
    bad = chance.choice((b"-1", b"x", b"", b"9" * 30, b"9" * 5000, b"1e3", b"0x10", b"\xc2\xb2", b"4 4"))
    # what follows is read as headers, up to the line's end
    client.send_frame(b"Content-Length: " + bad + b"\r\n\r\n" + body + b"\r\n\r\n")
    short = chance.choice((0, 1, len(body) - 1))
    client.send_frame(b"Content-Length: %d\r\n\r\n" % short + body + b"\r\n\r\n", body[:short])

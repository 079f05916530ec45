"""A client as the fuzzer plays it: its documents, the requests it made, and how it answers the server's own.

All that it does follows from a step's name and number and from what it holds, so that a sequence of steps from which
some are left out is still a sequence of a client's messages: this is how a failing one is shortened.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from aix_lsp.uris import path_to_uri
from tests.fuzz.judge import Judge, Key, due, key_of
from tests.fuzz.values import dumped, junk
from tests.mirror import Encoding, Mirror, Mirrored

ENCODINGS: tuple[Encoding, ...] = ("utf-16", "utf-8", "utf-32")


class Client:
    """One session's client. `write` takes framed bytes; `folder` is a small project of its own."""

    def __init__(self, seed: int, folder: Path, write: Callable[[bytes], None]) -> None:
        self.chance = Random(seed)
        self.judge = Judge()
        self.folder = folder
        self.encoding: Encoding = self.chance.choice(ENCODINGS)
        self.mirror = Mirror(self._notify_document, self.encoding)
        self.notebooks: dict[str, list[str]] = {}
        self.offers: list[str] = []
        self.asked: list[Any] = []
        """Ids of the latest requests, finished or not."""
        self.log: list[bytes] | None = None
        """Frames that went out, where somebody wants them."""
        self.keeps_silent = False
        self.waits = False
        """Whether it sends nothing more before all is answered."""
        self.awaited: Any = None
        """The id of a request whose answer is kept in `status`."""
        self.status: Any = None
        self.left_waiting = 0
        """Requests of the server that it never answers."""
        self._write = write
        self._number = 0
        self._checks: dict[Key, list[dict[str, Any]]] = {}
        self._status_asked: set[Key] = set()
        self._open_asks: list[dict[str, Any]] = []
        self.uris = [
            "untitled:Untitled-1",
            path_to_uri(folder / "shop" / "pricing.py"),
            path_to_uri(folder / "shop" / "späße und [mehr].py"),
            "file:///c:/code/a.py",
            path_to_uri(folder / "web.js"),
            "vscode-vfs://github/a/b.rs",
            "file://server/share/x.go",
        ]

    # sending

    def send_body(self, body: bytes) -> None:
        """One message in a frame as LSP has it."""
        self.send_frame(b"Content-Length: %d\r\n\r\n" % len(body) + body, body)

    def send_frame(self, frame: bytes, *bodies: bytes) -> None:
        """Any bytes, and the messages that a reader finds in them."""
        for body in bodies:
            self.judge.was_sent(body)
        if self.log is not None:
            self.log.append(frame)
        self._write(frame)

    def send(self, message: dict[str, Any]) -> None:
        """A message of JSON-RPC 2.0."""
        self.send_body(dumped({"jsonrpc": "2.0", **message}))

    def notify(self, method: str, params: Any) -> None:
        """A notification."""
        self.send({"method": method, "params": params})

    def request(self, method: str, params: Any, number: Any = None) -> Any:
        """A request, with a new id or the given one, which comes back."""
        if number is None:
            self._number += 1
            number = self._number
        self.asked = [*self.asked[-20:], number]
        self.send({"id": number, "method": method, "params": params})
        return number

    def command(self, name: str, *arguments: Any) -> Any:
        """A command."""
        return self.request("workspace/executeCommand", {"command": name, "arguments": list(arguments)})

    def initialize(self) -> None:
        """The handshake of one of many clients."""
        chance = self.chance
        capabilities: dict[str, Any] = {
            "general": {"positionEncodings": [self.encoding, "utf-16", "utf-99"]},
            "window": {"workDoneProgress": chance.random() < 0.7, "showDocument": {"support": chance.random() < 0.7}},
            "workspace": {
                "configuration": chance.random() < 0.5,
                "workspaceFolders": True,
                "didChangeConfiguration": {"dynamicRegistration": chance.random() < 0.5},
                "didChangeWatchedFiles": {"dynamicRegistration": chance.random() < 0.5},
            },
            "textDocument": {"inlineCompletion": {}}
            if chance.random() < 0.5
            else {"synchronization": [junk(chance, 3)]},
            "experimental": {"aix": {"status": True, "waits": chance.random() < 0.5}},
        }
        if self.encoding == "utf-16" and chance.random() < 0.5:
            del capabilities["general"]
        folders = [{"uri": path_to_uri(self.folder), "name": "shop"}] if chance.random() < 0.3 else None
        options = chance.choice(({}, None, {"completion": {"fallbackCompletion": True}}, {"aix": 5}, [1]))
        self.request(
            "initialize",
            {
                "processId": None,
                "rootUri": None,
                "capabilities": capabilities,
                "workspaceFolders": folders,
                "initializationOptions": options,
                "clientInfo": {"name": chance.choice(("Neovim", "vscode", "\ud800"))},
            },
        )
        self.notify("initialized", {})

    # documents

    def _notify_document(self, method: str, params: Any) -> None:
        document = params["textDocument"]
        if method != "textDocument/didOpen" and self.chance.random() < 0.2:
            params = {**params, "textDocument": {**document, "uri": respelled(document["uri"], self.chance)}}
        self.notify(method, params)

    def some_document(self, chance: Random) -> Mirrored:
        """One that is open; opens one where none is."""
        if not self.mirror.documents:
            self.mirror.open(self.uris[0], "def f(a):\n    return a\n")
        return chance.choice(list(self.mirror.documents.values()))

    def check(self) -> None:
        """Ask for the documents, and compare when the answer comes: messages are taken in order."""
        self._checks[key_of(self.command("aix.documents"))] = self.mirror.expected()

    def ask_status(self) -> None:
        """Ask for the status, and switch on again what is off when the answer comes."""
        self._status_asked.add(key_of(self.command("aix.status")))

    def _switch_on(self, status: dict[str, Any]) -> None:
        self.judge.runs = status.get("engine", {}).get("runs", 0)
        switch = status.get("switch", {})
        for language, on in switch.get("languages", {}).items():
            if not on:
                self.command("aix.toggle", language)
        if switch.get("pausedSeconds"):
            self.command("aix.pause", 0)
        elif not switch.get("enabled", True):
            self.command("aix.toggle")

    def _compare(self, held: Any, expected: list[dict[str, Any]]) -> None:
        by_uri = {document["uri"]: document for document in held}
        for document in expected:
            self.judge.compared += 1
            if by_uri.get(document["uri"]) != document:
                self.judge.broken.append(f"the server's text of {document['uri']} is not the client's")
        ours = {document["uri"] for document in expected}
        known = set(self.uris) | {cell for cells in self.notebooks.values() for cell in cells}
        if left := [uri for uri in by_uri if uri in known and uri not in ours]:
            self.judge.broken.append(f"the server has {left[0]} open, which the client has closed")

    @property
    def keeps_waiting(self) -> int:
        """Requests of the server that it has not answered, or never will."""
        return self.left_waiting + len(self._open_asks)

    # what the server sends

    def take(self, message: dict[str, Any]) -> None:
        """A message of the server."""
        if "method" in message:
            if "id" in message:
                self._open_asks.append(message)
                if not self.keeps_silent:
                    self.reply(Random(len(self._open_asks) + self.judge.sent))
            return
        expected = self._checks.pop(key_of(message.get("id")), None)
        self.judge.answered(message)
        result = message.get("result")
        if self.awaited is not None and message.get("id") == self.awaited:
            self.awaited, self.status = None, result
        asked_status = key_of(message.get("id")) in self._status_asked
        self._status_asked.discard(key_of(message.get("id")))
        if expected is not None and isinstance(result, list):
            self._compare(result, expected)
        elif asked_status and isinstance(result, dict):
            self._switch_on(result)
        elif isinstance(result, dict):
            for item in result.get("items") or ():
                self.offers = [*self.offers[-5:], *((item.get("command") or {}).get("arguments") or ())]

    def reply(self, chance: Random) -> None:
        """Answer a request of the server, mostly as one should; some twice, some with anything, some never."""
        if not self._open_asks:
            return
        ask = self._open_asks.pop(0)
        kind = chance.randrange(10)
        answer: dict[str, Any] = {"id": ask["id"], "result": None}
        if ask["method"] == "workspace/configuration":
            answer["result"] = [{"completion": {"maxLines": 3}} for _ in ask["params"]["items"]]
        elif ask["method"] == "window/showDocument":
            answer["result"] = {"success": True}
        if kind == 7:
            answer = {"id": ask["id"], "result": junk(chance)}
        elif kind == 8:
            answer = {"id": ask["id"], "error": chance.choice(({"code": -32601, "message": "no"}, junk(chance), 5))}
        elif kind == 9:
            self.left_waiting += 1
            return
        if due(dumped({"jsonrpc": "2.0", **answer})) is not None:
            self.left_waiting += 1  # so deep that it is no JSON to Python
        self.send(answer)
        if kind == 6:
            self.send(answer)


def respelled(uri: str, chance: Random) -> str:
    """Another spelling of the same URI, as another editor would write it."""
    scheme, colon, rest = uri.partition(":")
    kind = chance.randrange(3)
    if kind == 0:
        return scheme.upper() + colon + rest
    if kind == 1:
        path = rest.rpartition("/")
        return (
            scheme
            + colon
            + path[0]
            + path[1]
            + "".join(
                f"%{ord(sign):02x}" if sign.isalnum() and sign.isascii() and chance.random() < 0.3 else sign
                for sign in _whole_escapes(path[2])
            )
        )
    return scheme + colon + rest.replace("c:/", "C%3A/").replace("file://server", "file://SERVER")


def _whole_escapes(text: str) -> list[str]:
    """The signs of a part of a URI; an escape is one of them."""
    found, at = [], 0
    while at < len(text):
        size = 3 if text[at] == "%" else 1
        found.append(text[at : at + size])
        at += size
    return found


def parsed(data: bytes) -> dict[str, Any]:
    """A message of the server from its frame."""
    message: dict[str, Any] = json.loads(data.partition(b"\r\n\r\n")[2])
    return message

"""A reference client's documents: edits are made on plain strings by offsets and told to a server as LSP has them, so
that what the server holds can be compared (`aix.documents`). Shares no code with the server's own documents."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from aix_lsp.cli.lsp_client import LspClient

Encoding = Literal["utf-8", "utf-16", "utf-32"]
Edit = tuple[int, int, str]
"""From and to in code points, and what takes their place."""

_BYTES = {"utf-8": 1, "utf-16": 2, "utf-32": 4}
_CODECS = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
PIECES = (
    "x",
    "\n",
    "\r\n",
    "\r",
    "    ",
    "\t",
    "def f(a):\n",
    "é",
    "漢字",
    "😀",
    "e\u0301",
    "\f",
    "\u2028",
    "(",
    '"',
    "",
)


@dataclass
class Mirrored:
    """One open document as the client has it."""

    uri: str
    version: int
    text: str


class Mirror:
    """Open documents of one client. `notify` sends a notification: method and params."""

    def __init__(self, notify: Callable[[str, Any], None], encoding: Encoding = "utf-16") -> None:
        self._notify = notify
        self._encoding = encoding
        self.documents: dict[str, Mirrored] = {}

    def open(self, uri: str, text: str, language_id: str = "python") -> Mirrored:
        """Open a document."""
        document = self.documents[uri] = Mirrored(uri, 1, text)
        item = {"uri": uri, "languageId": language_id, "version": 1, "text": text}
        self._notify("textDocument/didOpen", {"textDocument": item})
        return document

    def close(self, uri: str) -> None:
        """Close a document."""
        del self.documents[uri]
        self._notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    def edit(self, uri: str, *edits: Edit) -> None:
        """Change a document by one message; each edit is of the text that the one before has left."""
        document = self.documents[uri]
        changes = []
        for start, end, new in edits:
            text = document.text
            start, end = self.settled(text, start), self.settled(text, end)
            span = {"start": self.place(text, start), "end": self.place(text, end)}
            changes.append({"range": span, "text": new})
            document.text = text[:start] + new + text[end:]
        self._changed(document, changes)

    def replace(self, uri: str, text: str) -> None:
        """Change a document as a whole."""
        document = self.documents[uri]
        document.text = text
        self._changed(document, [{"text": text}])

    def edit_somewhere(self, uri: str, chance: Random, most: int = 3) -> None:
        """Up to `most` edits by chance, in one message."""
        edits: list[Edit] = []
        length = len(self.documents[uri].text)
        for _ in range(chance.randint(1, most)):
            start = chance.randint(0, length)
            end = min(length, start + chance.choice((0, 0, 0, 1, 2, 9)))
            new = "".join(chance.choices(PIECES, k=chance.randint(0, 4)))
            edits.append((start, end, new))
            length = max(0, length - (end - start))  # at most what is there, whatever was put in
        self.edit(uri, *edits)

    def expected(self) -> list[dict[str, Any]]:
        """What the server's `aix.documents` has to answer."""
        return [
            {
                "uri": document.uri,
                "version": document.version,
                "characters": len(document.text),
                "sha256": hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).hexdigest(),
            }
            for document in self.documents.values()
        ]

    async def check(self, client: LspClient) -> None:
        """Raises AssertionError where the server holds another text than the client."""
        held = await client.request("workspace/executeCommand", {"command": "aix.documents"})
        by_uri = {document["uri"]: document for document in held}
        for document in self.expected():
            assert by_uri.get(document["uri"]) == document, f"the server's text of {document['uri']} is another one"
        assert len(held) == len(self.documents), "the server has documents open that the client has closed"

    def place(self, text: str, offset: int) -> dict[str, int]:
        """The LSP position of an offset that `settled` gave."""
        lines = re.split(r"\r\n|\r|\n", text[:offset])
        last = lines[-1].encode(_CODECS[self._encoding], "surrogatepass")
        return {"line": len(lines) - 1, "character": len(last) // _BYTES[self._encoding]}

    @staticmethod
    def settled(text: str, offset: int) -> int:
        """The offset, or the one before it between a carriage return and its line feed, which no position names."""
        offset = max(0, min(offset, len(text)))
        return offset - 1 if text[offset - 1 : offset + 1] == "\r\n" else offset

    def _changed(self, document: Mirrored, changes: Sequence[dict[str, Any]]) -> None:
        document.version += 1
        identifier = {"uri": document.uri, "version": document.version}
        self._notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": list(changes)})

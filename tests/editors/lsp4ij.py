"""A client that sends what LSP4IJ 0.20.1 (LSP4J 1.0.0) sends in a JetBrains IDE, and does with offers what it does.

Read from its source: `ClientCapabilitiesFactory`, `LanguageServerWrapper`, `SettingsHelper`,
`DocumentContentSynchronizer`, `LSPInlineCompletionSupport` and `LSPInlineCompletionProvider`. Documents have line feeds
alone, whatever the file has; the IDE puts its own line breaks back when it saves.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aix_lsp.cli.lsp_client import LspClient
from aix_lsp.uris import path_to_uri

WAIT_SECONDS = 0.3
AUTOMATIC = 2

_DYNAMIC = {"dynamicRegistration": True}
_LINK = {"dynamicRegistration": True, "linkSupport": True}

CAPABILITIES: dict[str, Any] = {
    "workspace": {
        "applyEdit": True,
        "workspaceEdit": {"documentChanges": True, "resourceOperations": ["create", "delete", "rename"]},
        "didChangeConfiguration": _DYNAMIC,
        "didChangeWatchedFiles": _DYNAMIC,
        "symbol": {},
        "executeCommand": _DYNAMIC,
        "workspaceFolders": True,
        "configuration": True,
        "semanticTokens": {"refreshSupport": True},
        "codeLens": {"refreshSupport": True},
        "fileOperations": {
            "dynamicRegistration": True,
            "didCreate": True,
            "didRename": True,
            "willRename": True,
            "didDelete": True,
        },
        "inlayHint": {"refreshSupport": True},
        "diagnostics": {"refreshSupport": True},
    },
    "textDocument": {
        "synchronization": {"willSave": True, "willSaveWaitUntil": True, "didSave": True},
        "completion": {
            "dynamicRegistration": True,
            "completionItem": {
                "snippetSupport": True,
                "documentationFormat": ["markdown", "plaintext"],
                "deprecatedSupport": True,
                "resolveSupport": {"properties": ["documentation", "detail", "additionalTextEdits"]},
                "insertTextModeSupport": {"valueSet": [1, 2]},
                "labelDetailsSupport": True,
            },
            "completionList": {"itemDefaults": ["editRange"]},
        },
        "inlineCompletion": _DYNAMIC,
        "hover": {"dynamicRegistration": True, "contentFormat": ["markdown", "plaintext"]},
        "references": _DYNAMIC,
        "documentHighlight": _DYNAMIC,
        "formatting": _DYNAMIC,
        "rangeFormatting": _DYNAMIC,
        "declaration": _LINK,
        "definition": _LINK,
        "typeDefinition": _LINK,
        "implementation": _LINK,
        "codeLens": _DYNAMIC,
        "documentLink": _DYNAMIC,
        "colorProvider": _DYNAMIC,
        "foldingRange": _DYNAMIC,
        "callHierarchy": _DYNAMIC,
        "typeHierarchy": _DYNAMIC,
        "inlayHint": _DYNAMIC,
    },
    "window": {
        "workDoneProgress": True,
        "showMessage": {"messageActionItem": {"additionalPropertiesSupport": False}},
        "showDocument": {"support": True},
    },
    "general": {"staleRequestSupport": {"cancel": True}, "positionEncodings": ["utf-16"]},
    "experimental": {},
}


class Lsp4ij:
    """One project in an IDE, with one file open. `settings` is the text of *Server > Configuration* as JSON."""

    def __init__(self, client: LspClient, settings: Mapping[str, Any] | None = None) -> None:
        self.client = client
        self.settings = dict(settings or {})
        self.text = ""
        self.cursor = 0
        self._uri = ""
        self._version = 0
        self._running: tuple[int, int, asyncio.Future[Any]] | None = None

    async def start(self, root: Path, options: Mapping[str, Any] | None = None) -> Any:
        """The handshake, and the settings right behind it."""
        self._answer_configuration()
        folder = {"uri": path_to_uri(root), "name": root.name}
        answer = await self.client.request(
            "initialize",
            {
                "processId": os.getpid(),
                "rootPath": str(root),
                "rootUri": folder["uri"],
                "clientInfo": {"name": "PyCharm 2026.1", "version": "2026.1 (build PY-261.22158.340)"},
                "initializationOptions": dict(options or {}),
                "capabilities": CAPABILITIES,
                "trace": "off",
                "workspaceFolders": [folder],
            },
        )
        self.client.notify("initialized", {})
        self.client.notify("workspace/didChangeConfiguration", {"settings": _expanded(self.settings)})
        return answer

    def change_settings(self, settings: Mapping[str, Any]) -> None:
        """The user applies other settings."""
        self.settings = dict(settings)
        self._answer_configuration()
        self.client.notify("workspace/didChangeConfiguration", {"settings": _expanded(self.settings)})

    def open(self, path: Path, language_id: str = "python") -> None:
        """Open a file, instead of the one that is open, with the cursor at its end."""
        if self._uri:
            self.close()
        self.text = path.read_bytes().decode("utf-8").replace("\r\n", "\n")
        self.cursor = len(self.text)
        self._uri = path_to_uri(path)
        self._version = 1
        self.client.open(self._uri, self.text, language_id)

    def close(self) -> None:
        """Close the file."""
        self.client.notify("textDocument/didClose", {"textDocument": {"uri": self._uri}})
        self._uri = ""

    def type(self, text: str) -> None:
        """Type key after key; each is a change of its own."""
        for key in text:
            self._insert(key)

    async def offered(self) -> str | None:
        """What is shown once the user has stopped typing."""
        await asyncio.sleep(WAIT_SECONDS)
        return await self.ask()

    async def ask(self) -> str | None:
        """The first text that is shown for the place of the cursor; None for nothing."""
        texts = self.shown(await asyncio.wait_for(self.start_asking(), 60))
        return texts[0] if texts else None

    def start_asking(self, ahead: int = 0) -> asyncio.Future[Any]:
        """Ask; a request for another place that still runs is cancelled first. `ahead`: for the place so many
        characters further on the line, which the document does not have yet."""
        if self._running is not None:
            number, offset, future = self._running
            if offset != self.cursor and not future.done():
                self.client.cancel(number)
        place = self._position(self.cursor)
        params = {
            "textDocument": {"uri": self._uri},
            "position": {**place, "character": place["character"] + ahead},
            "context": {"triggerKind": AUTOMATIC},
        }
        number, future = self.client.start_request("textDocument/inlineCompletion", params)
        self._running = (number, self.cursor, future)
        return future

    def accept(self, shown: str) -> None:
        """Tab: the text is inserted in one go. The item's command is not run."""
        self._insert(shown)

    def saved(self, line_break: str) -> bytes:
        """What the IDE writes to the disk."""
        return self.text.replace("\n", line_break).encode()

    def shown(self, answer: Any) -> list[str]:
        """The grey texts of an answer."""
        texts = []
        for item in (answer or {}).get("items", []):
            text = item["insertText"]
            if not text.strip():
                continue
            if "range" in item:
                start, end = self._offset(item["range"]["start"]), self._offset(item["range"]["end"])
                typed = _units(self.text[start : self.cursor])
                if start < self.cursor <= end and typed < _units(text):
                    # by length alone; what is typed is not compared
                    text = text.encode("utf-16-le")[2 * typed :].decode("utf-16-le")
            texts.append(text)
        return texts

    def delete(self, count: int) -> None:
        """Backspace."""
        self._replace(count, "")

    def _insert(self, text: str) -> None:
        self._replace(0, text)

    def _replace(self, count: int, text: str) -> None:
        """Put a text in the place of the last characters before the cursor."""
        start = self.cursor - count
        place = {"start": self._position(start), "end": self._position(self.cursor)}
        length = _units(self.text[start : self.cursor])
        self.text = self.text[:start] + text + self.text[self.cursor :]
        self.cursor = start + len(text)
        self._version += 1
        self.client.change(self._uri, self._version, [{"range": place, "rangeLength": length, "text": text}])

    def _position(self, offset: int) -> dict[str, int]:
        before = self.text[:offset]
        return {"line": before.count("\n"), "character": _units(before[before.rfind("\n") + 1 :])}

    def _offset(self, position: Mapping[str, int]) -> int:
        lines = self.text.split("\n")
        offset = sum(len(line) + 1 for line in lines[: position["line"]])
        units = lines[position["line"]].encode("utf-16-le")[: 2 * position["character"]]
        return offset + len(units.decode("utf-16-le"))

    def _answer_configuration(self) -> None:
        self.client.configuration = _expanded(self.settings).get("aix")


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _expanded(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`{"aix.section.option": value}` as `{"aix": {"section": {"option": value}}}` ("expandConfiguration")."""
    root: dict[str, Any] = {}
    for name, value in flat.items():
        *sections, last = name.split(".")
        inner = root
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = value
    return root

"""A small LSP client over a server process's stdio: what an editor does, for the demo, benchmarks and tests."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aix_lsp.uris import path_to_uri

CAPABILITIES = {"window": {"workDoneProgress": True}, "notebookDocument": {"synchronization": {}}}


class ServerError(Exception):
    """The server answered a request with an error, or ended. `code` is the JSON-RPC code, 0 if it ended."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class LspClient:
    """One server process. Use as an async context manager; `start` sends nothing by itself."""

    def __init__(self, command: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> None:
        """`command` defaults to this Python's `aix-lsp serve`."""
        self._command = list(command or [sys.executable, "-P", "-m", "aix_lsp", "serve", "--stdio"])
        self._env = dict(env) if env is not None else None
        self._ids = itertools.count(1)
        self._waiting: dict[int | str, asyncio.Future[Any]] = {}
        self._reader: asyncio.Task[None] | None = None
        self.process: asyncio.subprocess.Process | None = None
        self.notifications: list[dict[str, Any]] = []
        self.answers: dict[int | str, int] = {}
        self.shown: list[str] = []
        """URIs of the documents that the server had shown."""
        self.configuration: Any = None
        self.configuration_by_uri: dict[str, Any] = {}
        self._news = asyncio.Event()

    async def __aenter__(self) -> LspClient:
        self.process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL if self._env is None else None,
            env=self._env,
            limit=1 << 26,
        )
        self._reader = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        # on Python 3.11 the pipe's transport would close only with the loop, and warn
        transport = getattr(self.process, "_transport", None)
        if transport is not None:
            transport.close()

    async def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        stream = self.process.stdout
        try:
            while True:
                length = 0
                while (line := (await stream.readline()).strip()) or length == 0:
                    if not line and stream.at_eof():
                        return
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                self._take(json.loads(await stream.readexactly(length)))
        except asyncio.IncompleteReadError:
            return
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ServerError(0, "the server ended"))

    def _take(self, message: dict[str, Any]) -> None:
        if "method" in message and "id" in message:
            self._send({"jsonrpc": "2.0", "id": message["id"], "result": self._reply(message)})
        elif "method" in message:
            self.notifications.append(message)
            self._news.set()
        else:
            self.answers[message["id"]] = self.answers.get(message["id"], 0) + 1
            future = self._waiting.pop(message["id"], None)
            if future is not None and not future.done():
                if "error" in message:
                    future.set_exception(ServerError(message["error"]["code"], message["error"]["message"]))
                else:
                    future.set_result(message["result"])

    def _reply(self, message: dict[str, Any]) -> Any:
        if message["method"] == "workspace/configuration":
            items = message["params"]["items"]
            return [self.configuration_by_uri.get(item.get("scopeUri", ""), self.configuration) for item in items]
        if message["method"] == "window/showDocument":
            self.shown.append(message["params"]["uri"])
            self._news.set()
            return {"success": True}
        return None

    def _send(self, message: dict[str, Any]) -> None:
        self.send_raw(json.dumps(message).encode())

    def send_raw(self, body: bytes) -> None:
        """Send a body as it is, framed."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def notify(self, method: str, params: Any) -> None:
        """Send a notification."""
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def start_request(self, method: str, params: Any) -> tuple[int, asyncio.Future[Any]]:
        """Send a request; returns its id and the future of its answer."""
        number = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return number, future

    async def request(self, method: str, params: Any, timeout: float = 60.0) -> Any:
        """Send a request and wait for its result. Raises ServerError, TimeoutError."""
        _, future = self.start_request(method, params)
        return await asyncio.wait_for(future, timeout)

    def cancel(self, number: int) -> None:
        """Cancel a request."""
        self.notify("$/cancelRequest", {"id": number})

    async def wait_for_notification(self, method: str, contains: str = "", timeout: float = 30.0) -> dict[str, Any]:
        """The first notification of this method (seen already or still to come) whose text contains something."""
        async with asyncio.timeout(timeout):
            while True:
                for message in self.notifications:
                    if message["method"] == method and contains in json.dumps(message["params"], ensure_ascii=False):
                        return message
                self._news.clear()
                await self._news.wait()

    async def initialize(
        self,
        folders: Sequence[Path] = (),
        *,
        capabilities: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        process_id: int | None = None,
    ) -> Any:
        """The handshake. Returns the server's answer."""
        result = await self.request(
            "initialize",
            {
                "processId": process_id,
                "rootUri": path_to_uri(folders[0]) if folders else None,
                "capabilities": dict(CAPABILITIES if capabilities is None else capabilities),
                "workspaceFolders": [{"uri": path_to_uri(folder), "name": folder.name} for folder in folders],
                "initializationOptions": dict(options or {}),
            },
        )
        self.notify("initialized", {})
        return result

    def open(self, uri: str, text: str, language_id: str = "python", version: int = 1) -> None:
        """Open a document."""
        document = {"uri": uri, "languageId": language_id, "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def change(self, uri: str, version: int, changes: Sequence[Mapping[str, Any]]) -> None:
        """Change a document; each change is LSP's TextDocumentContentChangeEvent."""
        self.notify(
            "textDocument/didChange",
            {"textDocument": {"uri": uri, "version": version}, "contentChanges": [dict(change) for change in changes]},
        )

    def insert(self, uri: str, version: int, line: int, character: int, text: str) -> None:
        """Insert text at a place (0-based)."""
        place = {"line": line, "character": character}
        self.change(uri, version, [{"range": {"start": place, "end": place}, "text": text}])

    async def inline_completion(
        self, uri: str, line: int, character: int, *, kind: int = 1, timeout: float = 60.0
    ) -> list[dict[str, Any]]:
        """Ask for inline completions at a place; 1 is explicit, 2 automatic."""
        result = await self.request("textDocument/inlineCompletion", inline_params(uri, line, character, kind), timeout)
        items: list[dict[str, Any]] = result["items"]
        return items

    async def shutdown(self) -> int:
        """Say shutdown and exit; returns the process's exit code."""
        assert self.process is not None
        await self.request("shutdown", None)
        self.notify("exit", None)
        return await asyncio.wait_for(self.process.wait(), 60)


def inline_params(uri: str, line: int, character: int, kind: int = 1) -> dict[str, Any]:
    """InlineCompletionParams."""
    return {
        "textDocument": {"uri": uri},
        "position": {"line": line, "character": character},
        "context": {"triggerKind": kind},
    }

"""A real server in a folder, and all that comes out of it: what it logs, writes, and sends to a server elsewhere."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aix_lsp.cli.lsp_client import LspClient, inline_params
from aix_lsp.uris import path_to_uri, uri_to_path
from tests.e2e.conftest import until_ready
from tests.unit.remote_server import FOLDER, ModelServer

PULLS = {
    "workspace": {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}},
    "window": {"showDocument": {"support": True}},
    "notebookDocument": {"synchronization": {}},
}
ISOLATED = ("-P",)
"""As editors start `python -m`; without it Python looks for modules in the current folder first."""


def engine_elsewhere(server: ModelServer) -> dict[str, str]:
    """The environment of a user whose model runs on this server."""
    return {"AIX_LSP_REMOTE__URL": server.url, "AIX_LSP_REMOTE__TOKENIZER": FOLDER, "AIX_LSP_REMOTE__FALLBACK": "false"}


def sent_to(server: ModelServer) -> str:
    """Everything that arrived there, as one text."""
    return "\n".join(json.dumps([seen.path, seen.headers, seen.body], ensure_ascii=False) for seen in server.seen)


@dataclass
class Attacked:
    """A server that runs, and where its standard error goes."""

    client: LspClient
    stderr: Path
    log: Path

    def logged(self) -> str:
        """The log file, those before it, and what went to standard error."""
        files = [self.stderr, *self.log.parent.glob(f"{self.log.name}*")]
        return "\n".join(path.read_text("utf-8", "replace") for path in files if path.is_file())

    async def command(self, name: str, *arguments: Any) -> Any:
        """Run a command of the server."""
        return await self.client.request("workspace/executeCommand", {"command": name, "arguments": [*arguments]})

    async def complete(self, path: Path | str, text: str, *, kind: int = 1, language: str = "python") -> list[Any]:
        """Open a document, ask at its end, and close it."""
        uri = path if isinstance(path, str) else path_to_uri(path)
        self.client.open(uri, text, language)
        place = (text.count("\n"), len(text) - text.rfind("\n") - 1)
        answer = await self.client.request("textDocument/inlineCompletion", inline_params(uri, *place, kind), 60)
        self.client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        items: list[Any] = answer["items"]
        return items

    def shown(self, contains: str) -> list[str]:
        """Messages to the user with these words."""
        told = (item["params"]["message"] for item in self.client.notifications if item["method"].startswith("window/"))
        return [message for message in told if contains in message]

    async def everything_shown(self) -> str:
        """Status, trace, counts, the page of `aix.inspect`, and all notifications, as one text."""
        answers: list[Any] = [await self.command(name) for name in ("aix.status", "aix.trace")]
        before = len(self.client.shown)
        await self.command("aix.inspect")
        async with asyncio.timeout(30):
            while len(self.client.shown) == before:
                await asyncio.sleep(0.02)
        page = uri_to_path(self.client.shown[-1])
        assert page is not None
        answers += [Path(page).read_text("utf-8"), self.client.notifications]
        return json.dumps(answers, ensure_ascii=False)


@asynccontextmanager
async def attacked(
    workspace: Path,
    environment: Mapping[str, str],
    *,
    flags: Sequence[str] = ISOLATED,
    folders: Sequence[Path] | None = None,
    arguments: Sequence[str] = (),
    ready: bool = True,
    configuration: Any = None,
    by_folder: Any = None,
    options: Mapping[str, Any] | None = None,
    capabilities: Mapping[str, Any] | None = None,
) -> AsyncIterator[Attacked]:
    """Start a server in `workspace`, at level debug, with a log file and no mask on the modes of new files."""
    logs = Path(environment["HOME"]) / "logs"
    logs.mkdir(exist_ok=True)
    stderr, log = logs / "stderr", logs / "server.log"
    shell = 'umask 0; cd "$1" && errors=$2 && shift 2 && exec "$@" 2>>"$errors"'
    server = [sys.executable, *flags, "-m", "aix_lsp", "serve", *arguments]
    values = {**environment, "AIX_LSP_LOG__LEVEL": "debug", "AIX_LSP_LOG__FILE": str(log)}
    command = [shutil.which("sh") or "sh", "-c", shell, "sh", str(workspace), str(stderr), *server]
    async with LspClient(command, values) as client:
        client.configuration = configuration
        client.configuration_by_uri = dict(by_folder or {})
        here = [workspace] if folders is None else folders
        await client.initialize(here, options=options, capabilities=PULLS if capabilities is None else capabilities)
        if ready:
            await until_ready(client)
        yield Attacked(client, stderr, log)
        if client.process is not None and client.process.returncode is None:
            await client.shutdown()

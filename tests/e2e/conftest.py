"""A real server process with the embedded model, and a client that speaks LSP to it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from aix_lsp.cli.lsp_client import LspClient
from tests.e2e.in_process import call

__all__ = ["call"]

PRICING = '''"""Prices."""

TAX_RATE = 0.19


def compute_grand_total(amounts: list[float]) -> float:
    """Sum of all amounts with tax."""
    return sum(amounts) * (1 + TAX_RATE)


def apply_seasonal_rebate(amount: float, percent: float) -> float:
    """The amount less a rebate."""
    return amount * (1 - percent / 100)
'''

INVOICE = '''"""Invoices."""

from shop.pricing import apply_seasonal_rebate, compute_grand_total


def invoice_total(amounts: list[float], percent: float) -> float:
    """The total of an invoice with a seasonal rebate."""
    return apply_seasonal_rebate(compute_grand_'''

StartServer = Callable[..., Awaitable[LspClient]]


def environment_in(folder: Path) -> dict[str, str]:
    """The server's environment: nothing of the developer's own settings and counts."""
    home = folder / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIX_LSP_")}
    return {
        **kept,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "OMP_NUM_THREADS": "2",
        "AIX_LSP_INSPECT__SOCKET": "false",  # servers that tests kill would leave theirs behind
    }


def workspace_in(folder: Path) -> Path:
    """A small Python project."""
    root = (folder / "workspace").resolve()
    (root / "shop").mkdir(parents=True)
    (root / "shop" / "pricing.py").write_text(PRICING)
    (root / "shop" / "invoice.py").write_text(INVOICE)
    return root


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment of the test's own."""
    return environment_in(tmp_path)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A project of the test's own."""
    return workspace_in(tmp_path)


@pytest_asyncio.fixture
async def start(environment: dict[str, str]) -> AsyncIterator[StartServer]:
    """Start server processes that end with the test. A file whose tests share one has a fixture of its own."""
    async with servers(environment) as start_server:
        yield start_server


@asynccontextmanager
async def servers(environment: dict[str, str]) -> AsyncIterator[StartServer]:
    """Start a server process; `ready=True` waits for model and index. `wrapper` is a command that runs the server's
    (another user, a namespace). They end with the context."""
    async with AsyncExitStack() as stack:

        async def start_server(
            folders: Sequence[Path] = (),
            *,
            arguments: Sequence[str] = (),
            wrapper: Sequence[str] = (),
            env: Mapping[str, str] | None = None,
            initialize: bool = True,
            ready: bool = True,
            configuration: Any = None,
            **handshake: Any,
        ) -> LspClient:
            command = [*wrapper, sys.executable, "-m", "aix_lsp", "serve", *arguments]
            client = await stack.enter_async_context(LspClient(command, {**environment, **(env or {})}))
            client.configuration = configuration
            if initialize:
                await client.initialize(folders, **handshake)
                if ready:
                    await until_ready(client)
            return client

        yield start_server


async def status(client: LspClient) -> dict[str, Any]:
    """The server's own account of itself."""
    result: dict[str, Any] = await client.request("workspace/executeCommand", {"command": "aix.status"})
    return result


async def trace(client: LspClient) -> dict[str, Any]:
    """How the latest request was answered."""
    result: dict[str, Any] = await client.request("workspace/executeCommand", {"command": "aix.trace"})
    return result


async def until_ready(client: LspClient) -> None:
    """Wait for the model and the index."""
    async with asyncio.timeout(180):
        while True:
            now = await status(client)
            if now["state"] == "ready" and not any(folder["indexing"] for folder in now["folders"]):
                return
            assert now["state"] != "failed", now
            await asyncio.sleep(0.05)


async def snippets_of(client: LspClient, uri: str, line: int, character: int) -> list[dict[str, Any]]:
    """The snippets that a request at a place quotes."""
    await client.inline_completion(uri, line, character)
    found: list[dict[str, Any]] = (await trace(client))["snippets"]
    return found

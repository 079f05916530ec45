"""A storm of requests, each overtaken by the next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from aix_lsp.cli.lsp_client import LspClient, ServerError, inline_params
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import INVOICE, environment_in, servers, status, workspace_in

COUNT = 200

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace_in(tmp_path_factory.mktemp("cancellation"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(workspace: Path) -> AsyncIterator[LspClient]:
    """One server for both storms, which close their document: what was closed is forgotten (test_reuse.py)."""
    async with servers(environment_in(workspace.parent)) as start:
        yield await start([workspace])


@pytest.mark.parametrize("cancels", [True, False], ids=["cancelled", "superseded"])
async def test_all_are_answered_once_the_last_is_right_and_the_server_responsive(
    client: LspClient, workspace: Path, cancels: bool
) -> None:
    uri = path_to_uri(workspace / "shop" / "invoice.py")
    line = INVOICE.count("\n")
    last_line = INVOICE.rsplit("\n", 1)[1]
    base = INVOICE.removesuffix(last_line)
    client.open(uri, base)
    sent = time.perf_counter()
    futures: list[asyncio.Future[Any]] = []
    numbers: list[int] = []
    typed = (last_line * (COUNT // len(last_line) + 1))[: COUNT - len(last_line)] + last_line
    for version in range(2, COUNT + 2):
        # typing over and over, ending with the line whole
        end = min(version - 1, len(typed))
        shown = typed[max(0, end - len(last_line)) : end]
        client.change(uri, version, [{"text": base + shown}])
        if cancels and numbers:
            client.cancel(numbers[-1])
        number, future = client.start_request("textDocument/inlineCompletion", inline_params(uri, line, len(shown), 1))
        numbers.append(number)
        futures.append(future)
        await asyncio.sleep(0.002)
    began = time.perf_counter()
    assert (await status(client))["state"] == "ready"
    # a server that were busy with them would take as long as they do
    assert time.perf_counter() - began < max(2, began - sent)
    outcomes = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 120)
    for outcome in outcomes[:-1]:
        assert (isinstance(outcome, ServerError) and outcome.code == -32800) or isinstance(outcome, dict)
    assert outcomes[-1]["items"][0]["insertText"].startswith("total")
    assert all(client.answers[number] == 1 for number in numbers)
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

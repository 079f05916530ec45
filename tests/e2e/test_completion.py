"""textDocument/inlineCompletion over stdio, with the real server and the embedded model."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aix_lsp.cli.lsp_client import LspClient, ServerError, inline_params
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import INVOICE, PRICING, StartServer, snippets_of, status, trace


def place(text: str) -> tuple[int, int]:
    """Line and character of the end of a text (ASCII)."""
    return text.count("\n"), len(text) - text.rfind("\n") - 1


@pytest.fixture
def environment(environment: dict[str, str], model_host: dict[str, str]) -> dict[str, str]:
    """With one model for all servers of these tests, but those that say `ALONE`."""
    return {**environment, **model_host}


ALONE = {"AIX_LSP_MODEL__SHARE": "off"}
"""A model of the server's own, which it has to load."""


async def test_a_name_of_another_file_is_completed_because_retrieval_found_it(
    start: StartServer, workspace: Path
) -> None:
    client = await start([workspace])
    uri = path_to_uri(workspace / "shop" / "orders.py")
    text = "from shop.pricing import TAX_"
    client.open(uri, text)
    items = await client.inline_completion(uri, *place(text))
    assert items[0]["insertText"] == "RATE"
    quoted = (await trace(client))["snippets"]
    assert any(snippet["path"] == "shop/pricing.py" and "TAX_RATE = 0.19" in snippet["text"] for snippet in quoted)
    # the same without the other file: the name cannot be known
    alone = await start([])
    alone.open(uri, text)
    items = await alone.inline_completion(uri, *place(text))
    assert not any("RATE" in item["insertText"] for item in items)


async def test_an_item_has_text_range_and_a_command_that_counts_acceptance(
    start: StartServer, workspace: Path, environment: dict[str, str]
) -> None:
    client = await start([workspace], env=ALONE)
    uri = path_to_uri(workspace / "shop" / "invoice.py")
    client.open(uri, INVOICE)
    line, character = place(INVOICE)
    (item,) = await client.inline_completion(uri, line, character, kind=2)
    assert item["insertText"].startswith("total")
    assert item["range"] == {
        "start": {"line": line, "character": character},
        "end": {"line": line, "character": character},
    }
    client.insert(uri, 2, line, character, item["insertText"])
    command = item["command"]
    assert await client.request(
        "workspace/executeCommand", {"command": command["command"], "arguments": command["arguments"]}
    )
    counts = (await status(client))["counts"]
    assert (counts["offered"], counts["accepted"]) == (1, 1)
    assert await client.shutdown() == 0
    saved = Path(environment["XDG_STATE_HOME"], "aix-lsp", "statistics.jsonl").read_text()
    assert '"accepted": 1' in saved
    assert "total" not in saved


async def test_requests_that_come_while_the_model_loads_wait_for_it(start: StartServer, workspace: Path) -> None:
    client = await start([workspace], ready=False, env=ALONE)
    uri = path_to_uri(workspace / "shop" / "invoice.py")
    client.open(uri, INVOICE)
    number, future = client.start_request("textDocument/inlineCompletion", inline_params(uri, *place(INVOICE)))
    client.cancel(number)
    with pytest.raises(ServerError) as caught:
        await future
    assert caught.value.code == -32800
    # the cancelled one did not stop the load
    items = await client.inline_completion(uri, *place(INVOICE))
    assert items[0]["insertText"]


async def test_past_the_limit_a_loading_model_gives_an_empty_answer(start: StartServer, workspace: Path) -> None:
    client = await start([workspace], ready=False, env=ALONE, arguments=["--set", "model.load_wait_s=0.01"])
    uri = path_to_uri(workspace / "shop" / "invoice.py")
    client.open(uri, INVOICE)
    assert await client.inline_completion(uri, *place(INVOICE)) == []


async def test_an_edit_that_comes_behind_a_request_makes_its_answer_empty(start: StartServer, workspace: Path) -> None:
    client = await start([workspace])
    uri = path_to_uri(workspace / "shop" / "invoice.py")
    client.open(uri, INVOICE)
    line, character = place(INVOICE)
    _, future = client.start_request("textDocument/inlineCompletion", inline_params(uri, line, character))
    client.insert(uri, 2, line, character, "x")
    assert (await asyncio.wait_for(future, 30))["items"] == []


async def test_the_selected_entry_of_a_suggest_widget_is_continued(start: StartServer, workspace: Path) -> None:
    client = await start([workspace])
    uri = path_to_uri(workspace / "shop" / "invoice.py")
    text = INVOICE.removesuffix("compute_grand_") + "comp"
    client.open(uri, text)
    line, character = place(text)
    params = inline_params(uri, line, character)
    word = {"start": {"line": line, "character": character - 4}, "end": {"line": line, "character": character}}
    params["context"]["selectedCompletionInfo"] = {"range": word, "text": "compute_grand_"}
    items = (await client.request("textDocument/inlineCompletion", params))["items"]
    assert items[0]["insertText"].startswith("compute_grand_total")
    assert all(item["insertText"].startswith("compute_grand_") and item["range"] == word for item in items)


async def test_unsaved_text_of_one_file_is_quoted_in_another(start: StartServer, workspace: Path) -> None:
    client = await start([workspace])
    pricing = path_to_uri(workspace / "shop" / "pricing.py")
    uri = path_to_uri(workspace / "shop" / "orders.py")
    text = "from shop.pricing import zebra_surcharge\n\nprice = zebra_surcharge("
    client.open(uri, text)
    client.open(pricing, PRICING)
    before = await snippets_of(client, uri, *place(text))
    assert not any("zebra_surcharge" in snippet["text"] for snippet in before)
    added = "\n\ndef zebra_surcharge(amount: float, stripes: int) -> float:\n    return amount + stripes\n"
    client.insert(pricing, 2, *place(PRICING), added)
    after = await snippets_of(client, uri, *place(text))
    assert any("zebra_surcharge(amount" in snippet["text"] for snippet in after)
    # closed without saving: what is on disk counts again
    client.notify("textDocument/didClose", {"textDocument": {"uri": pricing}})
    async with asyncio.timeout(60):
        while any("zebra_surcharge(amount" in found["text"] for found in await snippets_of(client, uri, *place(text))):
            await asyncio.sleep(0.05)


async def test_a_document_that_is_not_open_or_a_place_past_its_end_does_no_harm(
    start: StartServer, workspace: Path
) -> None:
    client: LspClient = await start([workspace])
    uri = path_to_uri(workspace / "shop" / "invoice.py")
    assert await client.inline_completion(uri, 0, 0) == []
    client.open(uri, INVOICE)
    items = await client.inline_completion(uri, 10_000, 10_000)
    assert items[0]["range"]["end"] == {"line": place(INVOICE)[0], "character": place(INVOICE)[1]}

"""Logs at level debug, standard error included: no text of a document, a file, a prompt, an answer or a message,
whatever goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

from aix_lsp.cli.lsp_client import inline_params
from aix_lsp.uris import path_to_uri
from tests.security.attacked import attacked, engine_elsewhere, sent_to
from tests.unit.remote_server import Fault, ModelServer

WORDS = ("open", "typed", "file", "answer", "message", "query", "method", "fault", "command", "header")


def canary(what: str) -> str:
    """A word that stands for what is in that place."""
    return f"CANARY_{what}_zqx"


async def test_no_text_of_the_user_or_of_a_server_is_logged_whatever_goes_wrong(
    workspace: Path, environment: dict[str, str]
) -> None:
    bait = "def reconcile_ledger(quarterly_totals, exchange_rates):\n    return quarterly_totals * exchange_rates\n"
    (workspace / "ledger.py").write_text(f"{bait}{canary('file')} = 1\n")
    text = f"{canary('open')} = 1\nquarterly_totals = exchange_rates = reconcile_ledger(quarterly_"
    async with ModelServer("text", text=f"totals, {canary('answer')})\n") as elsewhere:
        values = {**environment, **engine_elsewhere(elsewhere)}
        settings = {"completion": {"debounce_ms": canary("setting"), canary("setting"): 1}}
        async with attacked(
            workspace, values, configuration=settings, options={"completion": {"reuse": False}}
        ) as server:
            client, inspect = server.client, canary("query")
            assert await server.complete(workspace / "report.py", text)
            assert canary("file") in json.dumps(await server.command("aix.trace"))
            uri = path_to_uri(workspace / "typed.py")
            client.open(uri, text)
            client.insert(uri, 2, 0, 0, f"# {canary('typed')}\n")
            client.insert(uri, 3, 9_999_999, 7, canary("typed"))
            client.change(uri, 4, [{"range": canary("typed"), "text": canary("typed")}])
            client.change(path_to_uri(workspace / "never.py"), 5, [{"text": canary("typed")}])
            client.insert(uri, 1, 0, 0, canary("typed"))  # older than what is there
            elsewhere.fault = Fault(500, canary("fault"), headers=(f"X-A: {canary('header')}",))
            await client.request("textDocument/inlineCompletion", inline_params(uri, 1, 3))
            elsewhere.fault = Fault(after=1, ends="garbage")
            await client.request("textDocument/inlineCompletion", inline_params(uri, 1, 4))
            for body in (
                {"method": f"workspace/{canary('method')}", "params": {"x": canary("message")}},
                {"method": "textDocument/inlineCompletion", "params": canary("message"), "id": 900},
                {"method": "workspace/executeCommand", "params": {"command": canary("command")}, "id": 901},
                {"method": "aix.accepted", "params": {"x": canary("message")}, "id": 902},
                {"method": "workspace/executeCommand", "params": {"command": "aix.inspect", "arguments": [inspect]}},
                {"id": 903, "result": canary("message")},
                [canary("message")],
            ):
                message = {"jsonrpc": "2.0", **body} if isinstance(body, dict) else body
                client.send_raw(json.dumps(message).encode())
            client.send_raw(canary("message").encode())
            client.send_raw(b'{"jsonrpc": "2.0", "method": "' + canary("message").encode())
            client.send_raw(b"\xff\xfe" + canary("message").encode())
            await server.command("aix.status")
            sent, logged = sent_to(elsewhere), server.logged()
        logged += server.logged()
    assert canary("file") in sent
    assert logged, "at level debug something is logged"
    assert [word for word in WORDS if canary(word) in logged] == []
    assert "reconcile_ledger" not in logged
    assert "quarterly_" not in logged

"""A workspace full of secrets, and an engine elsewhere that keeps everything it is sent: nothing of them may leave
their files."""

from __future__ import annotations

import asyncio
import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aix_lsp.languages import language_of
from aix_lsp.retrieval.tokens import term_hash, tokenize
from aix_lsp.uris import path_to_uri
from tests.e2e.in_process import Call
from tests.security.attacked import Attacked, attacked, engine_elsewhere, sent_to
from tests.security.planted import BY_NAME, IN_TEXT
from tests.unit.remote_server import ModelServer

BAIT = "def reconcile_ledger(quarterly_totals, exchange_rates):\n    return quarterly_totals * exchange_rates\n"
"""In every file, so that each is the best snippet there could be."""

ASKED = "from ledger import reconcile_ledger\n\n\nquarterly_totals = exchange_rates = 2\nreconcile_ledger(quarterly_"


def plant(root: Path) -> None:
    """Every secret inside a source file of its own, and every kind of secret file, beside one harmless file."""
    (root / "ledger.py").write_text(f'"""The harmless one."""\n\n\n{BAIT}')
    for number, planted in enumerate(IN_TEXT):
        (root / f"module_{number}.py").write_text(f"{BAIT}\n\n{planted.text}\n\n\n{BAIT}")
    for number, name in enumerate(BY_NAME):
        path = root / f"named_{number}" / name
        path.parent.mkdir(parents=True)
        path.write_text(f"{BAIT}\nCANARY_BY_NAME_{number}_zyx = 1\n")


def words_of_secrets() -> Iterator[str]:
    """Every part of a planted secret that is long enough to be nothing else, and what tells files by name."""
    for planted in IN_TEXT:
        yield from (line for line in planted.value.split("\n") if len(line) >= 12)
    yield "CANARY_BY_NAME_"


def found_in(text: str) -> list[str]:
    """Kinds of secrets that a text shows."""
    kinds = {line: planted.kind for planted in IN_TEXT for line in planted.value.split("\n") if len(line) >= 12}
    return [kinds.get(word, "secret by name") for word in words_of_secrets() if word in text]


async def test_no_planted_secret_reaches_prompt_index_trace_page_log_or_the_engine_elsewhere(
    workspace: Path,
    environment: dict[str, str],
    short_folder: Path,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(workspace)
    (workspace / "shop" / "invoice.py").unlink()
    (workspace / "shop" / "pricing.py").unlink()
    async with ModelServer("text", text="totals, exchange_rates)\n") as elsewhere:
        sockets = {"XDG_RUNTIME_DIR": str(short_folder), "AIX_LSP_INSPECT__SOCKET": "true"}
        values = {**environment, **engine_elsewhere(elsewhere), **sockets}
        options = {"retrieval": {"snippets": 20}, "prompt": {"maxTokens": 900, "snippetShare": 0.8}}
        async with attacked(workspace, values, options=options) as server:
            assert await server.complete(workspace / "report.py", ASKED)
            quoted = await server.command("aix.trace")
            assert {snippet["path"] for snippet in quoted["snippets"]} == {"ledger.py"}
            asked_before = len(elsewhere.completions)
            # documents that hold a secret, or are called like one, are not answered, and are no snippets either
            for number in (0, 7, 40):
                text = f"{BAIT}\n{IN_TEXT[number].text}\n{ASKED}"
                assert not await server.complete(workspace / f"open_{number}.py", text)
                assert not await server.complete(workspace / f"open_{number}.py", text, kind=2)
                assert not await server.complete(f"untitled:{number}", text)
            assert not await server.complete(workspace / ".env", ASKED)
            server.client.open((workspace / "left_open.py").as_uri(), f"{BAIT}\n{IN_TEXT[0].text}\n{BAIT}")
            cell = _notebook(server, workspace, [IN_TEXT[3].text, ASKED])
            place = (ASKED.count("\n"), len(ASKED) - ASKED.rfind("\n") - 1)
            assert not await server.client.inline_completion(cell, *place)
            assert len(elsewhere.completions) == asked_before
            assert await server.complete(workspace / "report_2.py", ASKED + "totals, ")
            for seen in (await server.everything_shown(), sent_to(elsewhere), server.logged()):
                assert found_in(seen) == []
            for name, value in {**values, "AIX_LSP_LOG__FILE": str(server.log)}.items():
                monkeypatch.setenv(name, value)
            environment.update(sockets)
            assert found_in(await asyncio.to_thread(bundled, call, workspace, server.log)) == []
    kept = b"".join(path.read_bytes() for path in Path(environment["XDG_CACHE_HOME"]).rglob("*") if path.is_file())
    assert found_in(kept.decode("latin-1")) == []
    keywords = language_of("a.py", "python").keywords
    harmless = {*tokenize(BAIT, keywords), *tokenize("named module ledger py", keywords)}
    for word in words_of_secrets():
        for term in {*tokenize(word, keywords), word.lower()} - harmless:
            if len(term) >= 8:
                assert struct.pack("=Q", term_hash(term)) not in kept, "the hash of a secret's word is in the index"
    assert struct.pack("=Q", term_hash("reconcile_ledger")) in kept


def bundled(call: Call, workspace: Path, log: Path) -> str:
    """All members of a report for a bug, as one text; the log has every secret in it, by whatever fault or hand."""
    with log.open("a") as file:
        for planted in IN_TEXT:
            record = {"event": planted.text, "reason": planted.value, "level": planted.value, "logger": planted.value}
            file.write(f"{json.dumps(record)}\n{planted.text}\n")
    report = log.with_name("report.zip")
    made = call("doctor", "--bundle", report, "--workspace", workspace)
    assert made.returncode == 0, made.stderr
    with zipfile.ZipFile(report) as archive:
        members = {name: archive.read(name).decode() for name in archive.namelist()}
    assert len(json.loads(members["servers.json"])["servers"]) == 1
    assert members["log.jsonl"].count("\n") > len(IN_TEXT)
    return "\n".join(members.values())


def _notebook(server: Attacked, folder: Path, cells: list[str]) -> str:
    """Open a notebook of Python cells; the URI of the last."""
    notebook = path_to_uri(folder / "ledger.ipynb")
    uris = [f"{notebook}#cell{number}" for number in range(len(cells))]
    server.client.notify(
        "notebookDocument/didOpen",
        {
            "notebookDocument": {
                "uri": notebook,
                "notebookType": "jupyter-notebook",
                "version": 1,
                "cells": [{"kind": 2, "document": uri} for uri in uris],
            },
            "cellTextDocuments": [
                {"uri": uri, "languageId": "python", "version": 1, "text": text}
                for uri, text in zip(uris, cells, strict=True)
            ],
        },
    )
    return uris[-1]

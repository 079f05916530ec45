"""Documents and notebooks of a server against the reference client, over sequences that hypothesis finds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aix_lsp.server.app import AixServer
from aix_lsp.workspace.documents import DocumentStore
from tests.fuzz.client import ENCODINGS, Client, parsed, respelled
from tests.fuzz.in_process import Wire
from tests.fuzz.steps import STEPS

SEEDS = st.integers(0, 2**32 - 1)
DOCUMENT_STEPS = (
    "opens",
    "opens_again",
    "closes",
    "edits",
    "replaces",
    "edits_past_the_end",
    "changes_nothing",
    "comes_late",
    "edits_what_is_closed",
    "damages_a_change",
    "damages_an_opening",
    "edits_in_a_dialect",
    "opens_a_notebook",
    "changes_a_notebook",
    "closes_a_notebook",
)


class Unstarted:
    """What the handlers of documents need of a session that has not started."""

    class Started:
        def is_set(self) -> bool:
            return False

    def __init__(self, encoding: Any) -> None:
        self.documents = DocumentStore(lambda path: path.name, encoding)
        self.started = self.Started()


class DocumentsMachine(RuleBasedStateMachine):
    """Every step of a client that concerns documents; the server's own handlers and protocol, without a loop."""

    @initialize(encoding=st.sampled_from(ENCODINGS))
    def begin(self, encoding: Any) -> None:
        from tests.fuzz import dialects, notebooks, wild  # noqa: F401  # their steps

        self.server = AixServer()
        self.server.session = Unstarted(encoding)  # type: ignore[assignment]
        self.server.protocol._initialized = True
        self.wire = Wire()
        self.server.protocol.set_writer(self.wire)

        def write(frame: bytes) -> None:
            self.server.protocol.handle_body(frame.partition(b"\r\n\r\n")[2])

        self.client = Client(0, Path("/project"), write)
        self.client.encoding = self.client.mirror._encoding = encoding

    @rule(name=st.sampled_from(DOCUMENT_STEPS), seed=SEEDS)
    def takes_a_step(self, name: str, seed: int) -> None:
        STEPS[name][1](self.client, Random(seed))

    @rule(seed=SEEDS, text=st.text(max_size=5), at=st.integers(0, 60), length=st.integers(0, 5))
    def edits(self, seed: int, text: str, at: int, length: int) -> None:
        document = self.client.some_document(Random(seed))
        start = min(at, len(document.text))
        self.client.mirror.edit(document.uri, (start, min(start + length, len(document.text)), text))

    @rule(seed=SEEDS)
    def spells_otherwise(self, seed: int) -> None:
        chance = Random(seed)
        document = self.client.some_document(chance)
        store = self.server.session.documents
        found = store.get(respelled(document.uri, chance))
        assert found is not None
        assert found.uri == document.uri

    @invariant()
    def the_server_has_the_clients_texts(self) -> None:
        if not hasattr(self, "client"):
            return
        self.client.check()
        while self.wire.waiting:
            self.client.take(parsed(self.wire.waiting.pop(0)))
        assert not self.client.judge.broken, self.client.judge.broken
        assert not self.client.judge.waiting

    @invariant()
    def cells_know_their_notebooks(self) -> None:
        if not hasattr(self, "client"):
            return
        store = self.server.session.documents
        assert len(store._notebooks) == len(self.client.notebooks)
        for uri, cells in self.client.notebooks.items():
            for cell in cells:
                found = store.snapshot(cell)
                assert found is not None, json.dumps(cells)
                assert found.name == uri.rpartition("/")[2].rpartition(":")[2], uri


TestDocumentsMachine = DocumentsMachine.TestCase
TestDocumentsMachine.settings = settings(
    max_examples=int(os.environ.get("AIX_TEST_EXAMPLES", 0)) or 10, stateful_step_count=20
)

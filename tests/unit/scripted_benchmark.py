"""Runs a benchmark as the command does, on an engine that answers one text after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from aix_lsp.engine.base import OnEvent
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.evaluation import harness
from aix_lsp.evaluation.asked import Asked
from aix_lsp.evaluation.benchmark import Benchmark
from aix_lsp.evaluation.run_folder import MemoryRun, RunData
from aix_lsp.settings import Settings


def run_with(monkeypatch: pytest.MonkeyPatch, benchmark: Benchmark, replies: Sequence[str], **asked: Any) -> RunData:
    """The run of all samples, of which the first gets the first reply."""
    waiting = iter(replies)

    def make(settings: Settings, on_event: OnEvent, asked: Asked) -> Any:
        engine = ScriptedEngine(lambda prompt: next(waiting))
        engine.start()
        return engine

    monkeypatch.setattr(harness, "_engine", make)
    options = Asked(batch=1, **asked)
    prepared = harness.prepare(benchmark, options)
    store = MemoryRun(prepared.config)
    asyncio.run(harness.answer(prepared, options, store))
    return store.data

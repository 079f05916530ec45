"""Doubles for the tests of the model thread: a backend that moves when told to, and requests for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from aix_lsp.engine.base import LoadEvent
from aix_lsp.engine.catalog import embedded
from aix_lsp.engine.generation import Backend, LoadedModel
from aix_lsp.engine.scripted import Scores, Script, ScriptedBackend
from aix_lsp.engine.tokenizer import load_tokenizer
from aix_lsp.types import GenerationRequest, ModelInfo, Prompt, Tokenizer

PATIENCE_S = 60.0
FOLDER = Path(embedded().source)


class ByteTokenizer:
    """One token per byte of UTF-8."""

    vocabulary_size = 256

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode("utf-8", "replace")

    def special(self, *names: str) -> int | None:
        return None


class SteppedBackend(Backend):
    """Gives one token of `abcdef...` per `step`, and one load per `finish_load`; counts what it was asked."""

    def __init__(self, *, loaded: bool = True, failure: BaseException | None = None) -> None:
        self.started: list[str] = []
        self.yielded = 0
        self.closed = 0
        self.computing = threading.Event()
        self._steps = threading.Semaphore(0)
        self._load_done = threading.Event()
        self._failure = failure
        if loaded:
            self._load_done.set()

    def step(self, count: int = 1) -> None:
        self._steps.release(count)

    def finish_load(self) -> None:
        self._load_done.set()

    def load(self, report: Callable[[LoadEvent], None]) -> LoadedModel:
        report(LoadEvent("progress", "half way", 50))
        assert self._load_done.wait(PATIENCE_S)
        if self._failure is not None:
            raise self._failure
        return LoadedModel(ByteTokenizer(), ModelInfo("stepped", 64))

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        self.started.append(prompt.text)
        try:
            for token in b"abcdefghijklmnopqrstuvwxyz":
                self.computing.set()
                assert self._steps.acquire(timeout=PATIENCE_S)
                if cancelled():
                    return
                self.yielded += 1
                yield token
        finally:
            self.closed += 1
            self.computing.clear()


def request(text: str = "p", max_new_tokens: int = 100, **options: Any) -> GenerationRequest:
    def build(tokenizer: Tokenizer, info: ModelInfo) -> Prompt:
        return Prompt(tuple(tokenizer.encode(text)), text, info.format)

    return GenerationRequest(build_prompt=options.pop("build_prompt", build), max_new_tokens=max_new_tokens, **options)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.001)


class HostedBackend(ScriptedBackend):
    """A scripted backend with the embedded tokenizer and its folder, as a model host wants them."""

    def __init__(
        self, script: Script, *, delay: float = 0.0, alternatives: Sequence[str] = (), scores: Scores = ()
    ) -> None:
        self.positions = 512
        self.loads = 0
        super().__init__(
            script,
            load_tokenizer(FOLDER),
            ModelInfo("hosted", self.positions),
            delay=delay,
            load_delay=0.0,
            alternatives=alternatives,
            scores=scores,
        )

    def load(self, report: Callable[[LoadEvent], None]) -> LoadedModel:
        self.loads += 1
        loaded = super().load(report)
        return LoadedModel(loaded.tokenizer, ModelInfo("hosted", self.positions), FOLDER)

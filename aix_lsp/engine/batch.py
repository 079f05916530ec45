"""A model in this process that answers several requests at once, for measurements with thousands of them.

Rows are replaced as they end: a new request's prompt runs into the free place, and then all go on together. A pass over
one row mostly reads weights, which several rows share; prompts cost the same either way. On a processor that came to
little with the embedded model (`benchmarks/batch.py`, docs/log.md). Models that the lean forward does not
run, and requests for several candidates, are answered one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from aix_lsp.engine.base import EngineClosed, EngineError, OnEvent
from aix_lsp.engine.batch_decode import BatchDecoder
from aix_lsp.engine.batch_row import Row
from aix_lsp.engine.fresh import FreshBackend
from aix_lsp.engine.generation import LoadedModel, explained
from aix_lsp.engine.job import Job, model_failure
from aix_lsp.engine.memory import cache_budget, release_memory
from aix_lsp.engine.recovery import failed_with, is_out_of_memory
from aix_lsp.engine.worker import ModelThread
from aix_lsp.settings import ModelSettings

if TYPE_CHECKING:
    from aix_lsp.engine.decode import Decoder
    from aix_lsp.engine.lean import LeanForward
    from aix_lsp.engine.lookup import Lookup


@dataclass(frozen=True, slots=True)
class Parts:
    """What a loaded model has for rows."""

    forward: LeanForward
    decoder: Decoder
    lookup: Lookup | None


class BatchBackend(FreshBackend):
    """A `FreshBackend` whose parts can be used for several rows."""

    def parts(self) -> Parts | None:
        """None for a model that the lean forward does not run."""
        decoder = self._decoder()
        forward = decoder.lean
        return None if forward is None else Parts(forward, decoder, self._lookup)


class BatchEngine(ModelThread):
    """An `Engine` that answers up to `most` requests of different documents at once, and keeps nothing between them.
    With 1 it is the product's way."""

    def __init__(self, settings: ModelSettings, on_event: OnEvent | None = None, *, most: int = 1) -> None:
        self._rows_of = BatchBackend(settings)
        super().__init__(self._rows_of, on_event)
        self._most = most

    @property
    def at_once(self) -> int:
        """How many requests are worth having in flight; known once the model is loaded."""
        return self._most if self._loaded is None or self._rows_of.parts() is not None else 1

    # On the model thread from here on.

    def _serve(self, job: Job) -> None:
        parts = self._rows_of.parts() if self._present else None
        loaded = self._loaded
        if parts is None or loaded is None or self._most < 2 or job.request.candidates > 1:
            super()._serve(job)
            return
        wave = Wave(parts, loaded, self._most)
        exhausted, failure = False, ""
        try:
            wave.admit(job)
            while wave and not self._is_closed():
                wave.step()
                while wave.has_room and (another := self._another()) is not None:
                    wave.admit(another)
        except BaseException as error:  # noqa: BLE001  # whatever broke, every request is answered
            # no exception is kept: its traceback would hold on to the memory to be freed
            exhausted, failure = is_out_of_memory(error), model_failure(error)
        left = wave.left
        wave.release()
        if exhausted:
            # fewer at once from now on; alone, each has the steps that the product takes
            self._most = max(1, self._most // 2)
            release_memory(loaded.info.device)
            for each in left:
                super()._serve(each)
            return
        for each in left:
            each.abandon(EngineError(failed_with(failure)) if failure else EngineClosed("the engine was closed"))
        if failure:
            self._restart(failure)

    def _is_closed(self) -> bool:
        return self._failure is not None

    def _another(self) -> Job | None:
        with self._changed:
            return self._queue.take() if len(self._queue) else None


class Wave:
    """The rows that run, in the order of the decoder's, and at most one request that waits for room."""

    def __init__(self, parts: Parts, loaded: LoadedModel, most: int) -> None:
        self._parts = parts
        self._loaded = loaded
        budget = cache_budget(parts.forward.device)
        self._decoder = BatchDecoder(parts.forward, most, chunk=parts.decoder.chunk, budget=budget)
        self._most = most
        self._rows: list[Row] = []
        self._waiting: Row | None = None

    def __bool__(self) -> bool:
        return bool(self._rows)

    @property
    def has_room(self) -> bool:
        """Whether another request may be taken."""
        return self._waiting is None and len(self._rows) < self._most

    @property
    def left(self) -> list[Job]:
        """Requests that are not answered yet."""
        return [row.job for row in (*self._rows, *([self._waiting] if self._waiting is not None else []))]

    def release(self) -> None:
        """Let go of the rows."""
        self._rows.clear()
        self._waiting = None
        self._decoder.release()

    def admit(self, job: Job) -> None:
        """Begin to answer a request, as soon as there is memory for it."""
        if job.cancelled:
            return
        began = time.perf_counter()
        try:
            with explained("the prompt could not be built"):
                prompt = job.request.build_prompt(self._loaded.tokenizer, self._loaded.info)
            self._parts.decoder.check(prompt.ids)
            prior = self._parts.lookup.new_prior(prompt.elsewhere) if self._parts.lookup is not None else None
            self._waiting = Row(job, prompt, self._loaded, self._parts.decoder.words, prior, began)
        except EngineError as error:
            job.answer(error)
            return
        self._begin()

    def step(self) -> None:
        """One token for every row."""
        stop_ids = self._parts.decoder.stop_ids
        logits = self._decoder.step([row.latest for row in self._rows])
        likeliest = logits.argmax(dim=1).tolist() if any(row.plain for row in self._rows) else []
        for number, row in enumerate(self._rows):
            if row.job.cancelled:
                row.finish = "end"
            elif not row.plain:
                _take(row, partial(row.pick, logits[number], stop_ids))
            elif likeliest[number] in stop_ids:
                row.finish = "end"
            else:
                _take(row, partial(row.push, likeliest[number]))
        self._let_go()
        self._begin()

    def _begin(self) -> None:
        row = self._waiting
        if row is None or not self._decoder.fits(row.longest):
            return
        # in the list before it runs: whatever breaks, its request is answered
        self._waiting = None
        self._rows.append(row)
        logits = self._decoder.begin(row.prompt.ids, row.longest)
        _take(row, partial(row.pick, logits, self._parts.decoder.stop_ids))
        self._let_go()

    def _let_go(self) -> None:
        """Answer the requests whose rows have ended, and give their places to others."""
        for number in reversed(range(len(self._rows))):
            row = self._rows[number]
            if row.finish is None:
                continue
            row.job.answer(row.error or row.generation())
            self._decoder.end(number)
            # as the decoder does: the last one takes the number
            last = self._rows.pop()
            if number < len(self._rows):
                self._rows[number] = last


def _take(row: Row, step: Callable[[], None]) -> None:
    try:
        step()
    except EngineError as error:
        row.error, row.finish = error, "stop"

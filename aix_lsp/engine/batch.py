"""A model in this process that answers several requests at once, for measurements with thousands of them.

Rows are replaced as they end: a new request's prompt runs into the free place, and then all go on together. What it
gains depends on the machine: on a GPU a pass over sixteen rows takes hardly longer than one over a single row, on a
processor nearly sixteen times as long (`benchmarks/batch.py` measures both ways). Models that the lean forward does not
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
from aix_lsp.engine.job import Job, describe
from aix_lsp.engine.memory import cache_budget, release_memory
from aix_lsp.engine.recovery import is_out_of_memory
from aix_lsp.engine.worker import ModelThread
from aix_lsp.settings import ModelSettings

if TYPE_CHECKING:
    from aix_lsp.engine.decode import Decoder
    from aix_lsp.engine.lean import LeanForward
    from aix_lsp.engine.lookup import Lookup

AT_ONCE_ON_GPU = 16


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
    """An `Engine` that answers up to `most` requests of different documents at once; 0 decides by the device: 16 on a
    GPU, one by one on a processor. It keeps nothing between requests."""

    def __init__(self, settings: ModelSettings, on_event: OnEvent | None = None, *, most: int = 0) -> None:
        self._rows_of = BatchBackend(settings)
        super().__init__(self._rows_of, on_event)
        self._asked = most

    @property
    def at_once(self) -> int:
        """How many requests are worth having in flight; known once the model is loaded."""
        if self._asked:
            return self._asked
        on_gpu = self._loaded is not None and self._loaded.info.device != "cpu"
        return AT_ONCE_ON_GPU if on_gpu else 1

    # On the model thread from here on.

    def _serve(self, job: Job) -> None:
        parts = self._rows_of.parts() if self._present else None
        loaded = self._loaded
        if parts is None or loaded is None or self.at_once < 2 or job.request.candidates > 1:
            super()._serve(job)
            return
        wave = Wave(parts, loaded, self.at_once)
        error: BaseException | None = None
        try:
            wave.admit(job)
            while wave and not self._is_closed():
                wave.step()
                while wave.has_room and (another := self._another()) is not None:
                    wave.admit(another)
        except Exception as raised:  # noqa: BLE001  # whatever broke, every request is answered
            error = raised
        left = wave.left
        wave.release()
        self._finish(left, error)

    def _finish(self, left: list[Job], error: BaseException | None) -> None:
        """Answer those whose rows did not come to an end."""
        if error is None:
            for job in left:
                job.abandon(EngineClosed("the engine was closed"))
        elif is_out_of_memory(error) and self.at_once > 1:
            # fewer at once from now on; alone, each has the steps that the product takes
            self._asked = max(1, self.at_once // 2)
            release_memory(self._loaded.info.device if self._loaded else "cpu")
            for job in left:
                super()._serve(job)
        else:
            reason = f"the model failed: {describe(error)}"
            for job in left:
                job.answer(EngineError(reason))
            self._restart(reason)

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

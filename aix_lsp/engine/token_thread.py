"""A model thread for a model host: takes token ids and gives token ids, as they come.

The prompts are built, and texts made of the tokens, where the user types (`host_client.py`); here only the model's own
limits are held: tokens, time, positions.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aix_lsp.engine import pulse
from aix_lsp.engine.base import EngineError, ModelError, OnEvent
from aix_lsp.engine.generation import Backend, Halt, LoadedModel, room_for
from aix_lsp.engine.host_protocol import Run
from aix_lsp.engine.job import Job, post
from aix_lsp.engine.recovery import failed_with
from aix_lsp.engine.worker import ModelThread
from aix_lsp.types import FinishReason, Generation, GenerationRequest, ModelInfo, Prompt, Tokenizer


class StaleModel(EngineError):
    """The prompt was built for another model, or another amount of room, than there is now."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """New tokens of one row, the logarithms of their probabilities where the model tells them, and the counts of the
    whole answer so far."""

    ids: tuple[int, ...]
    row: int = 0
    reused: int = 0
    guessed: int = 0
    scores: tuple[float, ...] = ()


class TokenStream:
    """Carries tokens from the model thread to a loop, each exactly once and in order.

    At most one delivery per row waits on the loop, and takes all tokens that came until then. `enough` is what the loop
    says of a row of several candidates.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, receive: Callable[[Tokens], None]) -> None:
        self._loop = loop
        self._receive = receive
        self._lock = threading.Lock()
        self._pending: dict[int, Tokens] = {}
        self._enough: set[int] = set()

    def push(self, new: Tokens) -> None:
        """On the model thread."""
        with self._lock:
            before = self._pending.get(new.row)
            ids = (*before.ids, *new.ids) if before else new.ids
            scores = (*before.scores, *new.scores) if before else new.scores
            due = bool(self._pending)
            self._pending[new.row] = Tokens(ids, new.row, new.reused, new.guessed, scores)
        if not due:
            post(self._loop, self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, {}
        for tokens in pending.values():
            self._receive(tokens)

    def enough(self, row: int) -> None:
        """On the loop: this row need not grow any more."""
        self._enough.add(row)

    def is_enough(self, row: int) -> bool:
        """On the model thread."""
        return row in self._enough


@dataclass(frozen=True, slots=True)
class TokenRequest(GenerationRequest):
    """A request of token ids for the model of `epoch`. `rows` gets all candidates, in order, at the end."""

    epoch: int = 0
    stream: TokenStream | None = None
    first: tuple[int, ...] = ()
    rows: list[list[int]] = field(default_factory=list)


def token_request(run: Run, stream: TokenStream) -> TokenRequest:
    """What a window's message asks for."""

    def build(tokenizer: Tokenizer, info: ModelInfo) -> Prompt:
        return Prompt(run.ids, "", info.format, required=run.required, elsewhere=run.elsewhere)

    return TokenRequest(
        build_prompt=build,
        max_new_tokens=run.limit,
        temperature=run.temperature,
        top_p=run.top_p,
        seed=run.seed,
        time_limit=run.time_limit,
        document=run.document,
        candidates=run.count,
        background=run.background,
        request_id=run.request_id,
        epoch=run.epoch,
        stream=stream,
        first=run.first,
    )


class TokenThread(ModelThread):
    """Runs `TokenRequest`s. `on_end` is called on the loop when the thread serves no more.

    A model that fails is not loaded again here: in a broken process (a CUDA context after a fault, say) that would not
    help, and the windows start another process.
    """

    def __init__(
        self, backend: Backend, on_event: OnEvent, *, idle_s: float | None = None, on_end: Callable[[], None]
    ) -> None:
        super().__init__(backend, on_event, idle_s=idle_s)
        self._on_end = on_end
        self._epoch = 0

    def now(self) -> tuple[int, LoadedModel | None]:
        """The epoch, and the model as prompts see it."""
        with self._changed:
            return self._epoch, self._loaded

    def _take_over(self, loaded: LoadedModel) -> bool:
        with self._changed:
            before = self._loaded
            if before is None or (before.info, before.folder) != (loaded.info, loaded.folder):
                self._epoch += 1
        return super()._take_over(loaded)

    def _restart(self, error: str) -> None:
        self._fail(ModelError(failed_with(error)))

    def _may_restart(self, reason: str) -> bool:
        self._fail(ModelError(reason))
        return False

    def _look(self) -> None:
        """A model that stands still is one that has failed: the windows start another process."""
        if self._pulse.stands_still:
            self._fail(
                ModelError(f"the model has not moved for {pulse.STUCK_S:g} seconds; another process takes its place")
            )

    def _end(self, reason: EngineError) -> None:
        super()._end(reason)
        if self._loop is not None:
            post(self._loop, self._on_end)

    def _run(self, job: Job, loaded: LoadedModel) -> Generation:
        request = job.request
        assert isinstance(request, TokenRequest)
        if request.epoch != self.now()[0]:
            raise StaleModel("the model is another one now")
        start = time.perf_counter()
        halt = Halt(self._cancelled(job), None if request.time_limit is None else start + request.time_limit)
        prompt = request.build_prompt(loaded.tokenizer, loaded.info)
        limit = min(request.max_new_tokens, room_for(prompt, loaded.info))
        run = _run_candidates if request.candidates > 1 else _run_one
        count, finish = run(request, prompt, self._backend, halt, limit)
        return Generation("", count, finish, prompt, loaded.info.name)


def _run_one(
    request: TokenRequest, prompt: Prompt, backend: Backend, halt: Halt, limit: int
) -> tuple[int, FinishReason]:
    count = 0
    with contextlib.closing(backend.generate(prompt, request, halt)) as generator:
        for token in generator:
            count += 1
            if request.stream is not None:
                scores = tuple(backend.log_probabilities[count - 1 : count])
                request.stream.push(Tokens((token,), 0, backend.reused_tokens, backend.guessed_tokens, scores))
            if halt():
                return count, "timeout"
            if count >= limit:
                return count, "length"
    return count, "timeout" if halt.fired else "end"


def _run_candidates(
    request: TokenRequest, prompt: Prompt, backend: Backend, halt: Halt, limit: int
) -> tuple[int, FinishReason]:
    known: dict[int, int] = {}
    stream = request.stream

    def stop(row: int, tokens: Sequence[int]) -> bool:
        if stream is None:
            return False
        stream.push(Tokens(tuple(tokens[known.get(row, 0) :]), row))
        known[row] = len(tokens)
        return stream.is_enough(row)

    rows = backend.candidates(prompt, request, halt, first=request.first, limit=limit, stop=stop)
    request.rows.extend(rows)
    return sum(map(len, rows)), "timeout" if halt.fired else "end"

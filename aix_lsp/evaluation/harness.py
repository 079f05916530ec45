"""Runs a benchmark: every sample answered with the product's prompt and engine, cut by its own rule, and scored.

Nothing of the service comes between: no retrieval but what the sample brings, no gate, no post-processing. Answers in
this process keep nothing from one sample to the next and guess no tokens ahead, so that the same run gives the same
answers whatever was asked before it, also where it was interrupted.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Final, Literal

from aix_lsp.engine.base import Engine, EngineError, ModelError, OnEvent
from aix_lsp.engine.remote_errors import RemoteError
from aix_lsp.engine.select import StartedEngine, engine_for, is_remote
from aix_lsp.evaluation.asked import Asked, digest_of, model_of, settings_of, versions
from aix_lsp.evaluation.benchmark import Benchmark, DataError, Loaded, Output, Result, Sample
from aix_lsp.evaluation.one_model import noting, only, tell_model
from aix_lsp.evaluation.run_folder import Store, unanswered
from aix_lsp.evaluation.stop_rules import Rule, rule_for
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import PromptSettings, Settings
from aix_lsp.text import one_line
from aix_lsp.types import DocumentSnapshot, FimFormat, GenerationRequest, ModelInfo

PROMPT_TOKENS: Final = 16_384
"""Most tokens of a prompt, where a model has so many positions: the budget of the reference's Table 8."""

IN_FLIGHT: Final = 16
"""Requests on a server at once, where the command says nothing: it batches them."""

_WAITS_S: Final = (1.0, 5.0, 20.0)
"""Before a server that does not answer is asked once more."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A benchmark with its samples, the settings of the model that answers, and what makes this run what it is."""

    benchmark: Benchmark
    loaded: Loaded
    settings: Settings
    config: dict[str, Any]

    def todo(self, done: frozenset[str]) -> list[tuple[int, Sample]]:
        """The samples that are still to be asked, with their numbers."""
        return unanswered(self.loaded.samples, done)


class RunStopped(EngineError):
    """The run cannot go on now; what is done is kept. One line."""


def prepare(benchmark: Benchmark, asked: Asked) -> Prepared:
    """Read the data, and look at the model's files, without loading it. Raises DataError, ModelError, ValueError."""
    settings = settings_of(asked)
    # what is wrong with the model is told before a large file is read
    name, weights = model_of(settings)
    loaded = benchmark.load(asked.limit, asked.seed)
    if not loaded.samples:
        raise DataError(f"{benchmark.name}: the data has no sample that can be asked")
    ids = [sample.id for sample in loaded.samples]
    if len(set(ids)) != len(ids):
        raise ValueError(f"{benchmark.name}: two samples have the same id")
    for sample in loaded.samples:
        rule_for(sample)
    config = {
        "benchmark": benchmark.name,
        "protocol": benchmark.protocol,
        "model": name,
        "model_asked": name,
        "weights": weights,
        "engine": asked.engine,
        "format": asked.format,
        "seed": asked.seed,
        "limit": asked.limit,
        "copy_prior": asked.copy_prior,
        "data": digest_of(loaded.samples),
        "versions": versions(asked.engine),
        "metrics": [asdict(metric) for metric in benchmark.metrics],
        "samples": len(ids),
        "problems": list(loaded.problems),
        "notes": list(loaded.notes),
    }
    return Prepared(benchmark, loaded, settings, config)


async def answer(
    prepared: Prepared,
    asked: Asked,
    store: Store,
    *,
    on_result: Callable[[Result], None] = lambda result: None,
    on_warning: Callable[[str], None] = lambda message: None,
) -> None:
    """Ask, cut and score what `store` lacks, and keep each result there as soon as it is scored.

    An error of one sample is kept with it. Raises ModelError when the model cannot be loaded or another one takes its
    place, RunStopped when the server stays away. Cancelling it loses the samples in flight and no other.
    """
    todo = prepared.todo(store.done)
    if not todo:
        return
    warn = noting(store, on_warning)
    async with only(prepared.settings, partial(_engine, asked=asked), warn) as (engine, info):
        width = _at_once(asked, engine)
        if width > 1:
            # answers that take about as long run together, and memory for the longest is taken first
            todo.sort(key=lambda pair: -len(pair[1].before) - len(pair[1].after))
        tell_model(store, info, at_once=width)
        await _Running(prepared, asked, engine, info, store, on_result).run(todo, width)


def _engine(settings: Settings, on_event: OnEvent, *, asked: Asked) -> StartedEngine:
    if is_remote(settings):
        return engine_for(settings, on_event)
    from aix_lsp.engine.batch import BatchEngine

    return BatchEngine(settings.model, on_event, most=asked.batch or 1)


def _at_once(asked: Asked, engine: Engine) -> int:
    from aix_lsp.engine.batch import BatchEngine

    return engine.at_once if isinstance(engine, BatchEngine) else asked.batch or IN_FLIGHT


class _Running:
    """One run: so many workers ask, and hand what came over to threads that score it."""

    def __init__(
        self,
        prepared: Prepared,
        asked: Asked,
        engine: Engine,
        info: ModelInfo,
        store: Store,
        on_result: Callable[[Result], None],
    ) -> None:
        self._benchmark = prepared.benchmark
        self._asked = asked
        self._engine = engine
        self._info = info
        self._store = store
        self._on_result = on_result
        self._remote = is_remote(prepared.settings)

    async def run(self, todo: Sequence[tuple[int, Sample]], width: int) -> None:
        """Ask all of them, `width` at once."""
        waiting = iter(todo)
        # tests that run take seconds; more of them at once than processors would only time out
        scorers = max(1, min(4, os.cpu_count() or 1))
        pool = ThreadPoolExecutor(scorers, thread_name_prefix="aix-score")
        # so that scores do not fall behind without end
        room = asyncio.Semaphore(2 * scorers + width)
        scoring: set[asyncio.Task[None]] = set()

        def scored(task: asyncio.Task[None]) -> None:
            room.release()
            if task.cancelled() or task.exception() is None:
                scoring.discard(task)

        async def work() -> None:
            for number, sample in waiting:
                output = await self._output(sample)
                await room.acquire()
                for task in scoring:
                    if task.done():
                        task.result()  # a disk that is full: no use in going on
                keeping = asyncio.create_task(self._keep(pool, number, sample, output))
                scoring.add(keeping)
                keeping.add_done_callback(scored)

        error: BaseException | None = None
        try:
            try:
                async with asyncio.TaskGroup() as workers:
                    for _ in range(min(width, len(todo))):
                        workers.create_task(work())
            except BaseExceptionGroup as group:
                error = _first(group)
            # what was answered is kept, whatever stopped the others
            await asyncio.gather(*scoring, return_exceptions=error is not None)
            if error is not None:
                raise error
        finally:
            for task in scoring:
                task.cancel()
            pool.shutdown(wait=False, cancel_futures=True)

    async def _keep(self, pool: ThreadPoolExecutor, number: int, sample: Sample, output: Output) -> None:
        scores: Mapping[str, float | None] = {}
        if not output.error:
            try:
                loop = asyncio.get_running_loop()
                scores = _finite(await loop.run_in_executor(pool, self._benchmark.score, sample, output))
            except Exception as error:  # noqa: BLE001  # a fault of a metric costs its sample, not the run
                output = Output((), error=f"it could not be scored: {one_line(error)}")
        result = Result(sample, output, scores)
        self._store.add(number, result)
        self._on_result(result)

    async def _output(self, sample: Sample) -> Output:
        """The answer, or the answers where the sample asks for several (`draws`, `temperature`, `top_p` of `extra`)."""
        rule = rule_for(sample)
        draws = max(1, int(sample.extra.get("draws", 1)))
        outputs = [await self._one(sample, rule, number) for number in range(draws)]
        failed = next((output for output in outputs if output.error), None)
        if failed is not None:
            return failed
        first = outputs[0]
        return Output(
            tuple(output.text for output in outputs),
            finish=first.finish,
            tokens=sum(output.tokens for output in outputs),
            prompt_tokens=first.prompt_tokens,
            milliseconds=sum(output.milliseconds for output in outputs),
            first_token_ms=first.first_token_ms,
        )

    async def _one(self, sample: Sample, rule: Rule, draw: int) -> Output:
        request = self._request(sample, rule, draw)
        waits = iter(_WAITS_S)
        while True:
            try:
                generation = await self._engine.generate(request)
                break
            except RemoteError as error:
                if not error.down:
                    return Output((), error=one_line(error))
                pause = next(waits, None)
                if pause is None:
                    raise RunStopped(one_line(error)) from None
                await asyncio.sleep(max(pause, error.wait_s))
            except ModelError:
                raise
            except EngineError as error:
                return Output((), error=one_line(error))
        if generation.model != self._info.name:
            raise ModelError(
                f"{self._info.name} answers no more, {generation.model} does: memory ran out, or it failed"
            )
        return Output(
            (rule.cut(generation.text),),
            finish=generation.finish,
            tokens=generation.tokens,
            prompt_tokens=len(generation.prompt.ids),
            milliseconds=generation.prompt_ms + generation.total_ms,
            first_token_ms=generation.prompt_ms + generation.first_token_ms,
        )

    def _request(self, sample: Sample, rule: Rule, draw: int) -> GenerationRequest:
        # a name of its own: a request takes the place of earlier ones of its document
        document = DocumentSnapshot(
            f"untitled:{sample.id}#{draw}", sample.before + sample.after, sample.language, 0, sample.name
        )
        temperature = float(sample.extra.get("temperature", 0.0))
        return GenerationRequest(
            build_prompt=partial(
                build_prompt,
                document=document,
                offset=len(sample.before),
                snippets=sample.snippets,
                settings=prompt_settings(sample, self._asked.format),
                max_new_tokens=sample.max_new_tokens,
            ),
            max_new_tokens=sample.max_new_tokens,
            temperature=temperature,
            top_p=float(sample.extra.get("top_p", 1.0)),
            seed=_seed(self._asked.seed, sample.id, draw) if temperature else None,
            stop=rule.stop,
            document=document.uri,
        )


def prompt_settings(sample: Sample, wanted: FimFormat | Literal["auto"]) -> PromptSettings:
    """The product's, with the order that the command or the protocol says, and room for what the model can take."""
    order = sample.format or "auto" if wanted == "auto" else wanted
    return PromptSettings(format=order, max_tokens=int(sample.extra.get("prompt_tokens", PROMPT_TOKENS)))


def _seed(seed: int, id_: str, draw: int) -> int:
    return int.from_bytes(sha256(f"{seed} {id_} {draw}".encode()).digest()[:4], "big")


def _finite(scores: Mapping[str, float | None]) -> dict[str, float | None]:
    """Scores as JSON can have them."""
    return {name: None if value is None or not math.isfinite(value) else float(value) for name, value in scores.items()}


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What stopped the run first; the others were in flight."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

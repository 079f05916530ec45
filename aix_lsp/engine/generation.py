"""One request from start to end on the model thread: prompt, tokens, limits, text, times."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Protocol

from aix_lsp.engine.base import EngineError, LoadEvent
from aix_lsp.engine.job import describe
from aix_lsp.engine.text_stream import TextStream
from aix_lsp.types import FinishReason, Generation, GenerationRequest, ModelInfo, Prompt, Tokenizer


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """What a backend's load gives: the tokenizer for prompts and text, and what the service must know."""

    tokenizer: Tokenizer
    info: ModelInfo


class Backend(Protocol):
    """A model as the model thread drives it. Called on that thread only."""

    def load(self, report: Callable[[LoadEvent], None]) -> LoadedModel:
        """Load the model, telling `report` how far it is. Raises ModelError.

        `report` raises EngineClosed when the load is to be given up; let it through.
        """
        ...

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        """Tokens that continue `prompt`, until an end token (not yielded) or until `cancelled()`.

        Token and time limits and the service's stop are the caller's: it closes the generator.
        """
        ...

    @property
    def reused_tokens(self) -> int:
        """Prompt tokens that the latest `generate` did not have to run again."""
        ...


class _Halt:
    """True once the request is cancelled or its time is over, and remembers that it said so."""

    def __init__(self, cancelled: Callable[[], bool], deadline: float | None) -> None:
        self._cancelled = cancelled
        self._deadline = deadline
        self.fired = False

    def __call__(self) -> bool:
        late = self._deadline is not None and time.perf_counter() >= self._deadline
        self.fired = self.fired or late or self._cancelled()
        return self.fired


def run(
    request: GenerationRequest,
    model: LoadedModel,
    backend: Backend,
    *,
    cancelled: Callable[[], bool],
    show: Callable[[str], None],
    queue_ms: float = 0.0,
) -> Generation:
    """Answer `request`. `show` gets all text so far whenever it has grown.

    `total_ms` counts from the same point as `first_token_ms`, after the prompt was built: queue, prompt and
    total together are the whole time. The time limit counts from the start, prompt building included.
    Raises EngineError when the prompt, the stop condition or the model fails. When `cancelled`, what is
    returned is of no use to anyone.
    """
    start = time.perf_counter()
    halt = _Halt(cancelled, None if request.time_limit is None else start + request.time_limit)
    with _explained("the prompt could not be built"):
        prompt = request.build_prompt(model.tokenizer, model.info)
    built = time.perf_counter()
    room = _room(prompt, model.info)
    stream = TextStream(model.tokenizer)
    # what was taken back from the prompt is spelled out again first, and is no part of the answer
    healed = len(prompt.required)
    finish: FinishReason = "end"
    tokens = 0
    first_token_ms = 0.0
    with (
        _explained("the model failed"),
        contextlib.closing(backend.generate(prompt, request, halt)) as produced,
    ):
        for number, token in enumerate(produced, 1):
            before = stream.text[healed:]
            text = stream.push(token)[healed:]
            if not _keeps_to(prompt.required, stream.text):
                text, finish = "", "stop"
                break
            if cancelled():
                break
            if text or not healed:
                tokens += 1
                first_token_ms = first_token_ms or _ms_since(built)
            if text != before:
                show(text)
            if _wants_stop(request, text):
                finish = "stop"
                break
            if tokens >= request.max_new_tokens or number >= room:
                finish = "length"
                break
        else:
            finish = "timeout" if halt.fired else "end"
        reused = backend.reused_tokens
    return Generation(
        text=stream.text[healed:] if _keeps_to(prompt.required, stream.text) else "",
        tokens=tokens,
        finish=finish,
        prompt=prompt,
        model=model.info.name,
        queue_ms=queue_ms,
        prompt_ms=(built - start) * 1000,
        first_token_ms=first_token_ms,
        total_ms=_ms_since(built),
        reused_tokens=reused,
    )


def _keeps_to(required: str, text: str) -> bool:
    """Whether a text is still on the way of spelling out what is required, or has done so. An engine that cannot be
    made to would otherwise have the wrong characters cut off its answer."""
    return text.startswith(required[: len(text)])


def _room(prompt: Prompt, info: ModelInfo) -> int:
    """Tokens that can be generated before the model's positions end."""
    if not prompt.ids:
        raise EngineError("the prompt is empty")
    room = info.max_positions - len(prompt.ids)
    if room < 1:
        raise EngineError(
            f"the prompt has {len(prompt.ids)} tokens, and {info.name} takes at most {info.max_positions} together "
            "with the completion"
        )
    return room


def _wants_stop(request: GenerationRequest, text: str) -> bool:
    if request.stop is None:
        return False
    with _explained("the stop condition failed"):
        return request.stop(text)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn whatever is raised inside into an EngineError that says what went wrong."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"{what}: {describe(error)}") from error


def _ms_since(moment: float) -> float:
    return (time.perf_counter() - moment) * 1000

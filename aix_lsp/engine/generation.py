"""One request from start to end on the model thread: prompt, tokens, limits, text, times."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aix_lsp.engine.base import EngineError, LoadEvent
from aix_lsp.engine.job import named
from aix_lsp.engine.text_stream import TextStream
from aix_lsp.logs import fields
from aix_lsp.types import FinishReason, Generation, GenerationRequest, ModelInfo, Prompt, Tokenizer, TokenScore

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """What a backend's load gives: the tokenizer for prompts and text, what the service must know, and the folder of
    the model's files where there is one."""

    tokenizer: Tokenizer
    info: ModelInfo
    folder: Path | None = None


Report = Callable[[LoadEvent], None]
"""Tells how a load goes. Raises EngineClosed when the load is to be given up; let it through."""


class Backend(Protocol):
    """A model as the model thread drives it. Called on that thread only, but for `wake`.

    What has a body here is for backends that can do no better: they may subclass this.
    """

    def load(self, report: Report) -> LoadedModel:
        """Load the model, telling `report` how far it is; also again, after a failure or `unload`.

        Raises ModelError."""
        ...

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        """Tokens that continue `prompt`, until an end token (not yielded) or until `cancelled()`.

        Token limits and the service's stop are the caller's: it closes the generator. So is the time limit where
        `timed_out` is None. Raises EngineError when this request fails, OutOfMemory, ModelLost and ModelChanged as
        they say; any other exception means that the model itself is broken.
        """
        ...

    def candidates(
        self,
        prompt: Prompt,
        request: GenerationRequest,
        cancelled: Callable[[], bool],
        *,
        first: Sequence[int],
        limit: int,
        stop: Callable[[int, Sequence[int]], bool],
    ) -> list[list[int]]:
        """Up to `request.candidates` distinct token lists of at most `limit` tokens; `first`, the plain answer, is
        the first of them. `stop(row, tokens)` ends one."""
        return [list(first)]

    @property
    def reused_tokens(self) -> int:
        """Prompt tokens that the latest `generate` did not have to run again."""
        return 0

    @property
    def guessed_tokens(self) -> int:
        """Tokens of the latest `generate` that were guessed and found right."""
        return 0

    @property
    def log_probabilities(self) -> Sequence[float]:
        """Natural logarithms of the probabilities of the tokens of the latest `generate`, in the order in which they
        are yielded: those at temperature 1, of the distribution that decided. There may be more of them than tokens
        were asked for; empty for a backend that cannot tell."""
        return ()

    @property
    def timed_out(self) -> bool | None:
        """Whether the latest `generate` ended at the request's time limit by the backend's own clock; None for a
        backend that has none."""
        return None

    @property
    def sharing(self) -> str:
        """Who else uses the model, for a person; empty when it is this process's own."""
        return ""

    def unload(self) -> bool:
        """Free the model's memory until the next `load`; False where that would be of no use."""
        return False

    def relieve(self, report: Report) -> tuple[LoadedModel, str] | None:
        """After OutOfMemory: take a step that needs less. Returns the model as it is now and what to tell the user;
        None when no step is left."""
        return None

    def retreat(self) -> str:
        """The model fails again and again: let the next `load` take one that needs nothing of it. Returns its name, ""
        where there is none."""
        return ""

    def wake(self) -> None:
        """From any thread: `cancelled` or `report` may answer otherwise now; a backend that waits should ask them."""
        return

    def close(self) -> None:
        """The thread ends."""
        return


class Halt:
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
    total together are the whole time. The time limit counts from the start, prompt building included, where the
    backend has no clock of its own. Raises EngineError when the prompt or the stop condition fails, and whatever the
    backend raises. When `cancelled`, what is returned is of no use to anyone.
    """
    start = time.perf_counter()
    own_clock = request.time_limit is not None and backend.timed_out is None
    halt = Halt(cancelled, start + (request.time_limit or 0.0) if own_clock else None)
    with explained("the prompt could not be built"):
        prompt = request.build_prompt(model.tokenizer, model.info)
    built = time.perf_counter()
    room = room_for(prompt, model.info)
    stream = TextStream(model.tokenizer)
    # what was taken back from the prompt is spelled out again first, and is no part of the answer
    healed = len(prompt.required)
    finish: FinishReason = "end"
    produced: list[int] = []
    ends: list[int | None] = []
    tokens = 0
    first_token_ms = 0.0
    with contextlib.closing(backend.generate(prompt, request, halt)) as generator:
        for token in generator:
            produced.append(token)
            before = stream.text[healed:]
            text = stream.push(token)[healed:]
            if not keeps_to(prompt.required, stream.text):
                text, finish = "", "stop"
                break
            if cancelled():
                break
            ends.append(len(text) if text or not healed else None)
            if ends[-1] is not None:
                tokens += 1
                first_token_ms = first_token_ms or _ms_since(built)
            if text != before:
                show(text)
            if wants_stop(request, text):
                finish = "stop"
                break
            if tokens >= request.max_new_tokens or len(produced) >= room:
                finish = "length"
                break
        else:
            finish = "timeout" if halt.fired or backend.timed_out else "end"
        reused, guessed = backend.reused_tokens, backend.guessed_tokens
        scores = _scores(ends, backend.log_probabilities)
    if logger.isEnabledFor(logging.DEBUG):
        figures = {
            "queue_ms": round(queue_ms, 1),
            "prompt_ms": round((built - start) * 1000, 1),
            "prompt": len(prompt.ids),
        }
        times = {"first_token_ms": round(first_token_ms, 1), "total_ms": round(_ms_since(built), 1)}
        counts = {"tokens": tokens, "reused": reused, "guessed": guessed, "finish": finish, "cancelled": cancelled()}
        logger.debug("generated", extra=fields(**figures, **times, **counts))
    answer = stream.text[healed:] if keeps_to(prompt.required, stream.text) else ""
    alternatives: tuple[str, ...] = ()
    if request.candidates > 1 and finish != "timeout" and not cancelled():
        rows = _Rows(request, model.tokenizer, prompt.required)
        limit = min(request.max_new_tokens + len(produced) - tokens, room)
        lists = backend.candidates(prompt, request, halt, first=produced, limit=limit, stop=rows.stop)
        alternatives = rows.texts(lists[1:], answer)
    return Generation(
        text=answer,
        tokens=tokens,
        finish=finish,
        prompt=prompt,
        model=model.info.name,
        queue_ms=queue_ms,
        prompt_ms=(built - start) * 1000,
        first_token_ms=first_token_ms,
        total_ms=_ms_since(built),
        reused_tokens=reused,
        guessed_tokens=guessed,
        alternatives=alternatives,
        scores=scores if answer else (),
    )


def _scores(ends: Sequence[int | None], log_probabilities: Sequence[float]) -> tuple[TokenScore, ...]:
    """A score for each token that has a part in the text. None at all where they cannot be told from one another, or
    where a broken model gave what is no number."""
    pairs = list(zip(ends, log_probabilities, strict=False))
    if len(pairs) < len(ends) or any(math.isnan(score) for _, score in pairs):
        return ()
    return tuple(TokenScore(end, min(score, 0.0)) for end, score in pairs if end is not None)


class _Rows:
    """The texts of several candidates while they grow, each with the service's stop condition."""

    def __init__(self, request: GenerationRequest, tokenizer: Tokenizer, required: str) -> None:
        self._request = request
        self._tokenizer = tokenizer
        self._required = required
        self._rows: dict[int, tuple[TextStream, int]] = {}

    def stop(self, row: int, tokens: Sequence[int]) -> bool:
        """Whether this row's text is to end here. `tokens` are all of the row's so far."""
        stream, pushed = self._rows.get(row, (TextStream(self._tokenizer), 0))
        for token in tokens[pushed:]:
            stream.push(token)
        self._rows[row] = stream, len(tokens)
        if not keeps_to(self._required, stream.text):
            return True
        return wants_stop(self._request, stream.text[len(self._required) :])

    def texts(self, lists: Sequence[Sequence[int]], answer: str) -> tuple[str, ...]:
        """The distinct texts of these rows, without `answer` and without empty ones."""
        found: dict[str, None] = {}
        for tokens in lists:
            stream = TextStream(self._tokenizer)
            for token in tokens:
                stream.push(token)
            text = stream.text[len(self._required) :] if stream.text.startswith(self._required) else ""
            if text and text != answer:
                found[text] = None
        return tuple(found)


def keeps_to(required: str, text: str) -> bool:
    """Whether a text is still on the way of spelling out what is required, or has done so. An engine that cannot be
    made to would otherwise have the wrong characters cut off its answer."""
    return text.startswith(required[: len(text)])


def room_for(prompt: Prompt, info: ModelInfo) -> int:
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


def wants_stop(request: GenerationRequest, text: str) -> bool:
    """Whether the request's own condition ends this text. Raises EngineError when the condition fails."""
    if request.stop is None:
        return False
    with explained("the stop condition failed"):
        return request.stop(text)


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn whatever is raised inside into an EngineError that says what went wrong. A library in Rust that panics, a
    tokenizer's for one, raises what is no Exception."""
    try:
        yield
    except (EngineError, SystemExit, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise EngineError(f"{what}: {named(error)}") from error


def _ms_since(moment: float) -> float:
    return (time.perf_counter() - moment) * 1000

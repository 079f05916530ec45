"""The model of a host process, as a window's own model thread drives it: prompts, texts and stops are made here.

The host runs token ids. When it goes away (killed, or broken) the request that was running is lost through no fault of
its own: the model thread connects again, which starts another host where there is none, and runs it once more. No torch
here: a window that shares a model never loads it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import NoReturn

from aix_lsp.engine.base import (
    EngineError,
    LoadEvent,
    ModelChanged,
    ModelError,
    ModelLost,
    Superseded,
)
from aix_lsp.engine.generation import Backend, LoadedModel, Report
from aix_lsp.engine.host_link import HostLink, NobodyThere, open_link
from aix_lsp.engine.host_place import Place
from aix_lsp.engine.host_protocol import Message, Run, model_of, scores_of
from aix_lsp.engine.tokenizer import TokenizerError, load_tokenizer
from aix_lsp.types import GenerationRequest, Prompt, Tokenizer

_MOST_HOSTS = 3
"""How many hosts may end while they load, one after the other, until no more is started."""

_MOST_ELSEWHERE = 32_768

Connect = Callable[[Report, Callable[[str], None]], HostLink]
"""Finds the host, or starts one: `host_process.connect`."""


class SharedBackend(Backend):
    """A `Backend` whose model another process runs."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._link: HostLink | None = None
        self._tokenizers: dict[Path, Tokenizer] = {}
        self._report: Report | None = None
        self._numbers = itertools.count(1)
        self._epoch = 0
        self._reused = self._guessed = 0
        self._scores: list[float] = []
        self._timed_out = False

    @property
    def reused_tokens(self) -> int:
        """Prompt tokens that the latest `generate` did not have to run again."""
        return self._reused

    @property
    def guessed_tokens(self) -> int:
        """Tokens of the latest `generate` that were guessed and found right."""
        return self._guessed

    @property
    def log_probabilities(self) -> Sequence[float]:
        """See `Backend.log_probabilities`."""
        return self._scores

    @property
    def timed_out(self) -> bool:
        """Whether the host ended the latest `generate` at its time limit. It counts from when the model begins: while
        the host loads or serves another window, no time is lost."""
        return self._timed_out

    @property
    def sharing(self) -> str:
        """Who shares the model, for a person."""
        state = self._link.state if self._link is not None and not self._link.lost else {}
        return in_words(state)

    def load(self, report: Report) -> LoadedModel:
        """Be connected to a host whose model is ready. Raises ModelError."""
        self._report = report
        for _ in range(_MOST_HOSTS):
            if self._link is None or self._link.lost:
                report(LoadEvent("progress", "looking for the model host", 0))
                self._link = self._connect(report, self._warn)
            with contextlib.suppress(ModelLost):
                return self._wait(self._link, report)
        raise ModelError(f"{self._link.lost if self._link else ''} while it loaded the model, {_MOST_HOSTS} times")

    def _wait(self, link: HostLink, report: Report) -> LoadedModel:
        """Wait until the host has a model. Raises ModelLost when it ends before."""
        while True:
            state = link.state
            if state.get("model") is not None and state.get("phase") != "failed":
                return self._model(state)
            if state.get("phase") == "failed" and state.get("model") is None:
                link.close()
                raise ModelError(str(state.get("message")))
            # A host that has failed after its model was loaded is about to end: then another one is to be found.
            percent = state.get("percent")
            message = str(state.get("message", "the model host is starting"))
            # also when nothing is new: `report` raises EngineClosed once nobody wants the model any more
            report(LoadEvent("progress", message, percent if isinstance(percent, int) else None))
            link.take()

    def _model(self, state: Message) -> LoadedModel:
        info, folder = model_of(state["model"])
        if folder not in self._tokenizers:
            try:
                self._tokenizers = {folder: load_tokenizer(folder)}
            except TokenizerError as error:
                raise ModelError(str(error)) from error
        self._epoch = int(state["epoch"])
        return LoadedModel(self._tokenizers[folder], info, folder)

    def _warn(self, message: str) -> None:
        """On the reader's thread."""
        if self._report is not None:
            with contextlib.suppress(EngineError):
                self._report(LoadEvent("warning", message))

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        """Tokens that continue `prompt`, as the host sends them; see `Backend.generate`."""
        self._reused = self._guessed = 0
        self._scores = []
        self._timed_out = False
        # What was taken back from the prompt is spelled out again first, with a token per byte at most.
        run = self._run(prompt, request, request.max_new_tokens + len(prompt.required.encode()))
        with contextlib.closing(self._messages(run, cancelled)) as messages:
            for message in messages:
                if message["op"] == "end":
                    self._timed_out = message.get("finish") == "timeout"
                    return
                self._reused = int(message.get("reused", 0))
                self._guessed = int(message.get("guessed", 0))
                self._scores += scores_of(message, len(message["ids"]))
                yield from message["ids"]

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
        """See `Backend.candidates`. A row that has grown past its stop is cut there."""
        run = self._run(prompt, request, limit, count=request.candidates, first=tuple(first))
        rows: dict[int, list[int]] = {0: list(first)}
        ended: set[int] = {0}
        with contextlib.closing(self._messages(run, cancelled)) as messages:
            for message in messages:
                if message["op"] == "end":
                    return _as_cut(rows, ended, message.get("rows", []))
                row = int(message["row"])
                if row in ended:
                    continue
                tokens = rows.setdefault(row, [])
                for token in message["ids"]:
                    tokens.append(token)
                    if stop(row, tokens):
                        ended.add(row)
                        self._connected().send({"op": "enough", "id": run.id, "row": row})
                        break
        return [rows[row] for row in sorted(rows)]

    def _run(
        self, prompt: Prompt, request: GenerationRequest, limit: int, count: int = 1, first: tuple[int, ...] = ()
    ) -> Run:
        return Run(
            id=next(self._numbers),
            epoch=self._epoch,
            ids=prompt.ids,
            limit=limit,
            required=prompt.required,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed,
            time_limit=request.time_limit,
            document=request.document,
            background=request.background,
            elsewhere=_at_most(prompt.elsewhere, _MOST_ELSEWHERE),
            count=count,
            first=first,
            request_id=request.request_id,
        )

    def _messages(self, run: Run, cancelled: Callable[[], bool]) -> Generator[Message]:
        """What the host answers to a request, its `end` last. Left early, or once `cancelled`, the host is told."""
        link = self._connected()
        link.send(run.to_message())
        over = False
        try:
            while not cancelled():
                message = link.take()
                if message is None or message.get("id") != run.id:
                    continue
                over = message["op"] in ("end", "error")
                if message.get("kind") == "lost":
                    link.close()  # this host is about to end; another one is to be found
                if message["op"] == "error":
                    _raise(message)
                yield message
                if over:
                    return
        finally:
            if not over:
                with contextlib.suppress(ModelLost):
                    link.send({"op": "cancel", "id": run.id})

    def _connected(self) -> HostLink:
        if self._link is None:
            raise ModelLost("there is no connection to the model host")
        return self._link

    def wake(self) -> None:
        """Look whether the request was cancelled, or the engine closed."""
        link = self._link
        if link is not None:
            link.wake()

    def close(self) -> None:
        """Leave the host."""
        if self._link is not None:
            self._link.close()


def _as_cut(streamed: dict[int, list[int]], ended: set[int], rows: Sequence[Sequence[int]]) -> list[list[int]]:
    """The host's final rows, the plain answer first, those in `ended` as short as they were cut here.

    What was streamed has the numbers under which the model grew it; of the final rows those that came out the same are
    left out. So a row is known again by its beginning.
    """
    whole = {0: streamed[0]}
    for ids in rows[1:]:
        begun = [
            number
            for number, tokens in streamed.items()
            if number not in whole and tokens and list(ids[: len(tokens)]) == tokens
        ]
        if begun:
            number = max(begun, key=lambda each: len(streamed[each]))
            whole[number] = streamed[number] if number in ended else list(ids)
        else:
            whole[max(*whole, *streamed) + 1] = list(ids)
    return [whole[number] for number in sorted(whole)]


def _at_most(parts: Sequence[Sequence[int]], tokens: int) -> tuple[tuple[int, ...], ...]:
    """The first of `parts` that have so many tokens together: they travel with every request."""
    kept: list[tuple[int, ...]] = []
    for part in parts:
        kept.append(tuple(part[:tokens]))
        tokens -= len(kept[-1])
        if tokens <= 0:
            break
    return tuple(kept)


def _raise(message: Message) -> NoReturn:
    text = str(message.get("message"))
    if message.get("kind") == "superseded":
        raise Superseded(text)
    if message.get("kind") == "stale":
        raise ModelChanged(text)
    if message.get("kind") == "lost":
        raise ModelLost(text)
    raise EngineError(text)


def in_words(state: Message) -> str:
    """A host's state as a person wants it: who shares the model. Empty when there is none."""
    if not state:
        return ""
    windows = state.get("windows")
    windows = windows if isinstance(windows, int) else 0
    return f"shared with {windows} window{'' if windows == 1 else 's'}, host process {state.get('pid')}"


def look(place: Place) -> Message | None:
    """The state of the host at a place without taking part in it; None when there is none. Raises ModelError when it
    refuses to tell."""
    try:
        link = open_link(place, "observer", lambda message: None)
    except NobodyThere:
        return None
    try:
        while not link.state:
            link.take()
    except ModelLost:
        return None
    finally:
        link.close()
    return link.state

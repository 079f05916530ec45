"""A public test double: an engine that says what it is told to, with the queue, threads and limits of the real one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Sequence

from aix_lsp.engine.base import LoadEvent, OnEvent
from aix_lsp.engine.generation import Backend, LoadedModel
from aix_lsp.engine.worker import ModelThread
from aix_lsp.types import GenerationRequest, ModelInfo, Prompt, Tokenizer

Script = str | Sequence[str | Exception] | Callable[[Prompt], str]
"""What to answer: always the same text, one text (or error) per request with the last one repeated, or a
function of the prompt, called on the model thread."""

Scores = Sequence[float] | Callable[[str], Sequence[float]]
"""Logarithms of the probabilities of an answer's tokens (`PieceTokenizer`: words, single spaces, single signs), or a
function of the answer; empty for an engine that cannot tell."""

_PIECES = re.compile(r"\w+|\s|[^\w\s]")

DEFAULT_INFO = ModelInfo(name="scripted", max_positions=4096)


class PieceTokenizer:
    """A `Tokenizer` without files: words, single spaces and single signs, numbered as they come.

    `encode` never gives a special id, whatever the text spells out; `decode` shows special ids as nothing.
    """

    def __init__(
        self,
        specials: Sequence[str] = ("<s>", "</s>", "▁<AIX-SPAN-PRE>", "▁<AIX-SPAN-POST>", "▁<AIX-SPAN-MIDDLE>"),
    ) -> None:
        self._specials = {name: number for number, name in enumerate(specials)}
        self._ids: dict[str, int] = {}
        self._pieces: list[str] = [""] * len(specials)

    @property
    def vocabulary_size(self) -> int:
        """Pieces seen so far, special ones included."""
        return len(self._pieces)

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; new pieces get new ids."""
        return [self._id(piece) for piece in _PIECES.findall(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`."""
        return "".join(self._pieces[number] for number in ids)

    def special(self, *names: str) -> int | None:
        """Id of the first of these special tokens that there is."""
        return next((self._specials[name] for name in names if name in self._specials), None)

    def _id(self, piece: str) -> int:
        if piece not in self._ids:
            self._ids[piece] = len(self._pieces)
            self._pieces.append(piece)
        return self._ids[piece]


class ScriptedBackend(Backend):
    """Answers from a script. `prompts` and `requests` record what reached the model thread, in order."""

    def __init__(
        self,
        script: Script,
        tokenizer: Tokenizer,
        info: ModelInfo,
        *,
        delay: float,
        load_delay: float,
        alternatives: Sequence[str] = (),
        scores: Scores = (),
    ) -> None:
        self._script = script
        self._scores = scores
        self._latest: Sequence[float] = ()
        self._model = LoadedModel(tokenizer, info)
        self._delay = delay
        self._load_delay = load_delay
        self._alternatives = alternatives
        self.prompts: list[Prompt] = []
        self.requests: list[GenerationRequest] = []

    def load(self, report: Callable[[LoadEvent], None]) -> LoadedModel:
        """Takes `load_delay` seconds."""
        report(LoadEvent("progress", "loading", 0))
        time.sleep(self._load_delay)
        return self._model

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        """The tokens of the next answer, each after `delay` seconds."""
        self.prompts.append(prompt)
        self.requests.append(request)
        answer = self._answer(prompt)
        healed = self._model.tokenizer.encode(prompt.required)
        scores = self._scores(answer) if callable(self._scores) else self._scores
        self._latest = [0.0] * len(healed) + list(scores) if scores else ()
        for token in self._model.tokenizer.encode(prompt.required + answer):
            time.sleep(self._delay)
            if cancelled():
                return
            yield token

    @property
    def log_probabilities(self) -> Sequence[float]:
        """The given scores."""
        return self._latest

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
        """The answer, and the alternatives."""
        rows = [list(first)]
        for row, text in enumerate(self._alternatives[: request.candidates - 1], 1):
            tokens: list[int] = []
            for token in self._model.tokenizer.encode(prompt.required + text)[:limit]:
                tokens.append(token)
                if cancelled() or stop(row, tokens):
                    break
            rows.append(tokens)
        return rows

    def _answer(self, prompt: Prompt) -> str:
        if callable(self._script):
            return self._script(prompt)
        if isinstance(self._script, str):
            return self._script
        answer = self._script[min(len(self.prompts), len(self._script)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


class ScriptedEngine(ModelThread):
    """An `Engine` without a model.

    `delay` seconds pass before each token, `load_delay` before it is ready; `alternatives` are what it offers besides
    its answer where several candidates are asked for; `scores` say how likely its tokens were. Requests supersede one
    another, stream, stop and are cancelled as with a real model, because everything but the tokens is the real thing.
    """

    def __init__(
        self,
        script: Script = "",
        *,
        delay: float = 0.0,
        load_delay: float = 0.0,
        info: ModelInfo = DEFAULT_INFO,
        tokenizer: Tokenizer | None = None,
        on_event: OnEvent | None = None,
        alternatives: Sequence[str] = (),
        scores: Scores = (),
    ) -> None:
        self._scripted = ScriptedBackend(
            script,
            tokenizer or PieceTokenizer(),
            info,
            delay=delay,
            load_delay=load_delay,
            alternatives=alternatives,
            scores=scores,
        )
        super().__init__(self._scripted, on_event)

    @property
    def prompts(self) -> list[Prompt]:
        """The prompts of all requests that reached the model thread, in order."""
        return self._scripted.prompts

    @property
    def requests(self) -> list[GenerationRequest]:
        """All requests that reached the model thread, in order."""
        return self._scripted.requests

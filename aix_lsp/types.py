"""Frozen values that travel between the rooms, and the protocols that join them.

Offsets are counted in code points of a Python string from 0; lines in a `Snippet` are 1-based and
inclusive, as an editor shows them. Nothing here imports another room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

FimFormat = Literal["psm", "spm", "l2r"]
"""Order of a prompt: prefix-suffix-middle, suffix-prefix-middle, or left to right without a suffix."""

SnippetKind = Literal["similar", "definition"]
TriggerKind = Literal["invoked", "automatic"]
Amount = Literal["line", "block"]
Source = Literal["none", "model", "joined", "typed-through", "cached", "prepared"]
"""Where an answer came from: nowhere, a generation of its own, one that was running already, an offer that the user
typed into, an answer given before at the same place, or one that was worked out ahead."""

FinishReason = Literal["end", "stop", "length", "timeout"]
"""Why generation ended: an end token, the service's own stop, the token limit, or the time limit."""


@dataclass(frozen=True, slots=True)
class DocumentSnapshot:
    """One document as it was when a message was dispatched.

    `path` is None for documents that are no file (untitled buffers). `name` is what the prompt's header
    shows: the path relative to the workspace root with forward slashes, or the last part of the URI.
    `before` and `after` hold the other cells of the same notebook in order; empty for plain files.
    """

    uri: str
    text: str
    language_id: str
    version: int
    name: str
    path: Path | None = None
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Snippet:
    """Lines of another file, quoted in the prompt. `terms` maps matching terms to their share of the score; `notes` say
    in a few words each what else counted."""

    path: str
    start_line: int
    end_line: int
    score: float
    kind: SnippetKind
    text: str
    terms: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptPart:
    """One segment of a prompt as the trace shows it: what it is, how many tokens it took, and which characters of the
    prompt's text it is."""

    role: Literal["snippet", "header", "prefix", "suffix"]
    tokens: int
    label: str = ""
    start: int = field(default=0, compare=False)
    characters: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids for the model, the same as text with the markers spelled out, and what did not fit.

    `cut` has one sentence per thing that was left out, for the trace; empty when everything fitted.
    `required` stood at the end of the prefix and was taken back: the generation must begin with it, and it is no part
    of the completion (token healing, `prompt/healing.py`).
    `elsewhere` are segments of the document and of snippets that the prompt had no room for; empty unless the model
    asks for them (`ModelInfo.looks_up`).
    """

    ids: tuple[int, ...]
    text: str
    format: FimFormat
    parts: tuple[PromptPart, ...] = ()
    cut: tuple[str, ...] = ()
    snippets: tuple[Snippet, ...] = ()
    required: str = ""
    elsewhere: tuple[tuple[int, ...], ...] = ()


class Tokenizer(Protocol):
    """What prompt building and decoding need of a model's tokenizer."""

    @property
    def vocabulary_size(self) -> int: ...

    def encode(self, text: str) -> list[int]:
        """Ids of `text` alone: no space put in front, no special token, whatever the text spells out."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids` that continue some earlier text: no space dropped. Incomplete UTF-8 is U+FFFD."""
        ...

    def special(self, *names: str) -> int | None:
        """Id of the first of these special tokens that the tokenizer has, by its exact piece; else None."""
        ...


@dataclass(frozen=True, slots=True)
class Calibration:
    """Numbers that make the probability that a model's text is right of the scores of its tokens, fitted by `aix-lsp
    eval workspace --fit`, and the least probability that an offer must have.

    The probability is a logistic function (Platt 1999): `base` is always added; `sum`, `least` and `tokens` weigh the
    sum of the logarithms, the smallest of them, and the logarithm of their number; `whole` is added for the rest of a
    line as against its beginning, which is right more often.
    """

    base: float
    sum: float
    least: float
    tokens: float
    whole: float
    threshold: float


@dataclass(frozen=True, slots=True)
class PromptLimits:
    """Prompts in one order that a model answers best: at most so many tokens, and at most `suffix` of them of the text
    after the cursor, wherever in its file that is."""

    order: FimFormat
    tokens: int
    suffix: int


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the service must know of a loaded model. `max_positions` bounds prompt and completion together; `looks_up`
    asks prompts for what they had no room for, to copy and to guess from. `token_healing` is False where the engine
    cannot make an answer begin with a required text. `calibration` is None for a model that has none; `limits` has an
    entry for each order in which the model wants prompts shorter than the settings allow."""

    name: str
    max_positions: int
    format: FimFormat = "psm"
    device: str = "cpu"
    dtype: str = "float32"
    attention: str = "sdpa"
    parameters: int = 0
    languages: tuple[str, ...] = ()
    note: str = ""
    looks_up: bool = False
    token_healing: bool = True
    calibration: Calibration | None = None
    limits: tuple[PromptLimits, ...] = ()

    def limited(self, order: FimFormat) -> PromptLimits | None:
        """What the model wants of prompts in this order; None where it asks for nothing."""
        return next((limits for limits in self.limits if limits.order == order), None)


@dataclass(frozen=True, slots=True)
class TokenScore:
    """One token of a generation: where it ends in the generation's text (an offset), and the natural logarithm of the
    probability that the model gave it."""

    end: int
    log_probability: float


PromptBuilder = Callable[[Tokenizer, ModelInfo], Prompt]
"""Builds the prompt on the model thread, once the model (and so its tokenizer) is known."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One job for an engine.

    `stop` is a pure function of all text so far, called on the model thread at every token; true ends the
    generation (reason "stop"). `on_text` is called on the event loop with all text so far, as it grows.
    `temperature` 0 is greedy; `seed` makes sampling repeatable. `time_limit` is in seconds.

    `document` names what is completed (its URI): the latest request of a document takes the place of its earlier ones,
    and an engine keeps what it has computed per document. `candidates` asks for so many distinct texts, the first of
    them streamed. A `background` request runs only while nothing else waits, and any other takes its place.
    `request_id` stands in the log with all that is done for it (`logs.py`).
    """

    build_prompt: PromptBuilder
    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    time_limit: float | None = None
    stop: Callable[[str], bool] | None = None
    on_text: Callable[[str], None] | None = None
    document: str = ""
    candidates: int = 1
    background: bool = False
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Generation:
    """What an engine produced. Times are milliseconds; `first_token_ms` runs from the job's start on the
    model thread to the first token (prompt building not counted, it is `prompt_ms`). `alternatives` are the further
    candidates, distinct from `text` and one another. `guessed_tokens` of `tokens` were guessed and found right."""

    text: str
    tokens: int
    finish: FinishReason
    prompt: Prompt
    model: str
    queue_ms: float = 0.0
    prompt_ms: float = 0.0
    first_token_ms: float = 0.0
    total_ms: float = 0.0
    reused_tokens: int = 0
    guessed_tokens: int = 0
    alternatives: tuple[str, ...] = ()
    scores: tuple[TokenScore, ...] = ()
    """Per token of `text`, in order; empty where the engine cannot tell."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds of one completion, from the request's dispatch; `first_token` and `total` include all before."""

    retrieval: float = 0.0
    prompt: float = 0.0
    first_token: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Span:
    """One stage of a request, for the waterfall of a trace: milliseconds from the request's dispatch."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What a client asks: complete `document` at `offset`. `selected` is the entry chosen in an open suggest
    widget with the start offset of the text that it replaces (LSP `selectedCompletionInfo`)."""

    document: DocumentSnapshot
    offset: int
    trigger: TriggerKind = "automatic"
    selected: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class CompletionItem:
    """Replace document[start:end] (code points) with `text`; `start <= cursor == end` always."""

    id: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """Answer to one request. No items: `reason` says why in one sentence; `failed` when it is not as it should be.

    `confidence` is the calibrated probability that the offer is right (None: the model cannot tell); the counts of
    tokens are the generation's."""

    items: tuple[CompletionItem, ...] = ()
    reason: str = ""
    snippets: tuple[Snippet, ...] = ()
    timings: Timings = field(default_factory=Timings)
    model: str = ""
    prompt: Prompt | None = None
    raw: str = ""
    changes: tuple[str, ...] = ()
    failed: bool = False
    source: Source = "none"
    amount: Amount | None = None
    finish: FinishReason | None = None
    confidence: float | None = None
    spans: tuple[Span, ...] = ()
    tokens: int = 0
    reused_tokens: int = 0
    guessed_tokens: int = 0

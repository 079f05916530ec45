"""What every published benchmark is: samples with a place to fill, how an answer ends, and what it is worth.

A benchmark reads its data (`load`), the harness (`harness.py`) has each sample answered with the product's prompt and
engine and without post-processing, and the benchmark scores the text that came (`score`). Reports are made of the
results alone, so they can be made anew, compared and read long after the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from aix_lsp.types import FimFormat, Snippet

Unit = Literal["percent", "points", "ratio", "milliseconds", "characters"]
"""`percent`: scores from 0 to 1, shown times 100. `points`: scores from 0 to 100. Others are shown as they are."""

StopRule = Literal["line", "statement", "end", "function", "brackets"]
"""How an answer ends besides the model's own end and the most tokens (`stop_rules.py`)."""


class DataError(ValueError):
    """A benchmark's data is missing or of another form; one line that says where to get it and in which licence."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One place to fill. `id` is unique within its benchmark; `scenario` is a row of the result table.

    `before` and `after` are the texts around, `wanted` what stood there; `name` is the path that the prompt's header
    shows. `language` is an LSP language identifier. `format` is the order of the prompt where the protocol fixes one,
    "" takes the model's own. `extra` is what scoring needs (tests, an entry point, references), as JSON has it.
    """

    id: str
    language: str
    scenario: str
    name: str
    before: str
    after: str
    wanted: str
    snippets: tuple[Snippet, ...] = ()
    stop: StopRule = "end"
    max_new_tokens: int = 64
    format: FimFormat | Literal[""] = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Output:
    """What the model wrote for a sample. `text` is cut by the sample's stop rule; several where a protocol draws more
    than one (`texts` has all, the first is `text`). `error` says in one line why there is none."""

    texts: tuple[str, ...]
    finish: str = ""
    tokens: int = 0
    prompt_tokens: int = 0
    milliseconds: float = 0.0
    first_token_ms: float = 0.0
    error: str = ""

    @property
    def text(self) -> str:
        """The first text; empty where there is none."""
        return self.texts[0] if self.texts else ""


@dataclass(frozen=True, slots=True)
class Metric:
    """A column of the table. `better` says which direction is an improvement; "" for what only describes."""

    name: str
    title: str
    unit: Unit = "percent"
    better: Literal["higher", "lower", ""] = "higher"


@dataclass(frozen=True, slots=True)
class Result:
    """A sample's answer and its scores by metric name; None where a metric says nothing about it."""

    sample: Sample
    output: Output
    scores: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Samples in the order in which they run, and one line per thing that was wrong with the data and passed over."""

    samples: Sequence[Sample]
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()
    """What a reader of the report must know, such as `functional tests: not run (no sandbox)`."""


class Benchmark(Protocol):
    """A published benchmark. Objects are made by the command with its options (files, seeds)."""

    @property
    def name(self) -> str:
        """As the command line calls it: `fim-lines`."""
        ...

    @property
    def protocol(self) -> str:
        """One sentence for the report: what is asked, how an answer ends, from which paper."""
        ...

    @property
    def metrics(self) -> Sequence[Metric]:
        """The columns, the most telling one first."""
        ...

    def load(self, limit: int, seed: int) -> Loaded:
        """Read the data and draw `limit` samples (0: all), evenly over languages and scenarios, the same for the same
        data and seed. Raises DataError."""
        ...

    def score(self, sample: Sample, output: Output) -> Mapping[str, float | None]:
        """What an answer is worth. May take its time (tests that run); never raises for what a model wrote."""
        ...

"""When each stage of a request began and ended, for its timings and the waterfall of its trace."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from aix_lsp.types import Generation, Span, Timings

ENGINE_STAGES = ("queue", "prompt", "first token", "decode")


@dataclass(slots=True)
class Stages:
    """Stages one behind the other, from the moment it was made on. Times are `time.perf_counter`'s, in seconds."""

    start: float = field(default_factory=time.perf_counter)
    spans: list[Span] = field(default_factory=list)

    def end(self, name: str) -> None:
        """The stage of this name ends now."""
        self.spans.append(Span(name, self.spans[-1].end if self.spans else self.start, time.perf_counter()))

    def end_generation(self, generation: Generation) -> None:
        """The engine is done: its own times, fitted in between the last stage's end and now."""
        begin, now = (self.spans[-1].end if self.spans else self.start), time.perf_counter()
        first = generation.first_token_ms
        lasted = (generation.queue_ms, generation.prompt_ms, first, max(generation.total_ms - first, 0.0))
        for name, milliseconds in zip(ENGINE_STAGES, lasted, strict=True):
            end = min(begin + milliseconds / 1000, now)
            self.spans.append(Span(name, begin, end))
            begin = end

    def milliseconds(self) -> float:
        """Since it was made."""
        return (time.perf_counter() - self.start) * 1000


def spans_since(start: float, spans: Iterable[Span]) -> tuple[Span, ...]:
    """The stages in milliseconds from `start`; what a generation had behind it when a request joined it is left
    out."""
    shown = (replace(span, start=(span.start - start) * 1000, end=(span.end - start) * 1000) for span in spans)
    return tuple(replace(span, start=max(span.start, 0.0)) for span in shown if span.end >= 0)


def timings(spans: Iterable[Span], total: float) -> Timings:
    """The four figures that are shown first; `first_token` and `total` include all before."""
    by_name = {span.name: span for span in spans}

    def lasted(name: str) -> float:
        span = by_name.get(name)
        return span.end - span.start if span is not None else 0.0

    first = by_name.get("first token")
    return Timings(lasted("retrieval"), lasted("prompt"), first.end if first is not None else 0.0, total)

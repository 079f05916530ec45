"""Remembered requests as a Markdown page, for an editor's preview.

All that users or models wrote stands in code: a block whose fence is longer than any run of the fence's character in it
(CommonMark 0.31, section 4.5), or a span (6.1). So no text of theirs can become part of the page's own form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from aix_lsp.completion import trace_words as words
from aix_lsp.completion.trace import Traced
from aix_lsp.text import with_line_feeds, with_stop
from aix_lsp.types import Snippet, Span

_BAR = 40
_LEAST_FENCE = 3
_BACKTICKS = re.compile("`+")
_BREAKS = re.compile(r"[\s\x00-\x1f\x7f]+")


def page(records: Sequence[Traced], details: Sequence[Traced], given_up: int = 0) -> str:
    """A page with a table of `records` and a section for each of `details`, the latest first. `given_up` as in
    `Summary`."""
    lines = ["# aix-lsp: why", ""]
    said = f"{_plain(words.summary_in_words(words.summarize(records, given_up)))}."
    if not records:
        return "\n".join([*lines, "No request is remembered.", *(("", said) if given_up else ()), ""])
    lines += [said, ""]
    lines += [
        "| # | time | place | what | from | offer | ms | outcome |",
        "| ---: | --- | --- | --- | --- | --- | ---: | --- |",
    ]
    lines += [_row(traced) for traced in reversed(records)]
    for traced in sorted(details, key=lambda item: -item.number):
        lines += ["", *_section(traced)]
    return words.harmless("\n".join([*lines, ""]))


def span(text: str) -> str:
    """Text on one line as a code span."""
    text = _BREAKS.sub(" ", text).strip()
    if not text:
        return ""
    ticks = "`" * (_longest(text) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def fence(text: str, language: str = "") -> str:
    """Text as a code block."""
    ticks = "`" * max(_LEAST_FENCE, _longest(text) + 1)
    info = language if re.fullmatch(r"[\w+#-]+", language) else ""
    body = with_line_feeds(text)
    return f"{ticks}{info}\n{body}{'' if body.endswith(chr(10)) else chr(10)}{ticks}"


def _longest(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)


def _plain(text: str) -> str:
    """A sentence that may name a file or a language: what Markdown would read is escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", _BREAKS.sub(" ", text))


def _cell(text: str) -> str:
    """A code span in a table; a bar ends a cell even there."""
    return span(text).replace("|", "\\|")


def _row(traced: Traced) -> str:
    result = traced.result
    offer = _cell(words.headline(traced)) if result.items else _plain(words.headline(traced))
    cells = (
        f"{traced.number}",
        words.clock(traced),
        _cell(words.place(traced)),
        words.what(traced),
        words.source(traced),
        offer,
        f"{result.timings.total:.0f}",
        _plain(words.outcome(traced)),
    )
    return f"| {' | '.join(cells)} |"


def _section(traced: Traced) -> Iterator[str]:
    result = traced.result
    yield f"## {traced.number}: {span(words.place(traced))}"
    yield ""
    for name, said in words.facts(traced):
        yield f"- **{name}**: {span(said) if name in ('place', 'selected') else _plain(said)}"
    yield ""
    yield "### Offer"
    yield ""
    for item, became in zip(result.items, traced.outcomes, strict=True):
        yield f"{_plain(became or 'nothing yet')}:"
        yield ""
        yield fence(item.text, traced.language)
        yield ""
    if not result.items:
        yield f"None: {_plain(with_stop(result.reason or 'no reason is known'))}"
        yield ""
    if result.raw:
        yield "As the model wrote it:"
        yield ""
        yield fence(result.raw, traced.language)
        yield ""
    yield "The text before and after the cursor:"
    yield ""
    yield fence(f"{traced.before}▮{traced.after}", traced.language)
    yield ""
    yield "### Times"
    yield ""
    yield fence(waterfall(traced.spans), "text")
    yield ""
    yield "### Snippets"
    yield ""
    for snippet in result.snippets:
        yield from _snippet(snippet)
    if not result.snippets:
        yield "None."
        yield ""
    if result.prompt is not None:
        yield from _prompt(traced)


def _snippet(snippet: Snippet) -> Iterator[str]:
    where = f"{snippet.path}:{snippet.start_line}-{snippet.end_line}"
    yield f"{span(where)}: {', '.join([snippet.kind, f'score {snippet.score:.2f}', *map(_plain, snippet.notes)])}"
    if snippet.terms:
        yield ""
        yield "matches " + ", ".join(f"{span(term)} {share:.2f}" for term, share in snippet.terms)
    yield ""
    yield fence(snippet.text)
    yield ""


def _prompt(traced: Traced) -> Iterator[str]:
    prompt = traced.result.prompt
    if prompt is None:
        return
    yield "### Prompt"
    yield ""
    yield f"{traced.prompt_tokens} tokens, {prompt.format}, as the model sees it."
    yield ""
    yield "| part | tokens |"
    yield "| --- | ---: |"
    for part in prompt.parts:
        yield f"| {part.role} {_cell(part.label)} | {part.tokens} |"
    yield ""
    for sentence in prompt.cut:
        yield f"- cut: {_plain(sentence)}"
    if prompt.required:
        yield f"- the answer had to begin with {span(prompt.required)}"
    if prompt.cut or prompt.required:
        yield ""
    yield fence(prompt.text)


def waterfall(spans: Sequence[Span]) -> str:
    """The stages of a request as bars on one scale, one a line."""
    whole = max((span.end for span in spans), default=0.0)
    if whole <= 0:
        return "no times are known"
    width = max(len(span.name) for span in spans)
    lines = []
    for stage in spans:
        begin = min(int(stage.start / whole * _BAR), _BAR - 1)
        length = max(1, min(round((stage.end - stage.start) / whole * _BAR), _BAR - begin))
        bar = (" " * begin + "█" * length).ljust(_BAR)
        lines.append(f"{stage.name.ljust(width)}  {bar}  {stage.end - stage.start:8.1f} ms")
    return "\n".join(lines)

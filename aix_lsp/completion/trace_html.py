"""Remembered requests as one HTML file: nothing is fetched and no script is in it, so what is quoted can do nothing.

A request is chosen by a radio button, which CSS alone follows. All text goes through `html.escape`, and the page's own
policy (Content-Security-Policy) forbids scripts and every source but its own style sheet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from aix_lsp.completion import trace_words as words
from aix_lsp.completion.trace import Traced
from aix_lsp.text import with_stop
from aix_lsp.types import PromptPart, Snippet, Span

_STYLE = Path(__file__).parent.parent / "data" / "inspect.css"
_KINDS = {
    "debounce": "wait",
    "load": "wait",
    "queue": "wait",
    "cache": "find",
    "retrieval": "find",
    "decode": "write",
    "fit": "fit",
}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(records: Sequence[Traced], title: str, given_up: int = 0) -> str:
    """The whole file; `title` says which server it is of. The latest request comes first, and is shown. `given_up` as
    in `Summary`."""
    listed = sorted(records, key=lambda traced: -traced.number)
    numbers = [traced.number for traced in listed]
    text = "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE.read_text(encoding='utf-8')}{''.join(map(_chosen, numbers))}</style></head><body>",
            *(_choice(number, is_first=number == numbers[0]) for number in numbers),
            '<div class="page"><nav>',
            f"<h1>aix-lsp: why</h1><p>{escape(title)}</p>",
            *_summary(listed, given_up),
            *map(_entry, listed),
            "</nav><main>",
            *(line for traced in listed for line in _request(traced)),
            *(() if listed else ('<p class="empty">No request is remembered.</p>',)),
            "</main></div></body></html>",
            "",
        ]
    )
    return words.harmless(text)


def _chosen(number: int) -> str:
    """What CSS does when a request is chosen."""
    return (
        f"#r{number}:checked~.page #d{number}{{display:block}}"
        f"#r{number}:checked~.page label[for=r{number}]{{background:var(--card);border-color:var(--line)}}"
        f"#r{number}:focus-visible~.page label[for=r{number}]{{outline:2px solid var(--accent)}}\n"
    )


def _choice(number: int, *, is_first: bool) -> str:
    checked = " checked" if is_first else ""
    return f'<input class="choice" type="radio" name="request" id="r{number}" aria-label="request {number}"{checked}>'


def _summary(records: Sequence[Traced], given_up: int) -> Iterator[str]:
    summary = words.summarize(records)
    yield f"<p>{summary.asked} asked, {summary.offered} offered, {summary.accepted} taken</p>"
    if given_up:
        yield f"<p>{given_up} more overtaken by newer ones or cancelled since the start</p>"
    if summary.reasons:
        rows = "".join(f"<li><span>{escape(reason)}</span><b>{count}</b></li>" for reason, count in summary.reasons)
        yield f'<ul class="reasons">{rows}</ul>'


def _state(traced: Traced) -> str:
    if traced.result.items:
        return "taken" if traced.is_taken else "offered"
    return "failed" if traced.result.failed else "none"


def _entry(traced: Traced) -> str:
    return (
        f'<label for="r{traced.number}" class="{_state(traced)}"><span class="dot"></span>'
        f"<b>{escape(words.place(traced))}</b><time>{words.clock(traced)}</time>"
        f'<span class="head">{escape(words.headline(traced))}</span></label>'
    )


def _request(traced: Traced) -> Iterator[str]:
    result = traced.result
    yield f'<section class="request" id="d{traced.number}">'
    where = f"{traced.file}:{traced.place.line}:{traced.place.column}"
    yield f"<h2>{escape(where)} <small>request {traced.number}, {words.clock(traced)}</small></h2>"
    yield f'<div class="chips">{"".join(_chips(traced))}</div>'
    yield '<div class="card"><h3>In the editor</h3>'
    if not result.items:
        bad = " bad" if result.failed else ""
        yield f'<p class="why{bad}">No offer: {escape(with_stop(result.reason or "no reason is known"))}</p>'
    yield f"<pre>{_in_the_editor(traced)}</pre>"
    for item in result.items[1:]:
        yield f'<p class="label">another candidate</p><pre class="ghost">{escape(item.text)}</pre>'
    yield "</div>"
    yield f'<div class="card"><h3>Time, {result.timings.total:.1f} ms</h3>{_waterfall(traced.spans)}</div>'
    yield '<div class="columns"><div class="card"><h3>Decisions</h3><dl>'
    yield "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(said)}</dd>"
        for name, said in words.facts(traced)
        if name not in ("rules", "time")
    )
    yield f'</dl></div><div class="card"><h3>From the model to the offer</h3>{_rules(traced)}</div></div>'
    yield f'<div class="card"><h3>Snippets, {len(result.snippets)}</h3>'
    best = max((snippet.score for snippet in result.snippets), default=1.0) or 1.0
    yield from (_snippet(snippet, best) for snippet in result.snippets)
    if not result.snippets:
        yield '<p class="empty">No line of another file was quoted.</p>'
    yield "</div>"
    yield from _prompt(traced)
    yield "</section>"


def _chips(traced: Traced) -> Iterator[str]:
    result = traced.result
    colour = {"taken": "good", "offered": "offer", "failed": "bad"}.get(_state(traced), "")
    yield f'<span class="chip {colour}">{escape((traced.outcome or "offered") if result.items else "no offer")}</span>'
    asked = "asked for" if traced.trigger == "invoked" else "by typing"
    facts = [
        result.amount or "",
        asked,
        result.source if result.source != "none" else "",
        traced.language,
        result.model,
    ]
    if result.confidence is not None:
        facts.append(f"confidence {result.confidence:.2f}")
    yield from (f'<span class="chip">{escape(fact)}</span>' for fact in facts if fact)


def _in_the_editor(traced: Traced) -> str:
    """The lines around the cursor with the offer in its place."""
    before, offer, after = map(escape, traced.shown)
    ghost = f'<span class="ghost">{offer}</span>' if offer else ""
    return f'{before}<span class="cursor"></span>{ghost}{after}'


def _waterfall(spans: Sequence[Span]) -> str:
    whole = max((span.end for span in spans), default=0.0)
    if whole <= 0:
        return '<p class="empty">No times are known.</p>'
    rows = []
    for span in spans:
        left, width = 100 * span.start / whole, 100 * (span.end - span.start) / whole
        style = f"left:{min(left, 99.8):.2f}%;width:{max(width, 0):.2f}%"
        rows.append(
            f'<span class="name">{escape(span.name)}</span><div class="track">'
            f'<div class="bar {_KINDS.get(span.name, "")}" style="{style}"></div></div>'
            f'<span class="ms">{span.end - span.start:.1f} ms</span>'
        )
    marks = "".join(f'<span style="left:{100 * part / 4:.0f}%">{whole * part / 4:.0f} ms</span>' for part in range(5))
    return f'<div class="fall">{"".join(rows)}<span></span><div class="axis">{marks}</div><span></span></div>'


def _rules(traced: Traced) -> str:
    result = traced.result
    if not result.raw and not result.items:
        return '<p class="empty">Nothing was generated.</p>'
    parts = []
    if result.raw:
        parts.append(f'<p class="label">the model wrote</p><pre>{escape(result.raw)}</pre>')
        rules = "".join(f"<li>{escape(change)}</li>" for change in result.changes)
        parts.append(f'<ol class="rules">{rules}</ol>' if rules else '<p class="note">no rule changed it</p>')
    if result.items:
        parts.append(f'<p class="label">offered</p><pre>{escape(result.items[0].text)}</pre>')
    return "".join(parts)


def _snippet(snippet: Snippet, best: float) -> str:
    where = f"{snippet.path}:{snippet.start_line}-{snippet.end_line}"
    share = 100 * max(0.0, min(snippet.score / best, 1.0))
    terms = "".join(f"<span>{escape(term)} <i>{value:.2f}</i></span>" for term, value in snippet.terms)
    notes = "".join(f'<span class="note">{escape(note)}</span>' for note in snippet.notes)
    return (
        f"<details open><summary><b>{escape(where)}</b><span class='meter'><i style='width:{share:.0f}%'></i></span>"
        f'<span class="note">{snippet.kind}, score {snippet.score:.2f}</span>{notes}</summary>'
        f'<div class="terms">{terms}</div><pre>{escape(snippet.text)}</pre></details>'
    )


def _prompt(traced: Traced) -> Iterator[str]:
    prompt = traced.result.prompt
    if prompt is None:
        return
    yield f'<div class="card"><h3>Prompt, {traced.prompt_tokens} tokens, {escape(prompt.format)}</h3>'
    yield f'<div class="stack">{"".join(map(_share, prompt.parts))}</div>'
    legend = "".join(
        f'<span class="{part.role}"><i></i>{escape(words.part_in_words(part))}: {part.tokens}</span>'
        for part in prompt.parts
    )
    yield f'<div class="legend">{legend}</div>'
    yield from (f'<p class="cut">cut: {escape(sentence)}</p>' for sentence in prompt.cut)
    if prompt.required:
        yield f'<p class="note">the answer had to begin with <code>{escape(prompt.required)}</code></p>'
    text = "".join(
        f"<em>{escape(piece)}</em>" if part is None else f'<span class="{part.role}">{escape(piece)}</span>'
        for part, piece in words.segments(traced)
    )
    yield f'<pre class="prompt">{text}</pre></div>'


def _share(part: PromptPart) -> str:
    title = escape(f"{words.part_in_words(part)}: {part.tokens} tokens")
    return f'<i class="{part.role}" style="flex-grow:{part.tokens}" title="{title}"></i>'

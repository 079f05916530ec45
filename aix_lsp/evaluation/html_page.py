"""The parts that pages of evaluations are made of. What is no `Html` is text, and escaped wherever it is put in.

A page has one style sheet and no script, and its own policy (Content-Security-Policy) forbids everything else: what a
model wrote, and what a file or a data set is called, can do nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from aix_lsp.completion.trace_words import harmless
from aix_lsp.evaluation.benchmark import Metric
from aix_lsp.evaluation.statistics import Interval

NONE: Final = "–"
"""Stands where there is no value."""

_STYLE: Final = Path(__file__).parent.parent / "data" / "report.css"
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def html(value: object) -> Html:
    """A value as HTML: itself, if it is, else its text escaped."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def joined(parts: Iterable[object]) -> Html:
    """All parts, one after the other."""
    return Html("".join(map(html, parts)))


def element(name: str, *parts: object, **attributes: object) -> Html:
    """An element. An attribute's trailing underscore is dropped (`class_`), others become hyphens; None leaves it out,
    True is an attribute without a value."""
    told = "".join(
        f" {key}" if value is True else f' {key}="{escape(str(value))}"'
        for key, value in ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
        if value is not None
    )
    return Html(f"<{name}{told}>{joined(parts)}</{name}>")


def page(title: str, *parts: object) -> str:
    """The whole file. Halves of characters, controls and marks that turn the direction of writing are replaced."""
    text = "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{_STYLE.read_text(encoding='utf-8')}</style></head><body><main>",
            *map(html, parts),
            "</main></body></html>",
            "",
        ]
    )
    return harmless(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def section(title: str, *parts: object) -> Html:
    """A card with a heading."""
    return element("section", element("h2", title), *(part for part in parts if part))


def note(text: str) -> Html:
    """A remark."""
    return element("p", text, class_="note") if text else Html()


def told(lines: Iterable[str]) -> Html:
    """A list of remarks."""
    return element("ul", *(element("li", line) for line in lines), class_="told")


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Names and what they are; those without a value are left out."""
    return element("dl", *(joined((element("dt", name), element("dd", value))) for name, value in pairs if value))


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]], *, words: Sequence[int] = ()) -> Html:
    """A table whose first column names the rows. Columns are of figures, but for those with the numbers `words`. It
    scrolls where it is wider than the page, also by keys."""

    def kind(column: int) -> str | None:
        return "words" if column in words else "number" if column else None

    head = element("tr", *(element("th", name, scope="col", class_=kind(column)) for column, name in enumerate(heads)))
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", cell, class_=kind(column)) for column, cell in enumerate(row[1:], 1)),
        )
        for row in rows
    ]
    inner = element("table", element("caption", caption), element("thead", head), element("tbody", *body))
    return element("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def pre(*parts: object, class_: str | None = None) -> Html:
    """Text with its line breaks; a first line break would be lost without another before it."""
    return element("pre", Html("\n"), *parts, class_=class_)


def value_of(metric: Metric, value: float | None, *, sign: bool = False) -> str:
    """A score with its unit: `43.2 %`. `sign` for differences; those of percentages are in percentage points, pp."""
    if value is None or not math.isfinite(value):
        return NONE
    scale, digits = (100, 1) if metric.unit == "percent" else (1, 2 if metric.unit == "ratio" else 1)
    rounded = round(value * scale, digits) or 0.0  # what rounds to nothing has no minus
    unit = (" pp" if sign else " %") if metric.unit == "percent" else ""
    return f"{rounded:{'+' if sign else ''}.{digits}f}{unit}"


def interval_of(metric: Metric, interval: Interval | None, *, sign: bool = False) -> str:
    """The ends of an interval: `40.1 to 46.0`; the unit is with the mean. One value has none, nor
    has a mean (no `sign`) of values that are all alike: they say nothing of how far others could lie."""
    if interval is None or interval.count == 1 or (interval.low == interval.high and not sign):
        return NONE
    low, high = (
        value_of(metric, end, sign=sign).removesuffix(" %").removesuffix(" pp") for end in (interval.low, interval.high)
    )
    return f"{low} to {high}"


def with_interval(metric: Metric, interval: Interval | None, *, sign: bool = False) -> str:
    """A mean or a difference with its interval: `43.2 % (40.1 to 46.0)`."""
    mean = value_of(metric, interval.mean if interval else None, sign=sign)
    ends = interval_of(metric, interval, sign=sign)
    return mean if ends == NONE else f"{mean} ({ends})"


def milliseconds(value: float) -> str:
    """A duration with three digits: `87.2 ms`, `1.43 s`."""
    if not math.isfinite(value):
        return NONE
    if value >= 10_000:
        return f"{value / 1000:.1f} s"
    if value >= 1_000:
        return f"{value / 1000:.2f} s"
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"


def plain(value: Any) -> str:
    """A setting's value in one line: text as it is, all else as JSON has it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def counted(number: int, one: str, several: str = "") -> str:
    """`1 sample`, `1,033 samples`."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"

"""Plots as SVG, each with a title and a description for those who do not see it.

Places across are in percent and those down in pixels, so that a plot takes the width of its column and its letters
keep their size: it can be read on a telephone and on a wide screen.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from aix_lsp.evaluation.html_page import Html, element, joined

_ROW: Final = 38
_BAR: Final = 10
_COLUMNS: Final = 150
_MARK: Final = 15
_LABEL: Final = 30
_LETTER: Final = 6.2
_NARROW: Final = 320
_COUNTED_COLUMNS: Final = 14


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a plot: its name, a mean with the ends of its interval (None where there is none), and both as text."""

    label: str
    value: float | None
    low: float
    high: float
    shown: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A place across a histogram, from 0 to 1, and what is there."""

    place: float
    label: str


def bars(title: str, remark: str, rows: Sequence[Bar], *, percent: bool = False) -> Html:
    """Horizontal bars from 0 with whiskers for their intervals. `percent`: values are shares, and none is above 1."""
    most = _axis_end(max((row.high for row in rows if row.value is not None), default=0.0), percent=percent)
    parts = [_ticks(len(rows) * _ROW, [_tick(most * part / 4, percent=percent) for part in range(5)])]
    for number, row in enumerate(rows):
        top = number * _ROW
        parts.append(_row_text(row, top))
        parts.append(element("rect", class_="track", x="0", y=top + 19, width="100%", height=_BAR, rx=2))
        if row.value is None:
            continue
        parts.append(
            element("rect", class_="bar", x="0", y=top + 19, width=_share(row.value / most), height=_BAR, rx=2)
        )
        if row.high > row.low:
            low, high, middle = _share(row.low / most), _share(row.high / most), top + 19 + _BAR / 2
            parts.append(_line("whisker", low, middle, high, middle))
            parts += [_line("whisker", end, middle - 4, end, middle + 4) for end in (low, high)]
    described = "; ".join(f"{row.label}: {row.shown}" for row in rows)
    return _figure(title, remark, described, len(rows) * _ROW + 18, parts)


def differences(title: str, remark: str, rows: Sequence[Bar], *, percent: bool = False) -> Html:
    """Differences as dots with their intervals about a line at 0; those whose interval holds 0 are dimmed."""
    far = max((abs(end) for row in rows if row.value is not None for end in (row.low, row.high)), default=0.0)
    most = _axis_end(far, percent=percent)
    height = len(rows) * _ROW
    ticks = [_tick(most * part, percent=percent, sign=True) for part in (-1.0, -0.5, 0.0, 0.5, 1.0)]
    parts = [_ticks(height, ticks), _line("axis", "50%", 0, "50%", height)]
    for number, row in enumerate(rows):
        top = number * _ROW
        parts.append(_row_text(row, top))
        if row.value is None:
            continue
        unsure = " unsure" if row.low <= 0 <= row.high else ""
        middle = top + 24
        low, mean, high = (_share((value / most + 1) / 2) for value in (row.low, row.value, row.high))
        parts.append(_line(f"span{unsure}", low, middle, high, middle))
        parts.append(element("circle", class_=f"dot{unsure}", cx=mean, cy=middle, r=4.5))
    described = "; ".join(f"{row.label}: {row.shown}" for row in rows)
    return _figure(title, remark, described, height + 18, parts)


def histogram(
    title: str,
    remark: str,
    counts: Sequence[int],
    edges: Sequence[str],
    *,
    strong: Collection[int] = (),
    marks: Sequence[Mark] = (),
) -> Html:
    """Columns of counts; `edges` are the classes' ends, one more than there are counts. `strong` are the numbers of the
    columns that matter; without, all do. Each mark has a line of its own for its words, the rightmost one the topmost,
    so that no line goes through words."""
    most = max(counts, default=0) or 1
    top = len(marks) * _MARK + 16
    base = top + _COLUMNS
    parts = [_line("grid", "0", top, "100%", top), _line("axis", "0", base, "100%", base)]
    wide = 100 / max(len(counts), 1)
    for number, count in enumerate(counts):
        height = count / most * _COLUMNS
        kind = "bar" if not strong or number in strong else "soft"
        # 6 % of a column's width stay free on each side
        left, width = f"{(number + 0.06) * wide:.3f}%", f"{0.88 * wide:.3f}%"
        parts.append(
            element("rect", class_=kind, x=left, y=f"{base - height:.1f}", width=width, height=f"{height:.1f}", rx=1.5)
        )
        if count and len(counts) <= _COUNTED_COLUMNS and not marks:
            middle = f"{(number + 0.5) * wide:.3f}%"
            parts.append(_text(f"{count:,}", middle, base - height - 4, "middle", "dim"))
    every = max(1, math.ceil(sum(len(edge) * _LETTER + _LETTER for edge in edges) / _NARROW))
    for number, edge in enumerate(edges):
        last = number == len(edges) - 1
        if last or (number % every == 0 and (every == 1 or len(counts) - number >= every)):
            anchor = "start" if number == 0 else "end" if last else "middle"
            parts.append(_text(edge, f"{number * wide:.3f}%", base + 14, anchor, "dim"))
    for number, mark in enumerate(sorted(marks, key=lambda mark: -mark.place)):
        place, down = _share(mark.place), number * _MARK + 11
        parts.append(_line("lead-line", place, down + 3, place, base))
        parts.append(_text(mark.label, place, down, "end" if mark.place > 0.3 else "start", "told"))
    classes = zip(edges, edges[1:], counts, strict=False)
    described = "; ".join(f"{low} to {high}: {count}" for low, high, count in classes if count)
    words = "; ".join([described or "nothing was counted", *(mark.label for mark in marks)])
    return _figure(title, remark, words, base + 18, parts)


def rounded_up(value: float, *, percent: bool = False) -> float:
    """The end of an axis: 1, 2, 2.5 or 5 times a power of ten, at least `value`; shares end at 1 at most. 1 for what
    is nothing or no number."""
    if not math.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    if not math.isfinite(power) or power <= 0:
        return value
    end = next((step * power for step in (1, 2, 2.5, 5) if value <= step * power * (1 + 1e-9)), 10 * power)
    return min(end, 1.0) if percent and value <= 1 else end


def _axis_end(value: float, *, percent: bool) -> float:
    """As `rounded_up`, but never so near that what is written as 0.0 fills a bar."""
    return rounded_up(max(value, 0.01 if percent else 1.0) if value > 0 else value, percent=percent)


def _figure(title: str, remark: str, described: str, height: float, parts: Sequence[Html]) -> Html:
    name = "plot-" + sha256(f"{title}\0{remark}\0{described}".encode("utf-8", "replace")).hexdigest()[:12]
    caption = element("figcaption", title, *((" ", element("small", remark)) if remark else ()))
    drawn = element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", described, id=f"{name}-words"),
        *parts,
        role="img",
        aria_labelledby=f"{name}-title",
        aria_describedby=f"{name}-words",
        height=f"{height:.0f}",
    )
    return element("figure", caption, drawn)


def _row_text(row: Bar, top: float) -> Html:
    """The name at the left and the figures at the right, above the bar."""
    label = row.label if len(row.label) <= _LABEL else row.label[: _LABEL - 1] + "…"
    return joined(
        (_text(label, "0", top + 14, "start", "told"), _text(row.shown, "100%", top + 14, "end", "told value"))
    )


def _ticks(height: float, labels: Sequence[str]) -> Html:
    parts = []
    for number, label in enumerate(labels):
        place = _share(number / (len(labels) - 1))
        anchor = "start" if number == 0 else "end" if number == len(labels) - 1 else "middle"
        parts.append(_line("grid", place, 17, place, height))
        parts.append(_text(label, place, height + 13, anchor, "dim"))
    return joined(parts)


def _tick(value: float, *, percent: bool, sign: bool = False) -> str:
    shown = value * 100 if percent else value
    plus = "+" if sign and value else ""
    return f"{shown:{plus}.4g}" + ((" pp" if sign else " %") if percent else "")


def _share(part: float) -> str:
    return f"{100 * min(max(part, 0.0), 1.0):.3f}%" if math.isfinite(part) else "0%"


def _line(kind: str, x1: str, y1: float, x2: str, y2: float) -> Html:
    return element("line", class_=kind, x1=x1, y1=f"{y1:g}", x2=x2, y2=f"{y2:g}")


def _text(words: str, x: str, y: float, anchor: str, kind: str) -> Html:
    return element("text", words, x=x, y=f"{y:.1f}", text_anchor=anchor, class_=kind or None)

"""An evaluation of retrieval as plain data, as a table for a terminal, and as a bar chart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING, Any

from aix_lsp.evaluation.retrieval import CROSSCODEEVAL, NO_RETRIEVAL, Result, Score
from aix_lsp.evaluation.statistics import mean_of, ratio_of

if TYPE_CHECKING:
    from rich.table import Table

METRICS: dict[str, Callable[[Score], float | None]] = {
    "found": lambda score: score.found,
    "found_absent": lambda score: score.found_absent,
    "definition_in_top_three": lambda score: float(score.top_three),
    "definition_among_all": lambda score: float(score.among_all),
    "line_similarity": lambda score: score.similarity,
    "characters": lambda score: float(score.characters),
}
"""Name -> value of one score; None where it says nothing for a case. Shares are from 0 to 1, similarity to 100."""

_HEADS = (
    "found %",
    "not in file %",
    "def. in 3 %",
    "def. in all %",
    "line sim.",
    "chars",
    "ratio (lower)",
    "length",
)
_PLAIN = frozenset(("line_similarity", "characters"))
_BAR_HEIGHT, _BAR_GAP, _LABEL_WIDTH, _BAR_WIDTH = 22, 10, 290, 400


def data_of(results: Sequence[Result]) -> dict[str, Any]:
    """Everything measured: per scheme means with standard errors and ratios to CrossCodeEval's, and the same means by
    repository."""
    names = sorted({result.repository for result in results})
    return {
        "cases": len(results),
        "languages": sorted({result.language for result in results}),
        "schemes": _schemes(results),
        "repositories": {
            name: {"cases": len(own), "schemes": _schemes(own)}
            for name in names
            if (own := [result for result in results if result.repository == name])
        },
    }


def _schemes(results: Sequence[Result]) -> dict[str, Any]:
    listed: dict[str, Any] = {}
    for scheme in results[0].scores if results else ():
        scores = [result.scores[scheme] for result in results]
        base = [result.scores[CROSSCODEEVAL] for result in results]
        row: dict[str, Any] = {}
        for metric, value in METRICS.items():
            row[metric] = asdict(mean_of([number for score in scores if (number := value(score)) is not None]))
        for metric in ("found", "characters"):
            value = METRICS[metric]
            ratio = ratio_of([value(score) or 0.0 for score in scores], [value(score) or 0.0 for score in base])
            row[f"{metric}_ratio"] = None if ratio is None else asdict(ratio)
        listed[scheme] = row
    return listed


def table_of(data: dict[str, Any]) -> Table:
    """The schemes as rows. The ratios are to CrossCodeEval's, with the lower bound."""
    from rich.table import Table

    table = Table(title=f"{data['cases']} cases ({', '.join(data['languages'])})", title_justify="left")
    table.add_column("scheme", no_wrap=True)
    for head in _HEADS:
        table.add_column(head, justify="right")
    for scheme, row in data["schemes"].items():
        cells = [_cell(metric, row[metric]) for metric in METRICS]
        ratio, length = row["found_ratio"], row["characters_ratio"]
        compared = scheme != NO_RETRIEVAL and ratio is not None and length is not None
        cells.append(f"{ratio['value']:.2f} ({ratio['lower']:.2f})" if compared else "")
        cells.append(f"{length['value']:.2f}" if compared else "")
        table.add_row(scheme, *cells)
    return table


def _cell(metric: str, mean: dict[str, float]) -> str:
    if metric == "characters":
        return f"{mean['value']:.0f}"
    scale = 1 if metric in _PLAIN else 100
    return f"{mean['value'] * scale:.1f} ± {mean['error'] * scale:.1f}"


def chart_of(data: dict[str, Any]) -> str:
    """The share of wanted identifiers found by each scheme as an SVG picture, standard errors as lines."""
    rows = list(data["schemes"].items())
    height = 50 + len(rows) * (_BAR_HEIGHT + _BAR_GAP)
    width = _LABEL_WIDTH + _BAR_WIDTH + 60
    title = f"Wanted identifiers found, % ({data['cases']} cases)"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="24" font-size="15" font-weight="bold" fill="#222222">{escape(title)}</text>',
    ]
    for number, (scheme, row) in enumerate(rows):
        top = 42 + number * (_BAR_HEIGHT + _BAR_GAP)
        middle = top + _BAR_HEIGHT / 2
        value, error = row["found"]["value"], row["found"]["error"]
        length = value * _BAR_WIDTH
        low, high = _LABEL_WIDTH + (value - error) * _BAR_WIDTH, _LABEL_WIDTH + (value + error) * _BAR_WIDTH
        color = "#9aa5b1" if scheme in (NO_RETRIEVAL, CROSSCODEEVAL) else "#2f6fab"
        parts += [
            f'<text x="{_LABEL_WIDTH - 8}" y="{middle + 4:.1f}" text-anchor="end" fill="#222222">'
            f"{escape(scheme)}</text>",
            f'<rect x="{_LABEL_WIDTH}" y="{top}" width="{length:.1f}" height="{_BAR_HEIGHT}" fill="{color}"/>',
            f'<line x1="{low:.1f}" y1="{middle:.1f}" x2="{high:.1f}" y2="{middle:.1f}" stroke="#222222"/>',
            f'<text x="{high + 6:.1f}" y="{middle + 4:.1f}" fill="#222222">{100 * value:.1f}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"

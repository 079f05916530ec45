"""An evaluation of infilling as plain data, as a table for a terminal, and as Markdown for a model card."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from aix_lsp.engine.prompt_limits import limits_noted
from aix_lsp.evaluation.infilling import COPIERS, Answer, ModelAnswers, Way
from aix_lsp.evaluation.infilling_answers import name_of
from aix_lsp.evaluation.losses import Loss
from aix_lsp.evaluation.places import CROSS_FILE, Place, Task
from aix_lsp.evaluation.statistics import Mean, mean_of
from aix_lsp.languages import language_of
from aix_lsp.syntax import in_comment_or_string

if TYPE_CHECKING:
    from rich.table import Table

METRICS: Final[dict[str, Callable[[Answer], float | None]]] = {
    "exact": lambda answer: float(answer.exact),
    "similarity": lambda answer: answer.similarity,
    "names": lambda answer: answer.names,
}
"""Name -> value of one answer; None where it says nothing. Shares are from 0 to 1, similarity from 0 to 100."""

TITLES: Final[dict[Task, str]] = {
    "humaneval": "HumanEval single line",
    "line": "rest of line",
    "start": "cross-file line",
    "middle": "cross-file line after its first word",
}

Slice = tuple[Task, str, list[int]]
"""A task, a part of its places ("" for all), and their numbers."""

_METRIC_TITLES = {"exact": "exact %", "similarity": "edit similarity", "names": "wanted names %"}
_LEFT: Final = ((1, 5), (6, 15), (16, 30), (31, None))

_NOTES = (
    "Mean ± standard error, with places (of bits per byte, files) as the sample. Greedy answers up to the line's end "
    "through the product's own prompt and engine, token healing on, no post-processing. *copy n* continues as the last "
    "n (copy 10: up to 10) tokens of the model's own vocabulary did most often elsewhere in the file, of which it sees "
    "the whole; *healed* spells an unfinished word anew, as the model may. Edit similarity is rapidfuzz's ratio (0 to "
    "100). Differences are paired over the same places."
)


def data_of(
    places: Sequence[Place], models: Sequence[ModelAnswers], *, command: str, losses: Mapping[str, Loss] | None = None
) -> dict[str, Any]:
    """Everything measured: `measures` has a record for each slice of places and way of answering, `differences` one
    for each comparison, with means and standard errors; `losses` are bits per byte by model, if they were taken."""
    slices = list(_slices(places))
    return {
        "command": command,
        "places": {task: sum(place.task == task for place in places) for task in TITLES},
        "models": {
            model.label: {
                "name": model.info.name,
                "parameters": model.info.parameters,
                "positions": model.info.max_positions,
                "limits": limits_noted(model.info.limits),
                "device": model.info.device,
                "dtype": model.info.dtype,
            }
            for model in models
        },
        "measures": list(_measures(slices, models)),
        "differences": list(_differences(slices, models)),
        "bits_per_byte": {label: asdict(loss) for label, loss in (losses or {}).items()},
    }


def _slices(places: Sequence[Place]) -> Iterator[Slice]:
    for task in TITLES:
        mine = [number for number, place in enumerate(places) if place.task == task]
        if mine:
            yield task, "", mine
        if task == "line":
            for title, numbers in _slices_of_lines(places, mine):
                if numbers:
                    yield task, title, numbers


def _slices_of_lines(places: Sequence[Place], numbers: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """By characters left, by what the place stands in, and by folder where there are several."""
    for low, high in _LEFT:
        title = f"{low}-{high} characters left" if high else f"{low} and more characters left"
        yield title, [number for number in numbers if low <= len(places[number].wanted) <= (high or math.inf)]
    prose = {number for number in numbers if _in_prose(places[number])}
    yield "in code", [number for number in numbers if number not in prose]
    yield "in strings and comments", sorted(prose)
    groups = sorted({places[number].group for number in numbers})
    for group in groups if len(groups) > 1 else ():
        yield group, [number for number in numbers if places[number].group == group]


def _in_prose(place: Place) -> bool:
    grammar = language_of(place.name).grammar
    text = place.before + place.wanted + place.after
    return grammar is not None and in_comment_or_string(text, len(place.before), grammar) is not None


def _measures(slices: Sequence[Slice], models: Sequence[ModelAnswers]) -> Iterator[dict[str, Any]]:
    for task, slice_, numbers in slices:
        for model in models:
            for way, answers in model.answers.items():
                if way.snippets and task not in CROSS_FILE:
                    continue
                means = _means([answers[number] for number in numbers])
                yield {"task": task, "slice": slice_, "model": model.label, "way": way.name} | {
                    "snippets": way.snippets,
                    **{metric: asdict(mean) for metric, mean in means.items()},
                }


def _means(answers: Sequence[Answer | None]) -> dict[str, Mean]:
    """All metrics that say something of these answers."""
    means = {}
    for metric, value in METRICS.items():
        values = [number for answer in answers if answer is not None and (number := value(answer)) is not None]
        if values:
            means[metric] = mean_of(values)
    return means


def _differences(slices: Sequence[Slice], models: Sequence[ModelAnswers]) -> Iterator[dict[str, Any]]:
    """PSM less SPM, formats less copiers, snippets less none, later models less earlier ones."""
    for task, slice_, numbers in slices:
        if slice_:
            continue
        for model in models:
            for one, other in _pairs_of_ways(list(model.answers), task):
                what = f"{model.label}: {name_of(one)} − {name_of(other)}"
                yield from _difference(task, what, numbers, model.answers[one], model.answers[other])
        for earlier, later in combinations(models, 2):
            for way in later.answers:
                if way.name not in COPIERS and way in earlier.answers and not (way.snippets and task not in CROSS_FILE):
                    what = f"{name_of(way)}: {later.label} − {earlier.label}"
                    yield from _difference(task, what, numbers, later.answers[way], earlier.answers[way])


def _pairs_of_ways(ways: Sequence[Way], task: Task) -> Iterator[tuple[Way, Way]]:
    """Those that are both there: an earlier run may have had other ways."""
    for way in ways:
        if way.name in COPIERS or (way.snippets and task not in CROSS_FILE):
            continue
        others = [way.name] if way.snippets else [*(["SPM"] if way.name == "PSM" else []), *COPIERS]
        yield from ((way, Way(other)) for other in others if Way(other) in ways)


def _difference(
    task: Task, what: str, numbers: Sequence[int], ours: Sequence[Answer | None], theirs: Sequence[Answer | None]
) -> Iterator[dict[str, Any]]:
    means = {}
    for metric, value in METRICS.items():
        paired = [
            (left, right)
            for number in numbers
            if (one := ours[number]) is not None and (other := theirs[number]) is not None
            if (left := value(one)) is not None and (right := value(other)) is not None
        ]
        if paired:
            means[metric] = asdict(mean_of([left - right for left, right in paired]))
    if means:
        yield {"task": task, "what": what, **means}


def _cell(metric: str, mean: dict[str, float], *, sign: bool = False) -> str:
    """A mean with its standard error; one value alone has none."""
    scale = 1 if metric == "similarity" else 100
    value = f"{mean['value'] * scale:{'+' if sign else ''}.1f}"
    return f"{value} ± {mean['error'] * scale:.1f}" if mean["count"] > 1 else value


def _means_table(data: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Measures as rows, ways of answering as columns."""
    columns = list(dict.fromkeys((record["model"], record["way"]) for record in data["measures"]))
    rows: dict[tuple[Any, ...], dict[tuple[str, str], str]] = {}
    counts: dict[tuple[Any, ...], int] = {}
    for record in data["measures"]:
        for metric in METRICS:
            # a slice is told by what decides, all of a task by everything
            if metric in record and (metric == "exact" or not record["slice"]) and _told(record["task"], metric):
                row = (record["task"], record["slice"], metric, record["snippets"])
                rows.setdefault(row, {})[record["model"], record["way"]] = _cell(metric, record[metric])
                counts[row] = record[metric]["count"]
    lines = []
    # with and without snippets under one another
    order = list(dict.fromkeys(row[:3] for row in rows))
    for task, slice_, metric in order:
        for snippets in (False, True):
            row = (task, slice_, metric, snippets)
            if row in rows:
                title = f"{TITLES[task]}{f', {slice_}' if slice_ else ''}: {_METRIC_TITLES[metric]}"
                title += ", with snippets" if snippets else ""
                lines.append([title, str(counts[row]), *(rows[row].get(column, "") for column in columns)])
    one = len(data["models"]) == 1
    return ["", "n", *(way if one else f"{model} {way}" for model, way in columns)], lines


def _told(task: Task, metric: str) -> bool:
    """Whether the table shows a metric; the data have them all."""
    return metric != "similarity" or task == "line"


def _differences_table(data: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Comparisons as rows, exact match by task as columns, and the wanted names where snippets are compared."""
    tasks = [task for task in TITLES if data["places"][task]]
    rows: dict[str, dict[tuple[str, str], str]] = {}
    for record in data["differences"]:
        for metric in ("exact", "names"):
            if metric in record:
                rows.setdefault(record["what"], {})[record["task"], metric] = _cell(metric, record[metric], sign=True)
    columns = [(task, "exact") for task in tasks]
    columns += [(task, "names") for task in tasks if any((task, "names") in row for row in rows.values())]
    heads = ["difference", *(f"{TITLES[task]}: {_METRIC_TITLES[metric]}" for task, metric in columns)]
    return heads, [[what, *(row.get(column, "") for column in columns)] for what, row in rows.items()]


def _losses_table(data: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Models as rows."""
    rows = [
        [
            label,
            f"{loss['value']:.3f}" + (f" ± {loss['error']:.3f}" if loss["files"] > 1 else ""),
            f"{loss['files']:,}",
            f"{loss['tokens']:,}",
        ]
        for label, loss in data["bits_per_byte"].items()
    ]
    return ["left to right", "bits per byte", "files", "tokens"], rows


def _tables(data: dict[str, Any]) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Heads and rows of all tables that have any."""
    for table in (_means_table, _differences_table, _losses_table):
        heads, rows = table(data)
        if rows:
            yield heads, rows


def tables_of(data: dict[str, Any]) -> list[Table]:
    """For a terminal: the means, the differences, the losses."""
    from rich.table import Table

    tables = []
    for heads, rows in _tables(data):
        table = Table()
        for number, head in enumerate(heads):
            table.add_column(head, justify="right" if number else "left", no_wrap=not number)
        for row in rows:
            table.add_row(*row)
        tables.append(table)
    return tables


def markdown_of(data: dict[str, Any]) -> str:
    """For a model card: the command, the tables, and what they mean."""
    parts = [f"    {data['command']}"]
    for heads, rows in _tables(data):
        lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
        parts.append(
            "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
        )
    return "\n\n".join([*parts, _NOTES]) + "\n"


def _escaped(cell: str) -> str:
    """A folder may have a bar in its name."""
    return cell.replace("|", "\\|")

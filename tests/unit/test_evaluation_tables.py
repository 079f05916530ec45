"""Runs and comparisons as tables for a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from aix_lsp.evaluation.comparison import compare
from aix_lsp.evaluation.run_folder import RunData
from aix_lsp.evaluation.summary_tables import FLIPS_SHOWN, WIDTH, comparison_tables, tables_of
from tests.unit.evaluation_runs import HOSTILE, METRICS, again, large, result, run_of, summary_of


def printed(tables: Iterable[Table]) -> str:
    console = Console(width=WIDTH, file=io.StringIO(), highlight=False)
    for table in tables:
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines()), default=0) <= WIDTH
    return text


def shown(run: RunData) -> str:
    return printed(tables_of(run.config, summary_of(run)))


def whole(text: str) -> str:
    """Without the line breaks of cells and captions."""
    return " ".join(text.replace("│", " ").split())


def test_a_run_is_told_with_intervals_and_by_language_and_scenario() -> None:
    text = whole(shown(large()))
    for words in ("144 samples, 4 without an answer", "46.5 % 38.2 to 54.9 144", "typescript 48 50.0 %", "p95"):
        assert words in text
    assert "method body with comment 62.5 % 75.0 % 62.5 %" in text
    assert "the model alone" in text
    assert "functional tests: not run (no sandbox)" in text
    assert "error: the server was away 4" in text


def test_a_comparison_is_told_with_verdicts_and_a_few_flips() -> None:
    first = large()
    found = compare(first, again(first, 0.5), METRICS)
    assert len(found.flips) > FLIPS_SHOWN
    text = whole(printed(comparison_tables(("model-0", "small-tuned"), found)))
    gained = sum(flip.gained for flip in found.flips)
    assert f"{gained} became right, {len(found.flips) - gained} wrong" in text
    assert f"and {len(found.flips) - FLIPS_SHOWN} more" in text
    assert "first: model-0; second: small-tuned" in text
    assert "better" in text


def test_what_models_write_can_do_nothing_to_a_terminal() -> None:
    run = run_of(
        result(HOSTILE, HOSTILE, HOSTILE, language=HOSTILE, scenario=HOSTILE, finish=HOSTILE),
        result("b", error=HOSTILE),
        **dict.fromkeys(("model", "benchmark", "uses"), HOSTILE),
        notes=[HOSTILE],
    )
    other = run_of(result(HOSTILE, HOSTILE, HOSTILE, 1.0))
    for text in (shown(run), printed(comparison_tables((HOSTILE, "b"), compare(run, other, METRICS)))):
        assert "[bold]" in text
        assert not {"\x1b", "\x00", "\u202e", "\u2066", "\ud800"}.intersection(text)


def test_runs_of_nothing_and_of_one_sample_are_told_too() -> None:
    assert "0 samples" in shown(run_of())
    assert "1 sample" in shown(run_of(result(score=None)))
    empty = compare(run_of(), run_of(), METRICS)
    assert "0 samples that both runs have" in printed(comparison_tables(("a", "b"), empty))

"""What `aix-lsp inspect` prints in a terminal of 100 columns."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from rich.cells import cell_len
from rich.console import Console

from aix_lsp.cli.inspect_view import View
from aix_lsp.cli.servers import About
from aix_lsp.completion.trace import Traced
from aix_lsp.completion.trace_words import Summary
from aix_lsp.types import CompletionItem, CompletionResult
from tests.unit.traces import HOSTILE, log_of, offered, silent, traced

ABOUT = About(7, "1", "neovim", (), "ready", "", "small", 50, 0.0, Summary(0, 0, 0))


def printed(records: Sequence[Traced], *, terminal: bool = True, whole: bool = False, about: About = ABOUT) -> str:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=terminal, color_system=None, highlight=False)
    View(console).show(about, records, others=2, whole=whole)
    return out.getvalue()


def test_each_request_has_one_line_that_fits() -> None:
    results = [offered(), silent("x" * 200), offered("long = " + "y" * 300), silent("no memory", failed=True)]
    log = log_of(*results)
    log.outcome("one", "accepted")
    text = printed(list(log))
    lines = text.splitlines()
    assert lines[0] == "process 7 (neovim) of no folder, small, ready; 2 more run (--pid)"
    rows = lines[1:5]
    assert all(row.startswith(f"{number:>4} ") for number, row in enumerate(rows, 1))
    assert all(cell_len(row) <= 100 for row in rows)
    assert "shop/a.py:1" in rows[0]
    assert "model" in rows[0]
    assert "90 ms ✓ b" in rows[0]
    assert rows[1].endswith("…")
    assert "no offer: no memory" in rows[3]
    assert "4 asked, 2 offered (1 taken); no offer: " in text


def test_in_a_pipe_nothing_is_cut() -> None:
    assert "x" * 200 in printed([traced(silent("x" * 200))], terminal=False)


def test_one_request_is_told_whole() -> None:
    text = printed([traced(offered("b + c"))], whole=True)
    for said in (
        "request 1",
        "generated for this request",
        "a = b + c",
        "the model wrote",
        "drop the rest of the line",
        "retrieval",
        "shop/b.py:1-2",
        "score 3.50, edited lately",
        "matches b 0.50",
        "prompt, 10 tokens, l2r",
        "cut: prefix: 3 lines cut",
    ):
        assert said in text, said


@pytest.mark.parametrize(
    "result",
    [
        offered(HOSTILE),
        offered(items=(CompletionItem("a", "x", 4, 4), CompletionItem("b", HOSTILE, 4, 4))),
        silent(HOSTILE),
        CompletionResult(),
        offered(prompt=None, snippets=(), spans=()),
    ],
    ids=["offer", "candidate", "reason", "nothing", "little"],
)
@pytest.mark.parametrize("whole", [True, False])
def test_no_control_character_of_a_source_reaches_the_terminal(result: CompletionResult, whole: bool) -> None:
    text = printed([traced(result, name=f"{HOSTILE}.py")], whole=whole)
    assert "\x1b" not in text
    text.encode()


@pytest.mark.parametrize(("capacity", "said"), [(0, "inspect.requests is 0"), (50, "nothing was asked yet")])
def test_no_request_is_explained(capacity: int, said: str) -> None:
    about = About(7, "1", "", (), "ready", "", "", capacity, 0.0, Summary(0, 0, 0))
    assert said in printed([], about=about)

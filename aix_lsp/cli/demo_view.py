"""What the demo shows in a terminal, and the same as an SVG picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

import aix_lsp

if TYPE_CHECKING:
    from aix_lsp.cli.demo import Shot

_LINES_ABOVE = 7
_WIDTH = 110

EDITORS = f"""\
Start it from your editor (aix-lsp {aix_lsp.__version__} must be on the PATH, or give the full path):

Neovim 0.12+   vim.lsp.config('aix', {{ cmd = {{ 'aix-lsp', 'serve', '--stdio' }}, root_markers = {{ '.git' }} }})
               vim.lsp.enable('aix'); vim.lsp.inline_completion.enable()
               vim.keymap.set('i', '<M-l>', vim.lsp.inline_completion.get)
Emacs 30+      (lsp-register-client (make-lsp-client :server-id 'aix :add-on? t :activation-fn (lambda (&rest _) t)
lsp-mode         :new-connection (lsp-stdio-connection '("aix-lsp" "serve" "--stdio"))))
VS Code        any generic LSP client extension with inline completion: command `aix-lsp serve --stdio`
JetBrains      LSP4IJ 0.20+: Settings, Languages & Frameworks, Language Servers, +, command `aix-lsp serve --stdio`
"""


class View:
    """Prints shots as they come."""

    def __init__(self, svg: Path | None) -> None:
        """`svg`: also save what was shown there."""
        self._svg = svg
        self._console = Console(record=svg is not None, width=_WIDTH if svg is not None else None)

    def begin(self, file: str) -> None:
        """Say what will be seen."""
        self._console.print(Text(f"aix-lsp {aix_lsp.__version__}: typing {file}; ghost text is ", style="bold"), end="")
        self._console.print(Text("grey", style="italic grey50"))

    def show(self, shot: Shot) -> None:
        """One completion."""
        self._console.print(
            Panel(
                Group(_code(shot), Text(), _snippets(shot)),
                title=_times(shot),
                title_align="left",
                border_style="blue" if shot.ghost else "grey50",
            )
        )

    def end(self) -> None:
        """Save the picture; say how to go on."""
        if self._svg is not None:
            self._console.save_svg(str(self._svg), title="aix-lsp demo")
        self._console.print(Text(EDITORS))


def _code(shot: Shot) -> Table:
    """The last lines typed with their numbers, and the ghost text behind them."""
    syntax = Syntax("", "python", theme="ansi_dark")
    ghost = shot.ghost.split("\n")
    lines = shot.typed.split("\n")
    first = max(0, len(lines) - _LINES_ABOVE)
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(justify="right", style="grey50", no_wrap=True)
    table.add_column(no_wrap=True)
    for number in range(first, len(lines)):
        text = syntax.highlight(lines[number])
        text.rstrip()
        if number == len(lines) - 1:
            text = Text(lines[number][: len(lines[number]) - len(lines[number].lstrip())]) if not text.plain else text
            text.append(lines[number][len(text.plain) :])
            text.append(ghost[0], style="italic grey50")
        table.add_row(str(number + 1), text)
    for number, line in enumerate(ghost[1:], len(lines) + 1):
        table.add_row(str(number), Text(line, style="italic grey50"))
    return table


def _snippets(shot: Shot) -> Text:
    """Where the quoted snippets come from."""
    text = Text("snippets  ", style="dim")
    places = [
        f"{snippet['path']}:{snippet['start_line']}-{snippet['end_line']} ({snippet['kind']} {snippet['score']:.1f})"
        for snippet in shot.trace["snippets"]
    ]
    text.append("  ".join(places) or "none")
    return text


def _times(shot: Shot) -> str:
    times = shot.trace["timings_ms"]
    return (
        f"{shot.trace['model']}: retrieval {times['retrieval']:.1f} ms, prompt {times['prompt']:.1f}, "
        f"first token {times['first_token']:.0f}, total {times['total']:.0f}"
    )

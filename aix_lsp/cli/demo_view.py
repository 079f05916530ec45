"""What the demo shows in a terminal, and the same as an SVG picture."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console, Group
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

import aix_lsp
from aix_lsp.cli.demo_shot import Shot

_LINES_ABOVE = 7
_PICTURE_WIDTH = 104
_PICTURE_SHOTS = 4
_GHOST = "italic grey50"
_FETCHED_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)

EDITORS = f"""
That was aix-lsp {aix_lsp.__version__}, over LSP. In your editor (`aix-lsp` must be on its PATH; README has more):

Neovim 0.12+
  vim.lsp.config('aix', {{ cmd = {{ 'aix-lsp', 'serve', '--stdio' }}, root_markers = {{ '.git' }} }})
  vim.lsp.enable('aix')
  vim.lsp.inline_completion.enable()
  vim.keymap.set('i', '<M-l>', function() vim.lsp.inline_completion.get() end)  -- README has a better one

Emacs 30+ with lsp-mode 10
  (lsp-register-client
   (make-lsp-client :server-id 'aix :add-on? t
                    :new-connection (lsp-stdio-connection '("aix-lsp" "serve" "--stdio"))
                    :activation-fn (lambda (&rest _) t)))
  (add-hook 'lsp-mode-hook #'lsp-inline-completion-mode)

JetBrains with LSP4IJ 0.20+, VS Code with any client for language servers
  command: aix-lsp serve --stdio
"""


class View:
    """Prints shots as they come."""

    def __init__(self, svg: Path | None) -> None:
        """`svg`: also save the first shots there, as a picture of a terminal."""
        self._svg = svg
        self._console = Console(highlight=False)
        self._picture = Console(record=True, width=_PICTURE_WIDTH, file=io.StringIO(), highlight=False)
        self._shots = 0

    def begin(self, file: str) -> None:
        """Say what will be seen."""
        title = Text(f"aix-lsp {aix_lsp.__version__}: typing {file}; ghost text is ", style="bold")
        for console in (self._console, self._picture):
            console.print(title + Text("grey", style=_GHOST))

    def show(self, shot: Shot) -> None:
        """One completion."""
        self._shots += 1
        panel = Panel(
            Group(_code(shot), Text(), _snippets(shot)),
            title=_times(shot),
            title_align="left",
            border_style="blue" if shot.ghost else "grey50",
        )
        self._console.print(panel)
        if self._shots <= _PICTURE_SHOTS:
            self._picture.print(panel)

    def end(self) -> None:
        """Save the picture; say how to go on."""
        if self._svg is not None:
            picture = self._picture.export_svg(title="aix-lsp demo")
            # the fonts would be fetched from somebody's server whenever the picture is looked at
            self._svg.write_text(_FETCHED_FONT.sub("", picture), encoding="utf-8")
        self._console.print(Text(EDITORS), soft_wrap=True)  # to be copied


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
            text.append(ghost[0], style=_GHOST)
        table.add_row(str(number + 1), text)
    for number, line in enumerate(ghost[1:], len(lines) + 1):
        table.add_row(str(number), Text(line, style=_GHOST))
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

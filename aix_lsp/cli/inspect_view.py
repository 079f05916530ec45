"""What `aix-lsp inspect` shows in a terminal: one line per request, or everything about one."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from aix_lsp.cli.servers import About
from aix_lsp.completion import trace_words as words
from aix_lsp.completion.trace import Traced
from aix_lsp.completion.trace_markdown import waterfall
from aix_lsp.completion.trace_words import Summary
from aix_lsp.types import Snippet

_GHOST = "italic grey50"
_COLOURS = {"snippet": "cyan", "header": "yellow", "prefix": "blue", "suffix": "magenta"}
_WIDTHS = {"time": 8, "place": 24, "what": 8, "source": 13, "ms": 6}


class View:
    """Prints to the terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    def show(self, about: About, records: Sequence[Traced], *, others: int, whole: bool) -> None:
        """The list with what it adds up to; with `whole`, the details of each."""
        self._title(about, others)
        if whole:
            for traced in records:
                self._console.print(_details(traced))
            return
        if not records:
            none = Summary(0, 0, 0, given_up=about.summary.given_up)
            said = words.summary_in_words(none) if about.capacity else "inspect.requests is 0: nothing is remembered"
            self._console.print(said)
            return
        for traced in records:
            self.line(traced)
        self._console.print()
        summary = words.summarize(records, about.summary.given_up)
        self._console.print(_clean(words.summary_in_words(summary)), soft_wrap=True)
        self._console.print(Text("one of them: aix-lsp inspect --request NUMBER; a page: --html FILE", style="dim"))

    def following(self, about: About) -> None:
        """What is said before the first line."""
        self._title(about, 0)
        self._console.print(Text("each new request, until control-C", style="dim"))

    def line(self, traced: Traced) -> None:
        """One request on one line, as wide as the terminal."""
        line = Text()
        line.append(f"{traced.number:>4} ", style="dim")
        line.append(words.clock(traced).ljust(_WIDTHS["time"]) + " ", style="dim")
        line.append(_fitted(words.place(traced), _WIDTHS["place"]) + " ", style="bold")
        line.append((traced.result.amount or "-").ljust(5) + (" ! " if traced.trigger == "invoked" else "   "))
        line.append(words.source(traced).ljust(_WIDTHS["source"]) + " ", style="dim")
        line.append(f"{traced.result.timings.total:{_WIDTHS['ms']}.0f} ms ")
        if traced.is_taken:
            line.append("✓ ", style="green")
        style = ("red" if traced.result.failed else "yellow") if not traced.result.items else "green"
        line.append(_clean(words.headline(traced)).plain, style=style)
        # in a file or a pipe nothing is cut
        whole = not self._console.is_terminal
        self._console.print(line, no_wrap=True, overflow="ignore" if whole else "ellipsis", soft_wrap=whole)

    def _title(self, about: About, others: int) -> None:
        more = f"; {others} more {'runs' if others == 1 else 'run'} (--pid)" if others else ""
        model = f", {about.model}" if about.model else ""
        self._console.print(_clean(f"{about.name}{model}, {about.state}{more}"), style="dim", soft_wrap=True)


def _fitted(text: str, width: int) -> str:
    """Text of exactly this width; of a long path its end."""
    text = _clean(text).plain
    return text.ljust(width) if len(text) <= width else "…" + text[len(text) - width + 1 :]


def _clean(text: str, style: str = "") -> Text:
    """Text that a terminal can print: no control characters of somebody's source, no halves of surrogate pairs."""
    plain = text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n").expandtabs(4)
    return Text(words.printable(plain, keep="\n"), style=style)


def _details(traced: Traced) -> Group:
    facts = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, said in words.facts(traced):
        facts.add_row(name, _clean(said))
    parts: list[object] = [Text(f"request {traced.number}", style="bold"), facts, Text(), _in_the_editor(traced)]
    parts += [_panel("another candidate", _clean(item.text, _GHOST)) for item in traced.result.items[1:]]
    if traced.result.raw:
        parts.append(_panel("the model wrote", _clean(traced.result.raw)))
    parts += [Text(), _clean(waterfall(traced.spans)), Text()]
    parts += [part for snippet in traced.result.snippets for part in _snippet(snippet)]
    if traced.result.prompt is not None:
        parts += _prompt(traced)
    return Group(*parts)  # type: ignore[arg-type]


def _in_the_editor(traced: Traced) -> Panel:
    before, offer, after = traced.shown
    text = _clean(before)
    text.append_text(_clean(offer, _GHOST) if offer else Text("▮", style="yellow"))
    text.append_text(_clean(after))
    return _panel("offered", text, "blue") if offer else _panel("no offer", text, "yellow")


def _panel(title: str, text: Text, style: str = "grey50") -> Panel:
    return Panel(text, title=title, title_align="left", border_style=style)


def _snippet(snippet: Snippet) -> list[object]:
    head = _clean(f"{snippet.path}:{snippet.start_line}-{snippet.end_line}", "bold")
    said = ", ".join([snippet.kind, f"score {snippet.score:.2f}", *snippet.notes])
    head.append_text(_clean(f"  {said}", "not bold dim"))
    parts: list[object] = [head]
    if snippet.terms:
        matching = ", ".join(f"{term} {share:.2f}" for term, share in snippet.terms)
        parts.append(_clean(f"matches {matching}", "dim"))
    return [*parts, Padding(_clean(snippet.text.rstrip("\n")), (0, 0, 1, 2))]


def _prompt(traced: Traced) -> list[object]:
    prompt = traced.result.prompt
    assert prompt is not None
    text = Text()
    for part, piece in words.segments(traced):
        text.append_text(_clean(piece, "reverse dim" if part is None else _COLOURS[part.role]))
    parts: list[object] = [Rule(f"prompt, {traced.prompt_tokens} tokens, {prompt.format}"), text, Rule()]
    parts += [
        _clean(f"{part.tokens:6d} tokens  {words.part_in_words(part)}", _COLOURS[part.role]) for part in prompt.parts
    ]
    parts += [_clean(f"cut: {sentence}", "yellow") for sentence in prompt.cut]
    if prompt.required:
        parts.append(_clean(f"the answer had to begin with {prompt.required!r}", "dim"))
    return parts

"""How snippets of other files are quoted: as files of their own, or as comments at the top of the file.

A snippet that does not fit whole loses lines from its end; where too little would be left it is not quoted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

from aix_lsp import languages
from aix_lsp.prompt.block import EMPTY, Block, encoded, joined, marked
from aix_lsp.prompt.budget import closed, keep_head, split_lines
from aix_lsp.prompt.fim import FimFamily, SnippetStyle
from aix_lsp.types import DocumentSnapshot, PromptPart, Snippet, Tokenizer

_LEAST_LINES = 3

QuoteStyle = SnippetStyle | Literal["comments"]


@dataclass(frozen=True, slots=True)
class Quote:
    """One snippet as it stands in the prompt; `snippet` is shortened where its end was cut."""

    snippet: Snippet
    block: Block


@dataclass(frozen=True, slots=True)
class Quotes:
    """All snippets that are quoted, best first.

    `cut` says in sentences what did not fit.
    """

    style: QuoteStyle
    quotes: tuple[Quote, ...] = ()
    opening: Block = EMPTY
    closing: Block = EMPTY
    cut: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[Quote, ...]:
        """The quotes as they stand in the prompt: documents with the best last, next to the file itself."""
        return self.quotes if self.style in ("inline", "comments") else self.quotes[::-1]

    @property
    def block(self) -> Block:
        """All of them with what stands around them; empty when nothing is quoted."""
        if not self.quotes:
            return EMPTY
        return joined([self.opening, *(quote.block for quote in self.order), self.closing])

    def trace(self) -> list[PromptPart]:
        """The quotes as parts of a prompt; what stands around them counts with the first and the last."""
        blocks = [quote.block for quote in self.order]
        if blocks:
            blocks[0] = self.opening + blocks[0]
            blocks[-1] = blocks[-1] + self.closing
        return [
            PromptPart("snippet", len(block), _name(quote.snippet), characters=len(block.text))
            for quote, block in zip(self.order, blocks, strict=True)
        ]

    @property
    def inside(self) -> bool:
        """Whether the block belongs to the file's own text, and not before it."""
        return self.style in ("inline", "comments")


def quote_style(family: FimFamily, snippet_layout: Literal["documents", "comments"]) -> QuoteStyle:
    """The model's own way of showing several files, unless comments are asked for."""
    return "comments" if snippet_layout == "comments" else family.snippets


def file_header(family: FimFamily, path: str, language_id: str = "") -> str:
    """What stands above a file's text to name it: aiXcoder's two lines, else its path in a comment.

    Models with file separators get the path alone, and only behind a separator.
    """
    if family.name == "aixcoder":
        return languages.header(path, language_id)
    if family.snippets == "separators":
        return f"{path}\n"
    return languages.comment_line(languages.language_of(path, language_id), path) + "\n"


def quote(
    tokenizer: Tokenizer,
    family: FimFamily,
    style: QuoteStyle,
    document: DocumentSnapshot,
    snippets: Sequence[Snippet],
    room: int,
    *,
    lead: str = "",
) -> Quotes:
    """As many of `snippets` (best first) as fit in `room` tokens. `lead` is put before the first text."""
    opening, closing = _frame(tokenizer, family, style, document, lead)
    left = room - len(opening) - len(closing)
    quotes: list[Quote] = []
    cut: list[str] = []
    for snippet in snippets:
        if not snippet.text:
            continue
        first = lead if style == "inline" and not quotes else ""
        head, body, tail = _entry(tokenizer, family, style, document, snippet, first)
        kept = keep_head(tokenizer, body, left - len(head) - len(tail))
        total = kept.lines + kept.cut_lines
        # One or two of many lines say little, and cost a header all the same.
        if not kept.ids or kept.inside_line or kept.lines < min(_LEAST_LINES, total):
            cut.append(f"snippet {_name(snippet)}: left out, no room")
            continue
        if kept.cut_lines:
            cut.append(f"snippet {_name(snippet)}: {kept.cut_lines} of {total} lines cut from the end")
            snippet = _shortened(snippet, kept.lines)
        block = head + Block(kept.ids, kept.text) + tail
        left -= len(block)
        quotes.append(Quote(snippet, block))
    return Quotes(style, tuple(quotes), opening, closing, tuple(cut))


def _frame(
    tokenizer: Tokenizer, family: FimFamily, style: QuoteStyle, document: DocumentSnapshot, lead: str
) -> tuple[Block, Block]:
    """What stands before the first and behind the last snippet."""
    if style == "comments":
        # The sentences are CrossCodeEval's (Ding et al. 2023), which models of that time were measured with.
        said = "Here are some relevant code fragments from other files of the repo:"
        language = languages.language_of(document.name, document.language_id)
        return encoded(tokenizer, f"{lead}{languages.comment_line(language, said)}\n\n"), EMPTY
    if style == "separators":
        repository = _repository_name(document)
        opening = EMPTY
        if family.repository is not None and repository:
            end = "\n" if family.line_after_repository else ""
            opening = marked(family.repository) + encoded(tokenizer, repository + end)
        return opening, marked(family.separator)
    return EMPTY, EMPTY


def _entry(
    tokenizer: Tokenizer,
    family: FimFamily,
    style: QuoteStyle,
    document: DocumentSnapshot,
    snippet: Snippet,
    lead: str,
) -> tuple[Block, str, Block]:
    """One snippet: what stands above its lines, the lines, and what stands below them."""
    if style == "documents":
        head = marked(family.begin) + encoded(tokenizer, file_header(family, snippet.path))
        return head, snippet.text, marked(family.end)
    if style == "separators":
        head = marked(family.separator) + encoded(tokenizer, file_header(family, snippet.path))
        return head, closed(snippet.text), EMPTY
    if style == "inline":
        head = encoded(tokenizer, lead + file_header(family, snippet.path))
        return head, closed(snippet.text), encoded(tokenizer, "\n")
    language = languages.language_of(document.name, document.language_id)
    said = ("the below code fragment can be found in:", snippet.path)
    head = encoded(tokenizer, "".join(f"{languages.comment_line(language, line)}\n" for line in said))
    lines = split_lines(snippet.text)
    return head, "".join(f"{languages.comment_line(language, line)}\n" for line in lines), encoded(tokenizer, "\n")


def _name(snippet: Snippet) -> str:
    return f"{snippet.path}:{snippet.start_line}-{snippet.end_line}"


def _shortened(snippet: Snippet, lines: int) -> Snippet:
    text = "\n".join(split_lines(snippet.text)[:lines])
    end = min(snippet.end_line, snippet.start_line + lines - 1)
    return replace(snippet, text=text, end_line=end)


def _repository_name(document: DocumentSnapshot) -> str:
    """Name of the folder that the document's name is relative to; empty when that is not known."""
    if document.path is None:
        return ""
    path, name = PurePosixPath(document.path.as_posix()), PurePosixPath(document.name)
    depth = len(name.parts)
    return path.parts[-depth - 1] if path.parts[-depth:] == name.parts and len(path.parts) > depth + 1 else ""

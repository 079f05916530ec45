"""What to search for at a place in a document: weighted terms of the text around it.

Lines near the cursor say most about the line to be written, so a line's terms weigh 0.7 for each line that it is
away, above and below; the signature of the function around the cursor weighs 0.3. Measured on public repositories
against CrossCodeEval's query, which is the last ten lines with equal weights.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from aix_lsp.languages import Language
from aix_lsp.retrieval.chunks import split_lines
from aix_lsp.retrieval.tokens import tokenize
from aix_lsp.types import DocumentSnapshot

DECAY = 0.7
SUFFIX_LINES = 5
HEADER_WEIGHT = 0.3

_NEAR = 16_384  # characters on either side in which the lines are looked for
_HEADER_REACH = 65_536
_HEADER_NEAR = 4_096  # characters; most headers are that near

_KEYWORD = re.compile(
    r"\b(class|def|enum|extension|fn|fun|func|function|impl|interface|method|module|namespace|object|proc|protocol|"
    r"record|struct|sub|trait)\b"
)
_CALLED = re.compile(r"[\w>~\]]\s*\(")
_CONTROL = re.compile(
    r"[}\s]*(if|elif|else|for|foreach|while|switch|match|case|catch|except|try|with|when|return|do|import|from|assert|using|new)\b"
)
_SIGNATURE_LINES = 24
_GOES_ON = (")", "]", "{", "->", "where", "throws", ":")
_BODY = ("{", "=>", "->", "do")
_OPENS = ("{", ":", "(", ",", ")", "=>", "->", "do", "then")


def query_terms(
    document: DocumentSnapshot,
    offset: int,
    language: Language,
    query_lines: int = 10,
    suffix_lines: int = SUFFIX_LINES,
) -> dict[str, float]:
    """Term -> weight for a place: up to `query_lines` lines with text before it, `suffix_lines` behind, and the header.

    The cursor's own line, on both sides of it, is the nearest one when it has text. Other cells of a notebook
    continue the document.
    """
    before, after = surroundings(document, offset)
    above = split_lines(before[-_NEAR:])
    below = split_lines(after[:_NEAR])
    own = f"{above.pop()} {below.pop(0)}"
    first = 1 if own.strip() else 0
    listed = [(1.0, own)] if first else []
    filled = [line for line in reversed(above) if line.strip()]
    listed += [(DECAY ** (first + i), line) for i, line in enumerate(filled[: max(query_lines - first, 0)])]
    filled = [line for line in below if line.strip()]
    listed += [(DECAY ** (first + i), line) for i, line in enumerate(filled[:suffix_lines])]
    listed.append((HEADER_WEIGHT, header_around(document.text, offset)))
    weights: dict[str, float] = {}
    for weight, line in listed:
        for term in tokenize(line, language.keywords):
            weights[term] = weights.get(term, 0.0) + weight
    return weights


def surroundings(document: DocumentSnapshot, offset: int) -> tuple[str, str]:
    """The text before and after a place, with the other cells of a notebook."""
    before = f"{document.before}\n" if document.before else ""
    after = f"\n{document.after}" if document.after else ""
    return before + document.text[:offset], document.text[offset:] + after


def header_around(text: str, offset: int) -> str:
    """The signature of the function or type around a place: the nearest line above that looks like one and is
    indented less, with the lines that it goes on over; "" if none.

    A syntax tree tells it no better for a search (measured), and takes longer than the search itself.
    """
    for reach in (_HEADER_NEAR, _HEADER_REACH):
        start = max(offset - reach, 0)
        header = _header_above(split_lines(text[start:offset]), whole=start == 0 or reach == _HEADER_REACH)
        if header is not None:
            return header
    return ""


def _header_above(lines: list[str], *, whole: bool) -> str | None:
    """The same in the lines before a place, the last of them its own; None when more of them must be seen, which is
    never so for the `whole` of them."""
    own = lines.pop()
    if not whole:
        del lines[:1]  # perhaps half a line
    filled = [line for line in reversed(lines) if line and not line.isspace()]
    # An empty line's own indentation says nothing: it belongs where the line above it is, or inside what that opens.
    limit = _indentation(own) if own else 0
    if not own and filled:
        opened = filled[0].rstrip().endswith(("{", ":", "("))
        limit = _indentation(filled[0]) + opened
    seen = len(filled) if whole else len(filled) - _SIGNATURE_LINES
    for number, line in enumerate(filled):
        if limit == 0:
            return ""
        if number >= seen:
            return None
        indentation = _indentation(line)
        if indentation >= limit:
            continue
        limit = indentation
        header = _whole_signature(filled, number, indentation)
        if _is_header(header):
            return header if not header.endswith((",", "(")) else _down_to_the_body(header, filled[:number])
    return "" if whole or (limit == 0 and filled) else None


def _whole_signature(lines: Sequence[str], number: int, indentation: int) -> str:
    """A line, and where it only closes or opens brackets the lines above that belong to it. `lines` go upward."""
    parts = [lines[number].strip()]
    for line in lines[number + 1 : number + _SIGNATURE_LINES]:
        if not parts[-1].startswith(_GOES_ON) and _indentation(lines[number + len(parts) - 1]) <= indentation:
            break
        parts.append(line.strip())
    return " ".join(reversed(parts))


def _down_to_the_body(header: str, below: Sequence[str]) -> str:
    """The first line of a signature with those that follow it, up to its last. `below` go upward."""
    parts = [header]
    for line in reversed(below[-_SIGNATURE_LINES:]):
        parts.append(line.strip())
        if parts[-1].endswith((":", "{")):
            return " ".join(parts)
    return header


def _is_header(line: str) -> bool:
    if not line.endswith(_OPENS) or _CONTROL.match(line):
        return False
    if _KEYWORD.search(line):
        return True
    if line.endswith("=> {"):
        return True
    return line.endswith(_BODY) and not line.endswith("({") and _CALLED.search(line) is not None


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())

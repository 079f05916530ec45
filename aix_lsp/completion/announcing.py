"""Does a comment announce the code that comes next? Not where it is a licence, a line of section, a directive for a
tool, or code that was commented out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_MOST_LINES = 80  # a long licence header
_ANY_MARK = re.compile(r"(#(?![!\[])|//|/\*+|\*/|\* |\*$|--|;;|<!--)")
_C_FAMILY_MARK = re.compile(r"(//|/\*+|\*/|\* |\*$)")
_LICENCE = re.compile(r"copyright|licen[cs]ed?\b|SPDX-|all rights reserved|\bwarrant(?:y|ies)\b", re.IGNORECASE)
_RULE = re.compile(r"([-=*#~_/+<>])(?:\s?\1){2,}")
_DIRECTIVE = re.compile(
    r"!|-\*-|@(?:ts-|flow|jsx|format|generated|license|eslint)|(?:type|pylint|mypy|pyright|flake8|noqa|ruff|isort|fmt|yapf|coding|vim?|ex|pragma|nosec|eslint|prettier|"
    r"jshint|tslint|biome|deno|istanbul|c8|nolint|lint|go|sourceMappingURL|NOSONAR|NOLINT|clang-format|shellcheck|rubocop)"
    r"(?:\b[-\w]*\s*[:=]|[-_]\w|\s*$)|#?\s*(?:end)?region\b|<reference\b"
)
_STATEMENT = re.compile(
    r"[\w.\[\]()'\"*&>-]+(?:\s*:\s*\w+)?(?:\s*,\s*[\w.]+)*\s*(?:[-+*/|&%]|<<|>>|:)?=(?!=)\s*\S"  # an assignment
    r"|[\w.]+\([^()]*(?:\([^()]*\)[^()]*)*\)(?:\.\w+(?:\(.*\))?)*[:;{]?\s*$"  # a call
    r"|(?:return|raise|yield|throw|goto|await|del)\s+[^\s]+$"
    r"|(?:def|fn|func|function|class|struct|interface|impl)\s+\w+\s*[(<:{]"
    r"|(?:if|elif|for|while|with|except|switch|match|case)\b.*[:{]$|(?:else|try|finally|do)\s*[:{]?$|}\s*else\b"
    r"|(?:pass|break|continue|return)$|(?:let|const|var|val|auto|int|char|bool|float|double|string|String)\s+\w+\s*[:=;]"
)
_IMPORT = re.compile(r"(?:from\s+[\w.]+\s+)?import\s+[\w.*]+(?:\s*,\s*\w+)*(?:\s+as\s+\w+)?$|import\s*[{*\"']")
_TWO_WORDS = re.compile(
    r"\b(?!(?:if|else|in|is|not|and|or|new|await|for)\b)[a-z]{2,} (?!(?:if|else|in|is|not|and|or)\b)[a-z]{2,}\b"
)
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`")


def announces_code(above: Iterable[str], comment: str | tuple[str, str] | None) -> bool:
    """Whether the comment that ends with the first of the lines `above`, nearest first, announces code.

    `comment` is what opens a line comment of the language, or the two ends of a block comment; None where the language
    is not known. A rule (`# ------`) is no announcement, and the comment that it ends is a heading.
    """
    contents = list(_comment_lines(above, comment))
    if not contents or any(map(_LICENCE.search, contents)):
        return False
    told = next((content for content in contents if content), "")
    if not any(map(str.isalnum, told)) or _RULE.search(contents[0]) or _RULE.search(told) or _DIRECTIVE.match(told):
        return False
    return not looks_like_code(told)


def looks_like_code(content: str) -> bool:
    """Whether a line of a comment, its marks taken off, is a statement and no prose."""
    content = content.strip()
    if content.endswith((";", "{", "}")) or _IMPORT.match(content):
        return True
    return bool(_STATEMENT.match(content)) and not _TWO_WORDS.search(_QUOTED.sub("''", content))


def _comment_lines(above: Iterable[str], comment: str | tuple[str, str] | None) -> Iterator[str]:
    """The contents of the comment lines in a row, nearest first; blank lines below the first are passed over."""
    began = False
    for number, line in enumerate(above):
        stripped = line.strip()
        if number >= _MOST_LINES:
            return
        if not stripped and not began:
            continue
        content = _content(stripped, comment)
        if content is None:
            return
        began = True
        yield content


def _content(line: str, comment: str | tuple[str, str] | None) -> str | None:
    """What a comment line says, or None where the line is no comment."""
    if comment is None:
        mark = _ANY_MARK.match(line)
    elif comment == "//":
        mark = _C_FAMILY_MARK.match(line)
    else:
        opening = comment if isinstance(comment, str) else comment[0]
        mark = re.match(f"(?:{re.escape(opening)})+", line)
    if mark is None:
        return None
    rest = line[mark.end() :]
    if mark.group() == "#" and rest.startswith("!"):
        return "!"
    if len(line) > 4 and not any(map(str.isalnum, line)):
        return line  # a rule
    for end in ("*/", "-->"):
        rest = rest.strip().removesuffix(end)
    return rest.lstrip("/!*#" if mark.group().startswith(("//", "/*")) else "").strip()

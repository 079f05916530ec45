"""How each language writes strings and comments: what the scanner of brackets and quotes looks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

INTERPOLATION = "${"
LINE_COMMENT = "//"


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of string or comment goes on: `events` finds its end, an escape, a line break where that ends it, or
    the start of interpolated code."""

    events: re.Pattern[str]
    end: str
    one_line: bool = True


def _kind(end: str, *, one_line: bool, escapes: bool = True, code: str = "", doubled: bool = False) -> Kind:
    parts = [r"\\[\s\S]"] if escapes else []
    if doubled:
        parts.append(re.escape(end * 2))
    if code:
        parts += ([r"\{\{"] if code == "{" else []) + [re.escape(code)]
    parts.append(re.escape(end))
    if one_line:
        parts.append(r"[\n\r]")
    return Kind(re.compile("|".join(parts)), end, one_line)


KINDS: Mapping[str, Kind] = {
    '"': _kind('"', one_line=True),
    "'": _kind("'", one_line=True),
    '"""': _kind('"""', one_line=False),
    "'''": _kind("'''", one_line=False),
    'f"': _kind('"', one_line=True, code="{"),
    "f'": _kind("'", one_line=True, code="{"),
    'f"""': _kind('"""', one_line=False, code="{"),
    "f'''": _kind("'''", one_line=False, code="{"),
    "`": _kind("`", one_line=False, code="${"),
    "raw `": _kind("`", one_line=False, escapes=False),
    'long "': _kind('"', one_line=False),
    '@"': _kind('"', one_line=False, escapes=False, doubled=True),
    '#"': _kind('"#', one_line=False, escapes=False),
    "/*": _kind("*/", one_line=False, escapes=False),
    LINE_COMMENT: Kind(re.compile(r"[\n\r]"), "\n"),
}

_BRACKETS = r"(?P<bracket>[()\[\]{}])"
_DOUBLE = r"\"(?:[^\"\\\n\r]|\\[\s\S])*\""
_SINGLE = r"'(?:[^'\\\n\r]|\\[\s\S])*'"
_C_COMMENT = r"(?P<comment>//[^\n\r]*)|(?P<block>/\*)"
_REGEX = r"(?P<regex>/(?![/*])(?:[^/\\\n\r\[]|\\.|\[(?:[^\]\\\n\r]|\\.)*\])+/[a-z]*)"
_IN_WORD = r"(?P<skip>(?<=[A-Za-z])'(?=[A-Za-z]))"

_CODE: Mapping[str, str] = {
    "python": r"(?P<comment>#[^\n\r]*)"
    r"|(?P<formatted>(?<!\w)(?:[fFtT][rR]?|[rR][fFtT])(?P<fquote>\"\"\"|'''|\"|'))"
    r"|(?P<triple>\"\"\"|''')"
    rf"|(?P<string>{_DOUBLE}|{_SINGLE})|(?P<quote>[\"'])",
    "javascript": rf"{_C_COMMENT}|{_REGEX}|{_IN_WORD}|(?P<string>{_DOUBLE}|{_SINGLE})|(?P<quote>[\"'`])",
    "java": rf"{_C_COMMENT}|(?P<triple>\"\"\")|(?P<string>{_DOUBLE}|{_SINGLE})|(?P<quote>[\"'])",
    "go": rf"{_C_COMMENT}|(?P<string>{_DOUBLE}|{_SINGLE}|`[^`]*`)|(?P<rawquote>`)|(?P<quote>[\"'])",
    "rust": rf"{_C_COMMENT}|(?P<hash>\bb?r\#\")|(?P<raw>\bb?r\"[^\"]*\")"
    r"|(?P<string>b?'(?:[^'\\\n\r]|\\(?:x..|u\{[^}]*\}|.))')|(?P<skip>')|(?P<long>\")",
    "c": rf"{_C_COMMENT}|(?P<string>{_DOUBLE}|{_SINGLE})|(?P<quote>[\"'])",
    "cpp": rf"{_C_COMMENT}|(?P<skip>\b\d(?:'?\w)+|R\"(?P<fence>[^()\\\s]{{0,16}})\([\s\S]*?\)(?P=fence)\")"
    rf"|(?P<string>{_DOUBLE}|{_SINGLE})|(?P<quote>[\"'])",
    "csharp": rf"{_C_COMMENT}|(?P<verbatim>\$?@\$?\")|(?P<triple>\$*\"\"\")|(?P<formatted>\$(?P<fquote>\"))"
    rf"|(?P<string>{_DOUBLE}|{_SINGLE})|(?P<quote>[\"'])",
    "": r"(?P<comment>(?:^|(?<=\s))(?:#|//|--|;;)(?=[ \t])[^\n\r]*)"
    rf"|{_IN_WORD}|(?P<string>{_DOUBLE}|{_SINGLE}|`[^`\n\r]*`)|(?P<quote>[\"'])",
}
# What tokens can begin with. A look at it before all else makes the search six times as fast.
_BEGINS: Mapping[str, str] = {
    "python": r"[()\[\]{}\"'#]|[fFtTrR][fFtTrR\"']",
    "rust": r"[()\[\]{}\"'/]|b[r']|r[#\"]",
    "cpp": r"[()\[\]{}\"'/\d]|R\"",
    "csharp": r"[()\[\]{}\"'/$@]",
    "": r"[()\[\]{}\"'`#/;-]",
}
_C_BEGINS = r"[()\[\]{}\"'`/]"
_SAME = {"typescript": "javascript", "tsx": "javascript"}
BEFORE_REGEX = re.compile(r"(?:^|[=(,:\[!&|?{};+\n\r]|\breturn|\btypeof|=>)[ \t]*$")


@lru_cache(maxsize=32)
def tokens(grammar: str | None, line_breaks: bool) -> re.Pattern[str]:
    """What to look for in code; line breaks too where they would end the string around interpolated code."""
    language = _SAME.get(grammar or "", grammar or "")
    language = language if language in _CODE else ""
    line = r"|(?P<line>[\n\r])" if line_breaks else ""
    begins = _BEGINS.get(language, _C_BEGINS) + (r"|[\n\r]" if line_breaks else "")
    return re.compile(f"(?={begins})(?:{_BRACKETS}|{_CODE[language]}{line})", re.MULTILINE)

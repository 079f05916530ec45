"""What a place lies in: a body of statements or members, a list of values, a string or comment, or nothing.

Brackets are counted from a place where a declaration begins, strings and comments apart; that decides about `(` and
`[`, and about everything in Python. Whether a `{` opens a body or a literal is told by the grammar: what stands before
the cursor is parsed with a name in the cursor's place and all brackets closed, so that the parser has nothing to
repair. Where there is no grammar, or it cannot tell, what stands before the bracket decides.

At most 8,000 characters above the cursor are looked at, so the length of the file does not matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from aix_lsp.syntax_tree import encode, parsed_text

if TYPE_CHECKING:
    from tree_sitter import Node

Kind = Literal["body", "list", "text", "top"]
"""A body of statements or members; values, names or fields of a literal between brackets; a string or a comment; the
top level of a file or a namespace."""

_RETURN = re.compile(r"\r\n?")
_LEAST_WINDOW = 2_500
_MOST_WINDOW = 8_000
_PLACEHOLDERS = dict.fromkeys(("c", "cpp", "csharp"), ("x();", "x"))
"""What is parsed in the cursor's place: `x` alone makes some bodies look like literals, `x();` fits no literal."""

_LONGEST_TEXT = 16_000
_PARSED_AT_ONCE = 16_000
"""Characters: some 4 ms, where 500,000 take 100 ms and more. This is asked at every key."""

_BEHIND = 1_000
_LONG_QUOTES = {
    "python": ('"""', "'''"),
    **dict.fromkeys(("go", "javascript", "typescript", "tsx"), ("`",)),
    **dict.fromkeys(("java", "csharp"), ('"""',)),
}
_PARTNERS = {"(": ")", "[": "]", "{": "}"}

_MEMBERS_OF = dict.fromkeys(("javascript", "typescript", "tsx", "java", "csharp", "cpp"), "class X {\n")
_MEMBERS_OF["rust"] = "impl X {\n"
"""What is put above a window that begins with an indented line: most likely a member of a long type."""

_BODIES = frozenset(
    (
        *("statement_block", "class_body", "switch_body", "interface_body", "block", "constructor_body"),
        *("annotation_type_body", "switch_block", "module_body", "field_declaration_list", "interface_type"),
        *("expression_switch_statement", "type_switch_statement", "select_statement", "match_block"),
        *("compound_statement", "declaration_list", "accessor_list", "struct_type", "switch_statement"),
    )
)
_LISTS = frozenset(
    (
        *("object", "object_pattern", "object_type", "named_imports", "export_clause", "jsx_expression", "enum_body"),
        *("template_substitution", "array_initializer", "element_value_array_initializer", "literal_value"),
        *("field_initializer_list", "use_list", "scoped_use_list", "token_tree", "struct_pattern", "initializer_list"),
        *("enum_variant_list", "enumerator_list", "enum_member_declaration_list", "switch_expression"),
        *("initializer_expression", "anonymous_object_creation_expression", "property_pattern_clause", "interpolation"),
    )
)
_NAMESPACES = frozenset(("namespace_declaration", "namespace_definition", "internal_module", "linkage_specification"))

_BEFORE_A_LITERAL = re.compile(r"(?:[=(,:\[?|&]|\breturn|\bin|\bof|\bdefault|\byield)\s*\Z")
_PYTHON_DEFINITION = re.compile(r"(?:async\s+)?def\s+\w+\s*[(\[]|class\s+\w+\s*[(:\[]")
"""Too seldom prose to ask whether it stands within a string."""

_DECLARATION = re.compile(
    r"(?:async\s+)?def\s+\w+\s*\(|class\s+\w+\s*[(:{<]|"
    r"(?:async|export|import|from|function|interface|type|enum|struct|public|private|protected|internal|"
    r"static|const|let|var|val|fun|func|fn|pub|impl|trait|mod|use|namespace|using|template|package|module|void|int)\b"
    r"[^.]*$|@\w+|#\[|#include\b"
)

_STRINGS = r"\"(?:\\.|[^\"\\\n])*(?:\"|\Z)|'(?:\\.|[^'\\\n])*(?:'|\Z)"
_RUST_STRINGS = r"\"(?:\\.|[^\"\\])*(?:\"|\Z)|'(?:\\[^\n']{1,10}|[^\\'\n])'|r(#+)\".*?(?:\"\1|\Z)"
_TRIPLE = r"(?P<triple>\"\"\"|''')(?:\\.|[^\\])*?(?:(?P=triple)|\Z)"
_TEXT_BLOCK = r"\"\"\"(?:\\.|[^\\])*?(?:\"\"\"|\Z)"
_TEMPLATE = r"`(?:\\.|[^`\\])*(?:`|\Z)"
_VERBATIM = r"\$?@\$?\"(?:\"\"|[^\"])*(?:\"|\Z)"
_RAW = r"R\"\(.*?(?:\)\"|\Z)"
_C_COMMENTS = r"//[^\n]*|/\*.*?(?:\*/|\Z)"
_TOKENS = {
    "python": rf"{_TRIPLE}|{_STRINGS}|\#[^\n]*|\\\n",
    "rust": rf"{_RUST_STRINGS}|{_C_COMMENTS}",
    "go": rf"`[^`]*(?:`|\Z)|{_STRINGS}|{_C_COMMENTS}",
    "csharp": rf"{_VERBATIM}|{_TEXT_BLOCK}|{_STRINGS}|{_C_COMMENTS}",
    "java": rf"{_TEXT_BLOCK}|{_STRINGS}|{_C_COMMENTS}",
    "c": rf"{_STRINGS}|{_C_COMMENTS}",
    "cpp": rf"{_RAW}|{_STRINGS}|{_C_COMMENTS}",
    "javascript": rf"{_TEMPLATE}|{_STRINGS}|{_C_COMMENTS}",
}
_TOKENS["typescript"] = _TOKENS["tsx"] = _TOKENS["javascript"]


@dataclass(frozen=True, slots=True)
class Enclosing:
    """What the end of a text lies in. `statement` is the text of the logical line that is not ended yet, a line that is
    broken within brackets as a whole; `opener` is the innermost open bracket, or "". `cut` says that the text above was
    not looked at, and may hold the opener; `comment` that a text is a comment and no string."""

    kind: Kind
    statement: str
    opener: str
    cut: bool = False
    comment: bool = False


def enclosing(prefix: str, grammar: str | None, comment: str | tuple[str, str] | None = None) -> Enclosing:
    """What the end of `prefix` lies in. `comment` opens a line comment, or is the two ends of a block comment, or None
    if that is not known; it counts where there is no grammar."""
    window = prefix[_window_start(prefix, grammar) :]
    cut = len(window) < len(prefix)
    if "\r" in window:
        window = _RETURN.sub("\n", window)
    open_at: list[int] = []
    statement = 0
    for match in _pattern(grammar, comment).finditer(window):
        token = match.group()
        if token == "\n":
            if not open_at:
                statement = match.end()
        elif token in _PARTNERS:
            open_at.append(match.start())
        elif token in ")]}":
            while open_at and _PARTNERS[window[open_at.pop()]] != token:
                pass
            if token == "}" and not open_at and grammar != "python":
                statement = match.end()
        elif match.end() == len(window) and token != "\\\n" and not _is_closed(token, window):
            opener = window[open_at[-1]] if open_at else ""
            return Enclosing("text", window[statement:], opener, cut, _is_comment(token, comment))
    opener = window[open_at[-1]] if open_at else ""
    if opener == "{":
        statement = max(statement, open_at[-1] + 1)
    kind: Kind = "top"
    if opener == "{" and grammar != "python":
        kind = _by_grammar(window, open_at, grammar) or _by_what_precedes(window[: open_at[-1]])
    elif opener:
        kind = "list"
    return Enclosing(kind, window[statement:], opener, cut)


def nearby(text: str, offset: int, grammar: str | None) -> tuple[str, int]:
    """What is to be parsed to know whether an offset lies in a string or comment, and the offset in it: all of a text
    that is parsed in a moment, of a longer one what stands around."""
    if len(text) <= _PARSED_AT_ONCE:
        return text, offset
    start = _window_start(text[:offset], grammar)
    # a string without its end is none to the parser
    is_text = enclosing(text[start:offset], grammar).kind == "text"
    end = text.find("\n", offset + (_LONGEST_TEXT if is_text else _BEHIND))
    return text[start : end if end >= 0 else len(text)], offset - start


def _window_start(prefix: str, grammar: str | None) -> int:
    """Where the part of the text begins that is looked at: where a declaration begins at the left margin, or else at
    the line in reach that is indented least; not within a long string or comment."""
    position = len(prefix) - _LEAST_WINDOW
    if position <= 0:
        return 0
    end = max(0, len(prefix) - _MOST_WINDOW)
    best, least = position, 1 << 30
    while position > end:
        start = prefix.rfind("\n", 0, position) + 1
        if start < end:
            break
        line = prefix[start : prefix.find("\n", start)]
        if start == 0 or (grammar == "python" and _PYTHON_DEFINITION.match(line)):
            return start
        if _DECLARATION.match(line):
            return _outside_of_texts(prefix, start, grammar)
        indented = len(line) - len(line.lstrip())
        if indented < least and line[indented : indented + 1] not in ("", "}", ")", "]", "*"):
            best, least = start, indented
        position = start - 1
    return _outside_of_texts(prefix, best, grammar)


def _outside_of_texts(prefix: str, start: int, grammar: str | None) -> int:
    """`start`, or the line where a string or comment of several lines begins that holds it, if that is near: quotes in
    odd number before it, or a comment that was not closed."""
    opened = [
        prefix.rfind(quote, 0, start)
        for quote in _LONG_QUOTES.get(grammar or "", ())
        if prefix.count(quote, 0, start) % 2
    ]
    comment = prefix.rfind("/*", 0, start) if grammar not in ("python", None) else -1
    if comment > prefix.rfind("*/", 0, start):
        opened.append(comment)
    outside = min((prefix.rfind("\n", 0, position) + 1 for position in opened), default=start)
    return outside if start - outside <= _LONGEST_TEXT else start


@cache
def _pattern(grammar: str | None, comment: str | tuple[str, str] | None) -> re.Pattern[str]:
    if grammar is not None:
        skipped = _TOKENS[grammar]
    elif comment is None:
        skipped = _STRINGS
    elif isinstance(comment, str):
        skipped = rf"(?<![$&\\]){re.escape(comment)}[^\n]*|{_STRINGS}"
        if comment == "//":
            skipped += rf"|{_C_COMMENTS}"
    else:
        skipped = rf"{re.escape(comment[0])}.*?(?:{re.escape(comment[1])}|\Z)|{_STRINGS}"
    return re.compile(rf"{skipped}|[\n()\[\]{{}}]", re.DOTALL)


def _is_closed(token: str, window: str) -> bool:
    """Whether a string or comment that reaches to the end of the text ends there."""
    if token.startswith(('"""', "'''")):
        return len(token) >= 6 and token.endswith(token[:3])
    if token.startswith("/*"):
        return len(token) >= 4 and token.endswith("*/")
    if token[0] in "\"'`":
        return len(token) >= 2 and token[-1] == token[0] and not _ends_in_escape(token[:-1])
    if token[0] in "$@Rr":
        return len(token) >= 4 and token[-1] in '"#'
    return token.endswith("-->")


def _is_comment(token: str, comment: str | tuple[str, str] | None) -> bool:
    mark = comment if comment is None or isinstance(comment, str) else comment[0]
    return token.startswith(("//", "/*")) or (mark is not None and token.startswith(mark))


def _ends_in_escape(token: str) -> bool:
    return (len(token) - len(token.rstrip("\\"))) % 2 == 1


def _by_grammar(window: str, open_at: list[int], grammar: str | None) -> Kind | None:
    """What the parser makes of the innermost `{`; None where it cannot tell."""
    if grammar is None:
        return None
    opening = _MEMBERS_OF.get(grammar, "") if window[:1] in (" ", "\t") else ""
    closers = "".join(_PARTNERS[window[position]] for position in reversed(open_at)) + "}" * bool(opening)
    at = len(encode(opening + window[: open_at[-1]]))
    kind = None
    for placeholder in _PLACEHOLDERS.get(grammar, ("x",)):
        parsed = parsed_text(f"{opening}{window}{placeholder}\n{closers}", grammar)
        bracket = None if parsed is None else parsed.tree.root_node.descendant_for_byte_range(at, at + 1)
        holder = None if bracket is None or bracket.type != "{" else bracket.parent
        if holder is None:
            continue
        kind = _kind_of(holder)
        if not holder.has_error:
            break
    return kind


def _kind_of(holder: Node) -> Kind | None:
    if holder.parent is not None and holder.parent.type in _NAMESPACES:
        return "top"
    if holder.type in _BODIES:
        return "body"
    return "list" if holder.type in _LISTS else None


def _by_what_precedes(text: str) -> Kind:
    """A guess for a `{` from the text before it: a literal stands where a value does."""
    return "list" if _BEFORE_A_LITERAL.search(text[-200:]) and not text.rstrip().endswith("=>") else "body"

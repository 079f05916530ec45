"""Should a request be answered, and with how much: the rest of a line, or a block.

Pure functions of the text around the cursor. Single line or block follows structured fill-in-the-middle
(aiXcoder-7B, arXiv 2410.13187): what is offered should be whole, so a block is offered where one begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from aix_lsp.completion.announcing import announces_code
from aix_lsp.completion.enclosing import Enclosing, enclosing, nearby
from aix_lsp.completion.file_rules import names_document, names_file
from aix_lsp.completion.place import Surroundings, filled_line_below, lines_above, surroundings
from aix_lsp.languages import Language, language_of
from aix_lsp.settings import CompletionSettings
from aix_lsp.syntax import in_comment_or_string
from aix_lsp.types import Amount, CompletionRequest, DocumentSnapshot, TriggerKind
from aix_lsp.workspace.secrets import is_secret_path

_CLOSING_ONLY = re.compile(r"[)\]}>\"'`]*\s*[:;,{]?")
_KEYWORD_HEADER = re.compile(
    r"^\s*(async\s+)?(def|class|if|elif|else|for|while|with|try|except|finally|match|case|default)\b.*:\s*$"
)
_BRACKET_OPEN = re.compile(r"(\{|=>|\bthen|\bdo|\bbegin)\s*$")
_MAY_OPEN = re.compile(r"(?:[:{]|=>|\b(?:then|do|begin))$")
_PYTHON_HEADER = re.compile(
    r"\s*(?:async\s+)?(?:(?:def|class|if|elif|for|while|with|except)\b.*|else|try|finally|(?:match|case)\s+[^\s:=].*)\s*:$",
    re.DOTALL,
)
_CASE = re.compile(r"\s*(?:}\s*)?(?:case\b.*|default\s*):$")
_PYTHON_KEYWORD = re.compile(r"\s*(?:async|def|class|if|elif|else|for|while|with|try|except|finally|match|case)\b")
_COLON_AT_END = re.compile(r":\s*(?:#.*)?$")
_ARGUMENTS_OPEN = re.compile(r"[(\[]\s*$")
_TAGS = re.compile(r"\s*<.*>")
_ESCAPED = re.compile(r"\\.")


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a request. `reason` says why nothing is offered when `answer` is false."""

    answer: bool
    amount: Amount = "line"
    max_new_tokens: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Silence:
    """Why nothing is offered in a file, in one sentence; empty where there is no reason.

    `always` says that an explicit request is not answered either: the text holds a secret. What is merely ignored is
    answered when somebody asks for it."""

    reason: str = ""
    always: bool = False

    def holds_for(self, trigger: TriggerKind) -> bool:
        """Whether a request of this kind is not answered."""
        return bool(self.reason) and (self.always or trigger == "automatic")


def decide(request: CompletionRequest, settings: CompletionSettings) -> Decision:
    """Whether and how much to offer for a request. An explicit request is answered anywhere it is allowed."""
    document = request.document
    around = surroundings(document.text, request.offset)
    reason = _forbidden(document, settings)
    if not reason and request.trigger == "automatic":
        reason = _unwanted(request, around, settings)
    if reason:
        return Decision(False, reason=reason)
    amount = settings.amount
    if amount == "auto":
        amount = how_much(document, request.offset, around)
    tokens = settings.max_tokens_block if amount == "block" else settings.max_tokens_line
    return Decision(True, amount, tokens)


def _forbidden(document: DocumentSnapshot, settings: CompletionSettings) -> str:
    """Why nothing is offered in a document at all."""
    if not settings.enabled:
        return "completions are switched off (completion.enabled)"
    language = document.language_id
    if language in settings.disabled_languages:
        return f"completions are switched off for {language} (completion.disabled_languages)"
    if names_file(settings.disabled_files, document):
        return "completions are switched off for this file (completion.disabled_files)"
    return "this file is of a kind that holds secrets" if holds_secrets(document) else ""


def _unwanted(request: CompletionRequest, around: Surroundings, settings: CompletionSettings) -> str:
    """Why nothing is offered at a place by itself. The parser is asked last, and only where an option asks for it."""
    if not only_closes(around.after):
        within = _is_word(around.before[-1:]) and _is_word(around.after[:1])
        what = "the cursor stands within a word" if within else "code follows the cursor on its line"
        return f"{what}; ask explicitly to complete here"
    document = request.document
    if not document.text.strip():
        return "the document is empty; ask explicitly to complete here"
    not_in = {
        "string": names_document(settings.not_in_strings, document),
        "comment": names_document(settings.not_in_comments, document),
    }
    inside = _in_comment_or_string(request, around) if any(not_in.values()) else None
    if inside is None or not not_in[inside]:
        return ""
    return f"nothing is offered by itself inside {inside}s here (completion.not_in_{inside}s)"


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _in_comment_or_string(request: CompletionRequest, around: Surroundings) -> Literal["comment", "string"] | None:
    """By the grammar; where there is none, by the marks and quotes on the cursor's line."""
    document = request.document
    language = language_of(document.name, document.language_id)
    if language.grammar is not None:
        text, offset = nearby(document.text, request.offset, language.grammar)
        return in_comment_or_string(text, offset, language.grammar)
    here = enclosing(around.before, None, _comment_of(language))
    if here.kind != "text":
        return None
    return "comment" if here.comment else "string"


def holds_secrets(document: DocumentSnapshot) -> bool:
    """Whether a file is of a kind that does, by its name or by its full path: outside a workspace the name is the last
    part only (`config` in `.ssh`)."""
    return is_secret_path(document.name) or (document.path is not None and is_secret_path(str(document.path)))


def only_closes(after: str) -> bool:
    """Whether the text after the cursor is closing punctuation only, so that an automatic offer may stand before it."""
    return bool(_CLOSING_ONLY.fullmatch(after.strip()))


def how_much(document: DocumentSnapshot, offset: int, around: Surroundings) -> Amount:
    """Block where one begins: after a header with an empty body, on an empty line inside a body (whatever follows),
    below an opening bracket with nothing in it, and below a comment that announces code. Else the rest of the line:
    also inside arguments, literals, strings and comments, and wherever something follows the cursor on its line."""
    if around.after.strip():
        return "line"
    language = language_of(document.name, document.language_id)
    if around.before.strip():
        if not _may_open(around.before):
            return "line"
        here = enclosing(document.text[:offset], language.grammar, _comment_of(language))
        opens = _opens(around.before, here, language.grammar)
        return "block" if opens and not _has_body(around.before, document.text, offset) else "line"
    return _on_an_empty_line(document.text, offset, around, language)


def _on_an_empty_line(text: str, offset: int, around: Surroundings, language: Language) -> Amount:
    grammar, comment = language.grammar, _comment_of(language)
    here = enclosing(text[:offset], grammar, comment)
    if here.kind == "text":
        return "line"
    header = around.above.rstrip()
    opens = False
    if here.kind == "list":
        opens = header.endswith(here.opener)
    elif _may_open(header):
        # between the header's end and here is white space only; where a colon ends a header, its statement is needed
        end = text.rfind(header, 0, offset) + len(header)
        seen = enclosing(text[:end], grammar, comment) if header.endswith(":") else here
        opens = _opens(header, seen, grammar)
    has_body = _has_body(header, text, offset)
    if opens and not has_body:
        return "block"
    if here.kind == "list":
        return "block" if grammar in ("javascript", "tsx") and _among_tags(header, text, offset) else "line"
    if here.kind == "body" or _is_indented_body(text, offset, around, here, grammar, opens=opens):
        return "block"
    return "block" if not has_body and announces_code(lines_above(text, offset), comment) else "line"


def _among_tags(above: str, text: str, offset: int) -> bool:
    """Whether a blank line lies among the children of a JSX element: they are what a body is elsewhere."""
    return bool(_TAGS.fullmatch(above)) or filled_line_below(text, offset).lstrip().startswith("</")


def _may_open(line: str) -> bool:
    """Whether it is worth asking what a line opens. Looks at its end only: a line may be a whole file."""
    return bool(_MAY_OPEN.search(line.rstrip()[-8:]))


def _comment_of(language: Language) -> str | tuple[str, str] | None:
    return language.comment if language.name else None


def _opens(header: str, here: Enclosing, grammar: str | None) -> bool:
    """Whether a header opens a block; `here` is what its end lies in, so after a `{` within the braces."""
    header = header.rstrip()
    if here.kind == "text":
        return False
    if header.endswith("=>"):
        return True
    if header.endswith("{"):
        return here.opener == "{" and here.kind != "list"
    if grammar == "python":
        return not here.opener and bool(_PYTHON_HEADER.match(here.statement.rstrip()))
    if grammar is not None:
        return here.kind == "body" and bool(_CASE.match(header))
    return here.opener not in ("(", "[") and opens_block(header)


def _has_body(header: str, text: str, offset: int) -> bool:
    """Whether what follows, blank lines passed over, is indented deeper than a header."""
    below = filled_line_below(text, offset)
    return bool(below) and indentation(below) > indentation(header)


def _is_indented_body(
    text: str, offset: int, around: Surroundings, here: Enclosing, grammar: str | None, *, opens: bool
) -> bool:
    """Whether a blank line outside of brackets lies in a body by its indentation, or by its neighbours' where it has
    none. In a grammar with braces only where the brace may be too far above."""
    if here.opener or (grammar not in ("python", None) and not here.cut):
        return False
    level = indentation(around.before)
    if level == 0:
        above, below = indentation(around.above), indentation(filled_line_below(text, offset))
        level = below if opens else min(above, below)
    if level == 0 or (grammar not in ("python", None)):
        return level > 0
    outer = next((line for line in lines_above(text, offset) if line.strip() and indentation(line) < level), "")
    return bool(outer) and (grammar is None or bool(_COLON_AT_END.search(outer) or _PYTHON_KEYWORD.match(outer)))


def opens_block(line: str) -> bool:
    """Whether a line is the header of a block: `if x:`, `class A:`, a trailing `{`. A colon alone is none: it may
    belong to an annotation or a dictionary."""
    if _BRACKET_OPEN.search(line):
        return True
    return bool(_KEYWORD_HEADER.match(line)) and all(
        line.count(pair[0]) <= line.count(pair[1]) for pair in ("()", "[]")
    )


def opens_arguments(line: str) -> bool:
    """Whether a line ends in the opening bracket of a list or an argument list that goes on below."""
    return bool(_ARGUMENTS_OPEN.search(line))


def unevenness(code: str) -> int:
    """Brackets without a partner, and quotes in odd number; both by counting, escaped characters apart."""
    code = _ESCAPED.sub("", code)
    brackets = sum(abs(code.count(pair[0]) - code.count(pair[1])) for pair in ("()", "[]", "{}"))
    return brackets + sum(code.count(quote) % 2 for quote in "\"'`")


def indentation(line: str, tab: int = 4) -> int:
    """Columns of white space at the start of a line; a tab goes to the next multiple of `tab`."""
    column = 0
    for character in line:
        if character == " ":
            column += 1
        elif character == "\t":
            column += tab - column % tab
        else:
            break
    return column

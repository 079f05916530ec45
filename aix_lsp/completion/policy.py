"""Should a request be answered, and with how much: the rest of a line, or a block.

Pure functions of the text around the cursor. Single line or block follows structured fill-in-the-middle
(aiXcoder-7B, arXiv 2410.13187): what is offered should be whole, so a block is offered where one begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aix_lsp.completion.place import Surroundings, surroundings
from aix_lsp.settings import CompletionSettings
from aix_lsp.types import Amount, CompletionRequest, DocumentSnapshot, TriggerKind
from aix_lsp.workspace.secrets import is_secret_path

_CLOSING_ONLY = re.compile(r"[)\]}>\"'`]*\s*[:;,{]?")
_KEYWORD_HEADER = re.compile(
    r"^\s*(async\s+)?(def|class|if|elif|else|for|while|with|try|except|finally|match|case|default)\b.*:\s*$"
)
_BRACKET_OPEN = re.compile(r"(\{|=>|\bthen|\bdo|\bbegin)\s*$")
_ARGUMENTS_OPEN = re.compile(r"[(\[]\s*$")
# The inner lines of a `/* */` comment begin with `* `; a star right before a word is an argument or a pointer.
_COMMENT = re.compile(r"^\s*(#|//|/\*|\*/|\* |--|;;|\"\"\")")
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
    if not settings.enabled:
        return Decision(False, reason="completions are switched off (completion.enabled)")
    language = request.document.language_id
    if language in settings.disabled_languages:
        return Decision(False, reason=f"completions are switched off for {language} (completion.disabled_languages)")
    around = surroundings(request.document.text, request.offset)
    if _holds_secrets(request.document):
        return Decision(False, reason="this file is of a kind that holds secrets")
    if request.trigger == "automatic":
        if not only_closes(around.after):
            return Decision(False, reason="code follows the cursor on its line; ask explicitly to complete here")
        if not request.document.text.strip():
            return Decision(False, reason="the document is empty")
    amount = how_much(around) if settings.amount == "auto" else settings.amount
    tokens = settings.max_tokens_block if amount == "block" else settings.max_tokens_line
    return Decision(True, amount, tokens)


def _holds_secrets(document: DocumentSnapshot) -> bool:
    """By its name or by its full path: outside a workspace the name is the last part only (`config` in `.ssh`)."""
    return is_secret_path(document.name) or (document.path is not None and is_secret_path(str(document.path)))


def only_closes(after: str) -> bool:
    """Whether the text after the cursor is closing punctuation only, so that an automatic offer may stand before it."""
    return bool(_CLOSING_ONLY.fullmatch(after.strip()))


def how_much(around: Surroundings) -> Amount:
    """Block where one begins: after a line that opens one, on an empty line below such a line or below a comment.
    Where the body is there already (the next line is deeper), and everywhere else, the rest of the line."""
    if around.after.strip():
        return "line"
    if around.before.strip():
        opens, header = opens_block(around.before), around.before
    else:
        header = around.above
        opens = opens_block(header) or opens_arguments(header) or bool(_COMMENT.match(header))
    has_body = bool(around.below.strip()) and indentation(around.below) > indentation(header)
    return "block" if opens and not has_body else "line"


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

"""Requests and answers for tests of what is remembered of them."""

from __future__ import annotations

from typing import Any

from aix_lsp.completion.trace import Traced, TraceLog, record
from aix_lsp.types import (
    CompletionItem,
    CompletionRequest,
    CompletionResult,
    DocumentSnapshot,
    Prompt,
    PromptPart,
    Snippet,
    Span,
    Timings,
    TriggerKind,
)

HOSTILE = "</script><img src=x onerror=alert(1)> ``` ```` | <b>&amp; \x1b[31m \ud800 </pre>"
"""What somebody's source may hold, and no page may take for its own."""


def request(marked: str = "a = |\n", trigger: TriggerKind = "automatic", name: str = "shop/a.py") -> CompletionRequest:
    """A request at the bar."""
    offset = marked.index("|")
    document = DocumentSnapshot("file:///a.py", marked.replace("|", "", 1), "python", 1, name)
    return CompletionRequest(document, offset, trigger)


def offered(text: str = "b", item_id: str = "one", at: int = 4, **more: Any) -> CompletionResult:
    """An answer with an offer, generated for it."""
    snippet = Snippet("shop/b.py", 1, 2, 3.5, "similar", f"b = 1\n{text}", (("b", 0.5),), ("edited lately",))
    whole = f"<s>{snippet.text}</s>a = "
    parts = (
        PromptPart("snippet", 5, "shop/b.py:1-2", 3, len(snippet.text)),
        PromptPart("prefix", 2, "", len(whole) - 4, 4),
    )
    known: dict[str, Any] = {
        "items": (CompletionItem(item_id, text, at, at),),
        "snippets": (snippet,),
        "timings": Timings(2, 1, 30, 90.5),
        "model": "small",
        "prompt": Prompt(tuple(range(300, 310)), whole, "l2r", parts, ("prefix: 3 lines cut",), (snippet,)),
        "raw": f"{text})",
        "changes": ("drop the rest of the line",),
        "source": "model",
        "amount": "line",
        "finish": "stop",
        "confidence": 0.75,
        "spans": (Span("cache", 0, 0.1), Span("retrieval", 0.1, 2), Span("decode", 30, 90)),
        "tokens": 7,
        "reused_tokens": 3,
        "guessed_tokens": 2,
    }
    return CompletionResult(**{**known, **more})


def silent(reason: str = "code follows the cursor on its line; ask explicitly", **more: Any) -> CompletionResult:
    """An answer without an offer."""
    return CompletionResult(reason=reason, **more)


def traced(result: CompletionResult | None = None, number: int = 1, **asked: Any) -> Traced:
    """One record."""
    return record(number, 1_700_000_000.0, request(**asked), result or offered())


def log_of(*results: CompletionResult, capacity: int = 50) -> TraceLog:
    """A log of these answers."""
    log = TraceLog(capacity)
    for result in results:
        log.note(request(), result)
    return log

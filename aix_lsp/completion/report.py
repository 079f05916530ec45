"""A completion's result as plain data, the same for the command line, the demo and the server's trace."""

from __future__ import annotations

from typing import Any

from aix_lsp.text import TextBuffer
from aix_lsp.types import CompletionResult, Snippet


def result_to_dict(result: CompletionResult, buffer: TextBuffer) -> dict[str, Any]:
    """Ranges are 1-based lines and columns (characters), ends exclusive, as a terminal shows them."""
    data: dict[str, Any] = {
        "completions": [
            {"text": item.text, "range": {"start": _place(buffer, item.start), "end": _place(buffer, item.end)}}
            for item in result.items
        ],
        "snippets": [snippet_to_dict(snippet) for snippet in result.snippets],
        "timings_ms": {
            "retrieval": round(result.timings.retrieval, 2),
            "prompt": round(result.timings.prompt, 2),
            "first_token": round(result.timings.first_token, 2),
            "total": round(result.timings.total, 2),
        },
        "model": result.model,
    }
    if result.reason:
        data["reason"] = result.reason
    return data


def snippet_to_dict(snippet: Snippet) -> dict[str, Any]:
    """One snippet; lines are 1-based and inclusive."""
    return {
        "path": snippet.path,
        "start_line": snippet.start_line,
        "end_line": snippet.end_line,
        "score": round(snippet.score, 4),
        "kind": snippet.kind,
        "text": snippet.text,
        **({"notes": list(snippet.notes)} if snippet.notes else {}),
    }


def _place(buffer: TextBuffer, offset: int) -> dict[str, int]:
    line, column = buffer.position(offset, "utf-32")
    return {"line": line + 1, "column": column + 1}

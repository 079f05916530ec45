"""What a bug report says of the running servers and of how their latest requests went: figures, and reasons in the
program's own words. Of code, prompts, answers, names and places there is nothing."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from aix_lsp.cli.bundle_words import own_words
from aix_lsp.cli.servers import About, running
from aix_lsp.completion.trace import Traced
from aix_lsp.completion.trace_words import source
from aix_lsp.engine.base import EngineError
from aix_lsp.languages import known_files

_REQUEST_ID = re.compile(r"[0-9a-f]{8}-\d{1,12}")
_CLIENT = re.compile(r"[A-Za-z0-9 ._+-]{1,40}")
_OTHER = "other"


def servers() -> dict[str, Any]:
    """All servers of this user that answer now."""
    try:
        with running() as (found, problems):
            told = [_server(server.about, server.last(server.about.capacity)) for server in found]
    except (EngineError, OSError, ValueError) as error:
        return {"servers": [], "problems": [type(error).__name__]}
    return {"servers": told, "problems": [own_words(problem) for problem in problems]}


def _server(about: About, records: list[Traced]) -> dict[str, Any]:
    summary = about.summary
    return {
        "pid": about.pid,
        "version": _plain(about.version),
        "client": _plain(about.client),
        "client_version": _plain(about.client_version),
        "folders": len(about.folders),
        "state": own_words(about.state),
        "message": own_words(about.message),
        "model": own_words(about.model),
        "remembered": about.capacity,
        "asked": summary.asked,
        "offered": summary.offered,
        "accepted": summary.accepted,
        "given_up": summary.given_up,
        "reasons": [[own_words(reason), count] for reason, count in summary.reasons],
        "requests": [request(record) for record in records],
    }


def request(record: Traced) -> dict[str, Any]:
    """One request as figures."""
    result, prompt = record.result, record.result.prompt
    return {
        "number": record.number,
        "request_id": record.request_id if _REQUEST_ID.fullmatch(record.request_id) else "",
        "time": round(record.time, 3),
        "language": language(record.language),
        "trigger": own_words(record.trigger),
        "reason": own_words(result.reason),
        "failed": bool(result.failed),
        "source": own_words(source(record)),
        "amount": own_words(result.amount or ""),
        "finish": own_words(result.finish or ""),
        "model": own_words(result.model),
        "confidence": result.confidence,
        "tokens": result.tokens,
        "reused_tokens": result.reused_tokens,
        "guessed_tokens": result.guessed_tokens,
        "rules": [own_words(change) for change in result.changes],
        "spans_ms": [[own_words(span.name), round(span.start, 2), round(span.end, 2)] for span in record.spans],
        "total_ms": round(result.timings.total, 2),
        "offers": [
            {"characters": len(item.text), "lines": item.text.count("\n") + 1, "outcome": own_words(outcome)}
            for item, outcome in zip(result.items, record.outcomes, strict=True)
        ],
        "snippets": [
            {"kind": own_words(snippet.kind), "score": round(snippet.score, 2), "lines": snippet.text.count("\n") + 1}
            for snippet in result.snippets
        ],
        "prompt": None
        if prompt is None
        else {
            "format": own_words(prompt.format),
            "tokens": record.prompt_tokens,
            "parts": [[own_words(part.role), part.tokens] for part in prompt.parts],
            "cut": len(prompt.cut),
        },
    }


@cache
def _languages() -> frozenset[str]:
    return frozenset(known_files().values())


def language(name: str) -> str:
    """A language identifier that is known; a client may send anything."""
    return name if name in _languages() else (_OTHER if name else "")


def _plain(said: str) -> str:
    """What an editor calls itself."""
    return said if _CLIENT.fullmatch(said) else (_OTHER if said else "")

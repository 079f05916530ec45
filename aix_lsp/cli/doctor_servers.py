"""The part of `doctor` that asks the running servers how they are, and why they offered nothing where they did not."""

from __future__ import annotations

from collections.abc import Iterator

from aix_lsp.cli.doctor import Finding
from aix_lsp.cli.servers import About, running
from aix_lsp.completion.trace_words import summary_in_words
from aix_lsp.engine.base import EngineError

_CHECK = "running"


def examine_servers() -> Iterator[Finding]:
    """One finding for each server of this user that runs now."""
    try:
        with running() as (servers, problems):
            abouts = [server.about for server in servers]
    except (EngineError, OSError) as error:
        yield Finding(_CHECK, "warn", str(error), "without it `aix-lsp inspect` finds no server")
        return
    yield from map(_finding, abouts)
    for problem in problems:
        yield Finding(_CHECK, "warn", problem, "restart it, or wait for it to answer")
    if not abouts and not problems:
        yield Finding(_CHECK, "ok", "none runs now (or inspect.socket is off)")


def _finding(about: About) -> Finding:
    state = about.state if about.state != "ready" or not about.model else f"ready, {about.model}"
    said = summary_in_words(about.summary) if about.capacity else "nothing is remembered: inspect.requests is 0"
    detail = f"{about.name}: {state}; {said}"
    if about.state == "failed":
        return Finding(_CHECK, "warn", f"{detail}; {about.message}", "see the editor's log of this server")
    return Finding(_CHECK, "ok", detail)

"""`aix-lsp inspect`: why the latest requests of a running server went as they did."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from aix_lsp.cli.failure import UsageError
from aix_lsp.cli.servers import RunningServer, choose, running
from aix_lsp.completion import trace_html
from aix_lsp.completion.trace import Traced
from aix_lsp.completion.trace_data import traced_to_dict
from aix_lsp.files import replaced_file


def run(
    *, last: int, request: int | None, as_json: bool, follow: bool, html: Path | None, pid: int | None, here: Path
) -> None:
    """Ask the server of the folder `here` (or of process `pid`) and print, or write a page to `html`."""
    if follow and (html is not None or request is not None):
        raise UsageError("--follow prints new requests as they come; it goes with neither --request nor --html")
    with running() as (servers, problems):
        for problem in problems:
            sys.stderr.write(f"aix-lsp: {problem}\n")
        server = choose(servers, here.resolve(), pid)
        others = len(servers) - 1
        if follow:
            _follow(server, as_json=as_json)
            return
        records = _records(server, last, request)
    if html is not None:
        _write(html, trace_html.page(records, server.about.name, server.about.summary.given_up))
        count = "1 request" if len(records) == 1 else f"{len(records)} requests"
        sys.stderr.write(f"aix-lsp: {count} of {server.about.name} {'is' if len(records) == 1 else 'are'} in {html}\n")
    if as_json:
        known, given_up = server.about, server.about.summary.given_up
        about = {"pid": known.pid, "client": known.client, "state": known.state, "given_up": given_up}
        folders = [str(folder) for folder in known.folders]
        data = {"server": {**about, "folders": folders}, "requests": [traced_to_dict(traced) for traced in records]}
        print(json.dumps(data))  # noqa: T201
    elif html is None:
        from aix_lsp.cli.inspect_view import View

        View().show(server.about, records, others=others, whole=request is not None)


def _records(server: RunningServer, last: int, request: int | None) -> list[Traced]:
    if request is None:
        return server.last(last)
    found = server.request(request)
    if found is None:
        kept = server.last(server.about.capacity)
        known = f"{kept[0].number} to {kept[-1].number}" if kept else "none"
        raise UsageError(f"request {request} is not remembered (remembered: {known})")
    return [found]


def _follow(server: RunningServer, *, as_json: bool) -> None:
    from aix_lsp.cli.inspect_view import View

    view = View()
    if not as_json:
        view.following(server.about)
    for traced in server.follow():
        if as_json:
            print(json.dumps(traced_to_dict(traced)), flush=True)  # noqa: T201
        else:
            view.line(traced)
    sys.stderr.write("aix-lsp: the server has ended\n")


def _write(path: Path, text: str) -> None:
    """The page quotes source: for the user alone."""
    with replaced_file(path, mode=0o600) as file:
        file.write(text.encode("utf-8", "replace"))

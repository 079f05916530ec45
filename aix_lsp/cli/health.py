"""`aix-lsp inspect --health`: whether the user's servers answer. What a container or a supervisor asks now and then.

A server answers over its private socket, from the loop that serves the editor too, so that one that hangs does not
answer. Nothing of the model's libraries is imported, and no request of the user is looked at.
"""

from __future__ import annotations

import json
import sys

from aix_lsp.cli.servers import running


def run(*, as_json: bool = False, pid: int | None = None) -> None:
    """One line for each server, or for that of one process; exit 1 where none runs, one does not answer in time, or
    one's model has failed."""
    with running() as (servers, problems):
        abouts = [server.about for server in servers if pid in (None, server.about.pid)]
    if pid is not None:
        problems = [problem for problem in problems if problem.startswith(f"process {pid}:")]
    well = bool(abouts) and not problems and all(about.state != "failed" for about in abouts)
    if as_json:
        told = [{"pid": about.pid, "state": about.state, "model": about.model} for about in abouts]
        print(json.dumps({"well": well, "servers": told, "problems": problems}))  # noqa: T201
    else:
        for problem in problems:
            sys.stderr.write(f"aix-lsp: {problem}\n")
        for about in abouts:
            print(f"{about.name}: {about.state}{f', {about.model}' if about.model else ''}")  # noqa: T201
        if not abouts and not problems:
            sys.stderr.write("aix-lsp: no such server of yours runs (or inspect.socket is off)\n")
    if not well:
        sys.exit(1)

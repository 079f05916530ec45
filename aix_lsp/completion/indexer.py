"""The indexer process: reads a job from stdin, and writes what `indexing.py` finds to stdout.

A process of its own, niced as soon as there is more to do than to see that nothing has changed: a Python thread that
indexes slows a decoding step 2.3 to 5 times, a niced process 1.4 times (measured; docs/log.md).

The job is a line of JSON. A part is a line with three sizes in bytes, a JSON header, marks of files that may be quoted,
and packed bytes; the next one is made after an empty line has come in answer: a kept index that a part speaks of must
not be replaced by a newer one before it was read. The end of stdin ends the process.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
from dataclasses import asdict
from typing import Any

from aix_lsp.completion.index_job import ChunksPart, DefinitionsPart, IndexJob, IndexReport, Part, ScannedPart, Stored
from aix_lsp.completion.indexing import index
from aix_lsp.logs import places
from aix_lsp.workspace.git_process import end_running

_LOOK_MS = 1_000


def header_of(part: Part) -> bytes:
    """All of a part but its packed bytes."""
    if isinstance(part, DefinitionsPart):
        return json.dumps({"kind": "definitions", "last": part.last}).encode()
    if isinstance(part, ScannedPart):
        return json.dumps({"kind": "scanned", "report": asdict(part.report)}).encode()
    stored = asdict(part.stored) if part.stored is not None else None
    data = {"kind": "chunks", "last": part.last, "report": asdict(part.report), "stored": stored}
    return json.dumps({**data, "gone": list(part.gone)}).encode()


def part_of(header: bytes, quotable: bytes, packed: bytes) -> Part:
    """The part again. Raises ValueError, KeyError or TypeError for anything else."""
    data: dict[str, Any] = json.loads(header)
    if data["kind"] == "definitions":
        return DefinitionsPart(packed, data["last"])
    if data["kind"] == "scanned":
        return ScannedPart(IndexReport(**data["report"]))
    stored = Stored(**data["stored"]) if data["stored"] is not None else None
    return ChunksPart(IndexReport(**data["report"]), packed, data["last"], stored, data["gone"], quotable)


def _be_nice() -> None:
    if hasattr(os, "nice"):
        os.nice(19)


def _end_with_the_server() -> None:
    """And with a job that nobody waits for any more. A server that is killed tells nobody, and a large folder takes
    minutes to the next part, the first thing that would be noticed then. Where the system has no `poll` (Windows), that
    is how it stays."""
    if not hasattr(select, "poll"):
        return
    server = os.getppid()
    watch = select.poll()
    watch.register(sys.stdin.fileno(), 0)  # POLLHUP comes unasked, but on macOS, where nothing comes unasked

    def wait() -> None:
        while not watch.poll(_LOOK_MS) and os.getppid() == server:
            pass
        end_running()
        os._exit(1)

    threading.Thread(target=wait, name="aix-server-watch", daemon=True).start()


def main() -> None:
    """Entry of the process. What fails is told without the error's message, which may quote a file: its last words are
    shown to the user, and logged. Those of the system have none of it, and help."""
    _end_with_the_server()
    try:
        _work()
    except (OSError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001
        sys.exit(f"{type(error).__name__} at {places(error)}")


def _work() -> None:
    job = IndexJob(**json.loads(sys.stdin.readline()))
    output = sys.stdout.buffer
    for part in index(job, _be_nice):
        pieces = (header_of(part), part.quotable if isinstance(part, ChunksPart) else b"", part.packed)
        output.write(b"%d %d %d\n" % tuple(map(len, pieces)))
        for piece in pieces:
            output.write(piece)
        output.flush()
        sys.stdin.readline()


if __name__ == "__main__":
    main()

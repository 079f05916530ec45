"""`aix-lsp log`: the end of the log that the servers keep, and how much they log."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aix_lsp.cli.failure import UsageError
from aix_lsp.cli.servers import RunningServer, running
from aix_lsp.cli.setup import read_settings
from aix_lsp.completion.trace_words import printable
from aix_lsp.engine.base import EngineError
from aix_lsp.logs_file import file_for, older, read_records

_LEVELS = ("debug", "info", "warning", "error", "settings")
_FIRST = ("time", "level", "logger", "pid", "request", "event")


def run(*, last: int, request: str, as_json: bool, level: str, pid: int | None) -> None:
    """Print the last records, those of one request if named; or tell running servers a level."""
    if level:
        _set(level, pid, as_json=as_json)
        return
    if pid is not None:
        raise UsageError("--pid goes with --level; each record names its process")
    files = log_files()
    if not files:
        raise UsageError("no log is kept: log.file is none")
    records = [
        record
        for record in deque(_of_request(files, request), maxlen=None if request else last)
        if not request or record.get("request")
    ][-last:]
    for record in records:
        print(json.dumps(record) if as_json else _in_words(record))  # noqa: T201
    sys.stderr.write(f"aix-lsp: {printable(_counted(len(records), request, files))}\n")


def _counted(count: int, request: str, files: Sequence[Path]) -> str:
    """How many records were shown, and of what; where there are none, why."""
    where = ", ".join(map(str, files))
    if not any(part.exists() for file in files for part in (older(file), file)):
        return f"nothing is logged yet: {where} begins when an editor starts the server"
    if request and not count:
        return f"{where} has no record of request {request}; requests are followed at debug (aix-lsp log --level debug)"
    return f"{count} {'record' if count == 1 else 'records'} of {where}, times in UTC"


def log_files() -> list[Path]:
    """The log that these settings name, and those that running servers say they keep: an editor may set another."""
    named = file_for(read_settings(None, ()).settings.log.file)
    found = dict.fromkeys([named] if named is not None else [])
    try:
        with running() as (servers, _):
            found.update(dict.fromkeys(Path(server.about.log) for server in servers if server.about.log))
    except (EngineError, OSError):
        pass  # then the settings' own
    return list(found)


def _of_request(files: list[Path], request: str) -> Iterator[dict[str, Any]]:
    """Records in order; of one request, and of what was begun for it and joined by another."""
    for file in files:
        for record in read_records(file):
            if not request or request in (record.get("request"), record.get("run")):
                yield record


def _in_words(record: Mapping[str, Any]) -> str:
    """`23:49:26.123 warning  event name=value  [id]`, in UTC."""
    clock = str(record.get("time", ""))[11:23]
    more = "".join(f" {name}={value}" for name, value in record.items() if name not in _FIRST)
    belongs = f"  [{record['request']}]" if record.get("request") else ""
    return printable(f"{clock} {record.get('level', '')!s:<7} {record.get('event', '')}{more}{belongs}")


def _set(level: str, pid: int | None, *, as_json: bool) -> None:
    if level not in _LEVELS:
        raise UsageError(f"--level takes one of {', '.join(_LEVELS)}, not {level}")
    with running() as (servers, _):
        chosen: list[RunningServer] = [server for server in servers if pid in (None, server.about.pid)]
        if not chosen:
            raise UsageError("no such aix-lsp server of yours is running (or inspect.socket is off)")
        for server in chosen:
            server.set_log_level("" if level == "settings" else level)
        told = [{"pid": server.about.pid, "log": server.about.log, "level": level} for server in chosen]
    if as_json:
        print(json.dumps(told))  # noqa: T201
        return
    for one in told:
        print(printable(f"process {one['pid']} logs as told: {level}; file: {one['log'] or 'none'}"))  # noqa: T201

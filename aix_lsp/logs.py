"""What a log record may hold, and how it is written: never the text of a document, a prompt or an exception.

That is held by how records are made, not by care at each call. The event of a record is a literal of this package (a
test holds it). An argument is written if it is a number, a path, a word without spaces, or a sentence of our own that
is marked as one (`said`); of any other, its size or its type. An exception is written as its type and the places it
came through. Of what libraries log and warn, only who said something and where.

A record carries the id of the request that it belongs to, where there is one: `request_id` is set for each request, and
follows it through tasks; on the model thread, which serves many, it is set from the request (`of_request`).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import re
import time
import traceback
import types
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import PurePath
from typing import Any

OWN = "aix_lsp"
"""The logger of this package, above those of its modules."""

request_id: ContextVar[str] = ContextVar("request_id", default="")

_PREFIX = os.urandom(4).hex()
_NUMBERS = itertools.count(1)
_WORD = re.compile(r"[\w./:@+$~\\-]{0,200}")
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
"""What moves the cursor of a terminal, or turns text around: the name of a folder may hold it."""

_LONGEST = 600
_MOST_PLACES = 12

Field = str | int | float | bool | None


def new_request_id() -> str:
    """An id for a request: this process's random prefix and a count. It says nothing about anybody."""
    return f"{_PREFIX}-{next(_NUMBERS)}"


@contextlib.contextmanager
def of_request(name: str) -> Iterator[None]:
    """What is logged inside belongs to this request."""
    token = request_id.set(name)
    try:
        yield
    finally:
        request_id.reset(token)


class Said(str):
    """A sentence of our own, the same that the user is shown."""

    __slots__ = ()


def said(text: object) -> Said:
    """Marks a sentence as our own. It must quote neither a document nor what a library said of one."""
    return Said(text)


def fields(**values: object) -> Mapping[str, Mapping[str, object]]:
    """Figures and words beside an event: `logger.debug("answered", extra=fields(items=1))`."""
    return {"fields": values}


def places(error: BaseException) -> str:
    """Where an exception came through, the innermost first, as `file.py:12 <- file.py:34`."""
    frames = traceback.extract_tb(error.__traceback__, limit=-_MOST_PLACES)
    return " <- ".join(f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))


def shown(value: object) -> Field:
    """An argument or field as it may be written."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Said | PurePath):
        return _STEERING.sub("\ufffd", " ".join(str(value).split()))[:_LONGEST]
    if isinstance(value, str):
        return str(value) if _WORD.fullmatch(value) else f"<text of {len(value)} characters>"
    if isinstance(value, type):
        return value.__name__
    return f"<{type(value).__name__}>"


def event_of(record: logging.LogRecord) -> str:
    """What happened, in a line."""
    if not is_own(record.name):
        return f"{shown(record.name)} said something at {PurePath(record.pathname).name}:{record.lineno}"
    if not isinstance(record.msg, str):
        return f"<{type(record.msg).__name__}>"
    if not record.args:
        return record.msg
    arguments = record.args if isinstance(record.args, tuple) else (record.args,)
    try:
        return record.msg % tuple(map(shown, arguments))
    except (TypeError, ValueError):
        return record.msg


def data_of(record: logging.LogRecord) -> dict[str, Field]:
    """A record as one flat object; times are UTC with milliseconds."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    data: dict[str, Field] = {
        "time": f"{stamp}.{int(record.created * 1000) % 1000:03d}Z",
        "level": record.levelname.lower(),
        "logger": shown(record.name),
        "pid": os.getpid(),
    }
    if request := request_id.get():
        data["request"] = shown(request)
    data["event"] = event_of(record)
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if error is not None:
        data["error"], data["at"] = type(error).__name__, places(error)
    more = getattr(record, "fields", None)
    if isinstance(more, Mapping) and is_own(record.name):
        for name, value in more.items():
            data.setdefault(str(name), shown(value))
    return data


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        return json.dumps(data_of(record), ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """One line for people: `warning aix_lsp.server.session: … [id] name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        data = data_of(record)
        logger, event, request = data["logger"], data["event"], data.get("request")
        known = ("time", "level", "logger", "pid", "request", "event")
        more = "".join(f" {name}={value}" for name, value in data.items() if name not in known)
        return f"{record.levelname} {logger}: {event}{more}{f' [{request}]' if request else ''}"


def is_own(name: str) -> bool:
    """Whether a logger is one of this package."""
    return name == OWN or name.startswith(f"{OWN}.")


def discreet_record(*arguments: Any, **more: Any) -> logging.LogRecord:
    """A record factory (`logging.setLogRecordFactory`) that takes the words out of what libraries log: some of them
    bring handlers of their own."""
    record = logging.LogRecord(*arguments, **more)
    if not is_own(record.name):
        record.msg, record.args, record.exc_info, record.stack_info = event_of(record), (), None, None
    return record


def log_failure(
    logger: logging.Logger, what: str, error: BaseException | None, at: types.TracebackType | None = None
) -> None:
    """Log that something failed and where, without the error's message: it may quote the user's text."""
    if error is None:
        logger.error("%s failed", said(what))
        return
    where = places(error if error.__traceback__ is not None or at is None else error.with_traceback(at))
    logger.error("%s failed: %s at %s", said(what), type(error).__name__, said(where))

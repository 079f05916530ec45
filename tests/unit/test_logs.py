"""What a log record may hold, whoever logs what."""

from __future__ import annotations

import ast
import importlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import aix_lsp
from aix_lsp.logs import (
    JsonFormatter,
    TextFormatter,
    discreet_record,
    fields,
    new_request_id,
    of_request,
    places,
    said,
    shown,
)

SOURCE = "password = 'hunter2'  # of the user"
PACKAGE = Path(aix_lsp.__file__).parent


def record(
    event: str, *arguments: object, name: str = "aix_lsp.server", error: BaseException | None = None
) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    return logging.LogRecord(name, logging.WARNING, "/home/me/lib.py", 12, event, arguments, info)


def line_of(made: logging.LogRecord) -> dict[str, object]:
    data: dict[str, object] = json.loads(JsonFormatter().format(made))
    return data


def caught() -> ValueError:
    try:
        raise ValueError(SOURCE)
    except ValueError as error:
        return error


def test_a_record_is_one_flat_object_with_utc_milliseconds_and_the_request_it_belongs_to() -> None:
    made = record("answered %d with %s", 3, "stop")
    made.created = 1_700_000_000.0625
    made.__dict__.update(fields(items=1, reason=said("code follows the cursor")))
    request = new_request_id()
    with of_request(request):
        data = line_of(made)
    assert data["time"] == "2023-11-14T22:13:20.062Z"
    assert (data["level"], data["logger"], data["request"]) == ("warning", "aix_lsp.server", request)
    assert (data["event"], data["items"], data["reason"]) == ("answered 3 with stop", 1, "code follows the cursor")
    assert "request" not in line_of(made)


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
@pytest.mark.parametrize(
    "made",
    [
        record("opened %s", SOURCE),
        record("%s and %d", SOURCE, SOURCE),
        record("opened %s", [SOURCE]),
        record("opened %s", {"text": SOURCE}),
        record("opened %s", ValueError(SOURCE)),
        record("failed", error=caught()),
        record(SOURCE, name="transformers.generation"),
        record("%s", SOURCE, name="asyncio", error=caught()),
        record("a line\n%s", SOURCE.replace(" ", "\n")),
    ],
)
def test_no_argument_exception_or_library_brings_text_into_a_record(
    made: logging.LogRecord, formatter: logging.Formatter
) -> None:
    line = formatter.format(made)
    assert "hunter2" not in line
    assert "password" not in line
    assert made.name in line


def test_a_failure_is_told_by_its_type_and_places() -> None:
    data = line_of(record("failed", error=caught()))
    assert data["error"] == "ValueError"
    assert str(data["at"]).startswith("test_logs.py:")


def test_fields_are_refused_like_arguments() -> None:
    made = record("received")
    made.__dict__.update(fields(text=SOURCE, at=Path("/home/me/my project"), count=1.5, none=None, kind=ValueError))
    data = line_of(made)
    assert data["text"] == f"<text of {len(SOURCE)} characters>"
    assert (data["at"], data["count"], data["none"], data["kind"]) == ("/home/me/my project", 1.5, None, "ValueError")
    assert shown("a_name.py:12") == "a_name.py:12"


def test_the_name_of_a_folder_steers_no_terminal() -> None:
    name = "/w/\x1b]0;title\x07\u202e\x9b2J"
    assert shown(Path(name)) == shown(said(name)) == "/w/\ufffd]0;title\ufffd2J"


def test_handlers_that_libraries_bring_get_no_words_of_libraries_either() -> None:
    made = discreet_record("huggingface_hub", logging.ERROR, "/lib/hub.py", 7, "%s", (SOURCE,), None)
    assert made.getMessage() == "huggingface_hub said something at hub.py:7"
    assert discreet_record("aix_lsp.x", 20, "f", 1, "%s", ("word",), None).getMessage() == "word"


def test_places_of_a_deep_recursion_are_few() -> None:
    def deeper(left: int) -> None:
        if not left:
            raise KeyError(SOURCE)
        deeper(left - 1)

    with pytest.raises(KeyError) as failed:
        deeper(200)
    assert places(failed.value).count(" <- ") < 20


def logging_calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a logger in the package, but for evaluations: no server runs them."""
    for path in sorted(set(PACKAGE.rglob("*.py")) - set((PACKAGE / "evaluation").rglob("*.py"))):
        source = path.read_text(encoding="utf-8")
        if "logging.getLogger" not in source:  # commands have no log
            continue
        for node in ast.walk(ast.parse(source)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "logger":
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def test_the_event_of_every_record_is_a_literal_of_the_package() -> None:
    places_ = []
    seen = 0
    for place, call in logging_calls():
        assert isinstance(call.func, ast.Attribute)
        if call.func.attr in ("isEnabledFor", "makeRecord"):
            continue
        seen += 1
        event = call.args[1] if call.func.attr == "log" else call.args[0]
        if not (isinstance(event, ast.Constant) and isinstance(event.value, str)):
            places_.append(place)
        if call.func.attr == "exception" or any(word.arg in ("exc_info", "stack_info") for word in call.keywords):
            places_.append(place)
    assert places_ == []
    assert seen > 20


def test_names_of_loggers_are_those_of_modules() -> None:
    own = importlib.import_module("aix_lsp.logs_process")
    assert own.logger.name == "aix_lsp.logs_process"

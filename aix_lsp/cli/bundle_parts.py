"""The other parts of a bug report: findings, versions, settings, statistics and the log."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import aix_lsp
from aix_lsp.cli.bundle_servers import language
from aix_lsp.cli.bundle_words import own_words, vocabulary, without_names
from aix_lsp.cli.doctor import Finding
from aix_lsp.cli.doctor_libraries import required
from aix_lsp.completion.statistics import sum_of, summary
from aix_lsp.completion.statistics_file import read_rows, statistics_file
from aix_lsp.configuration import Configuration, getattr_dotted
from aix_lsp.engine.known_models import KNOWN
from aix_lsp.logs_file import read_records
from aix_lsp.settings import Option, options

_OF_THE_MACHINE = frozenset(("python", "torch", "processor", "gpu", "flash-attn", "quantization"))
"""Checks that look at the machine alone: what they find when all is well may be told as it is."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_REQUEST = re.compile(r"[0-9a-f]{8}-\d{1,12}")
_LEVELS = ("debug", "info", "warning", "error", "critical")
_MOST_FIELDS = 24
_MODELS = frozenset(model.name for model in KNOWN)


def findings(found: Iterable[Finding]) -> list[dict[str, str]]:
    """What `doctor` found."""
    return [
        {
            "check": own_words(finding.check),
            "status": finding.status,
            "detail": without_names(finding.detail)
            if finding.check in _OF_THE_MACHINE and finding.status == "ok"
            else own_words(finding.detail),
            "remedy": own_words(finding.remedy),
        }
        for finding in found
    ]


def versions() -> dict[str, Any]:
    """Of this program, Python, the system and the libraries."""
    return {
        "aix-lsp": aix_lsp.__version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "release": without_names(platform.release()),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "isolated": bool(sys.flags.isolated or sys.flags.safe_path),
        "libraries": {name: version for name in required() if (version := _version(name))},
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def settings(configuration: Configuration, problems: Iterable[str]) -> dict[str, Any]:
    """Every option with where its value comes from; of what the user typed freely only that it is set."""
    values = {
        item.name: {
            "value": _shown(item, getattr_dotted(configuration.settings, item.name)),
            "from": configuration.origin(item.name),
        }
        for item in options()
    }
    return {"options": values, "problems": [own_words(problem) for problem in problems]}


def _shown(item: Option, value: Any) -> Any:
    if item.secret:
        return "(hidden)" if value and value != item.default else ""
    if value is None or isinstance(value, bool | int | float):
        return value
    is_choice = typing.get_origin(item.annotation) is Literal
    if is_choice or value == item.default or (item.name == "model.name" and value in _MODELS):
        return list(value) if isinstance(value, tuple) else value
    return f"({len(value)} items)" if isinstance(value, tuple) else "(set)"


def statistics() -> dict[str, Any]:
    """The sums of the counts that this machine keeps."""
    try:
        rows = list(read_rows(statistics_file()))
    except OSError as error:
        return {"problem": type(error).__name__}
    by_language: dict[str, list[Any]] = {}
    for row in rows:
        by_language.setdefault(language(row.language) or "(none)", []).append(row)
    return {
        "days": len({row.day for row in rows}),
        "total": summary(sum_of(rows)),
        "languages": {name: summary(sum_of(some)) for name, some in sorted(by_language.items())},
    }


def log_lines(files: Iterable[Path]) -> Iterator[str]:
    """The records of some logs, each as a line of JSON, with what may be told of them."""
    for file in files:
        try:
            for record in read_records(file):
                yield json.dumps(log_record(record), ensure_ascii=False)
        except OSError as error:
            yield json.dumps({"problem": type(error).__name__})


def log_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """One record of a log, of which nothing is known: it is a file that anybody may have edited."""
    time, request = str(record.get("time")), str(record.get("request"))
    told: dict[str, Any] = {
        "time": time if _TIME.fullmatch(time) else "",
        "level": record["level"] if record.get("level") in _LEVELS else "",
        "logger": own_words(record.get("logger", "")),
    }
    if _REQUEST.fullmatch(request):
        told["request"] = request
    for name, value in list(record.items())[:_MOST_FIELDS]:
        if name not in told and name != "request" and name in vocabulary():
            is_figure = value is None or isinstance(value, bool | int | float)
            told[name] = _run_of(value) if name == "run" else value if is_figure else own_words(value)
    return told


def _run_of(value: Any) -> str:
    return value if isinstance(value, str) and _REQUEST.fullmatch(value) else ""

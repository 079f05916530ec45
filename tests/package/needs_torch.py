"""A plug-in of pytest for an environment without PyTorch: skips what needs it, and nothing else.

Whoever tries to import PyTorch, or what stands on it, is noticed. A test that fails after such a try needs it and is
skipped; one that fails without is a failure. So no list of tests has to be kept.

    python -m pytest -p tests.package.needs_torch tests/unit
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

NAMES = ("torch", "transformers", "accelerate", "peft")
"""PyTorch, and what is of no use without it."""

_UNKNOWN_MODULE = "cannot import name "
_FAILED_SERVER = "'state': 'failed', 'message': 'PyTorch is missing"
"""How a test fails that waits for the model of a server process (`until_ready` of tests/e2e/conftest.py)."""


class Noticed(MetaPathFinder):
    """Stands before all finders and finds nothing; counts the tries."""

    tries = 0

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in NAMES:
            self.tries += 1
        return None


_noticed = Noticed()
_without: set[str] = set()
"""Test files that cannot be imported without PyTorch: those that import from them need it too."""


def pytest_configure() -> None:
    """Begin to notice."""
    sys.meta_path.insert(0, _noticed)


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    """A file whose import needs PyTorch is skipped."""
    before = _noticed.tries
    outcome = yield
    report: pytest.CollectReport = outcome.get_result()
    if report.outcome != "failed":
        return
    said = str(report.longrepr)
    half_loaded = _UNKNOWN_MODULE in said and any(f"'tests.unit.{name}'" in said for name in _without)
    if _noticed.tries > before or half_loaded:
        _without.add(Path(collector.path).stem)
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), None, "needs PyTorch")


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    """Where a test begins to be noticed: with its fixtures."""
    item.stash[_before] = _noticed.tries
    yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A test that fails after a try needs PyTorch, as does one whose server process says so. A fixture that other tests
    share fails for all of them with the error of the first: what is raised again tells by its name."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()
    if not report.failed:
        return
    error = call.excinfo.value if call.excinfo is not None else None
    again = isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] in NAMES
    if again or _FAILED_SERVER in str(error) or _noticed.tries > item.stash[_before]:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), None, "needs PyTorch")


_before = pytest.StashKey[int]()

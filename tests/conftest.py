"""What holds for all tests."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from aix_lsp.engine.hardware import share_processors
from tests.model_host import model_host

__all__ = ["model_host"]

# as the program does it: beside other work, threads that wait spinning take minutes where sleeping ones take seconds
share_processors()

# An example may take as long as a busy machine needs. A test run tries the same examples every time, so that what fails
# is the change that is tested; new examples are for `make fuzz`, which sets AIX_TEST_EXAMPLES to how many per test.
settings.register_profile(
    "same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile(
    "new",
    max_examples=int(os.environ.get("AIX_TEST_EXAMPLES", 0)) or 100,
    derandomize=False,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("new" if os.environ.get("AIX_TEST_EXAMPLES") else "same")

# A shell that starts tests in the background has them ignore Control-C, and nohup a hang-up; so would every process
# that they start and then signal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """What tests say of texts with half a surrogate pair goes from one process to another, which no encoding allows."""
    return _encodable((yield))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_encodable, value))
    return value


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for sockets: systems take a hundred bytes for a socket's path, and `tmp_path` alone may have as many."""
    folder = Path(tempfile.mkdtemp(prefix="aix-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)

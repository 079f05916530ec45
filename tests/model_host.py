"""One model for the tests of all folders, held by a host process (`aix_lsp.engine.host_process`)."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

HOST = "aix_lsp.engine.host_process"


def hosts(name: str, value: str) -> list[psutil.Process]:
    """The model hosts that run with this variable in their environment."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        with contextlib.suppress(psutil.Error):
            is_host = HOST in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE
            if is_host and process.environ().get(name) == value:
                found.append(process)
    return found


@contextlib.contextmanager
def shared_model() -> Iterator[dict[str, str]]:
    """What the environment says to servers that use one model for all, held by a host process: they start in a fraction
    of the time. The host ends with the context."""
    if sys.platform == "win32":
        yield {}  # the host's place is the user's own there
        return
    folder = Path(tempfile.mkdtemp(prefix="aix-"))
    try:
        yield {
            "XDG_RUNTIME_DIR": str(folder),
            "AIX_LSP_MODEL__NAME": "aix-mini",
            "AIX_LSP_MODEL__SHARE": "on",
            "AIX_LSP_MODEL__SHARE_LINGER_S": "300",
            "AIX_LSP_MODEL__IDLE_MINUTES": "0",
        }
    finally:
        left = hosts("XDG_RUNTIME_DIR", str(folder))
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(left, timeout=30)[1]:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def model_host() -> Iterator[dict[str, str]]:
    """One model for all tests of files whose subject is not how a server loads its own; they take it up in
    `environment`."""
    with shared_model() as environment:
        yield environment

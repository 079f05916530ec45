"""Real editors with the real server and the embedded model. An editor that cannot be installed here is skipped."""

from __future__ import annotations

import functools
import sys

import pytest

from tests.e2e.conftest import environment, workspace
from tests.editors.install.__main__ import install
from tests.editors.install.place import Editor, NotInstalledError

__all__ = ["environment", "workspace"]

SERVER = (sys.executable, "-m", "aix_lsp", "serve", "--stdio")
"""The command line of the server of this repository."""


def editor_or_skip(name: str) -> Editor:
    """The editor; where it cannot be installed, the test is skipped with the reason."""
    found = tried(name)
    if isinstance(found, NotInstalledError):
        pytest.skip(f"{name}: {found}")
    return found


@functools.cache
def tried(name: str) -> Editor | NotInstalledError:
    """Tried once for all tests: where there is no network, each try takes minutes."""
    try:
        return install(name)
    except NotInstalledError as error:
        return error

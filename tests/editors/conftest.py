"""Real editors with the real server and the embedded model. An editor that cannot be installed here is skipped."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import environment_in, workspace_in
from tests.editors.install.__main__ import install
from tests.editors.install.place import Editor, NotInstalledError

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


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Nothing of the developer's own settings, plug-ins and counts."""
    return environment_in(tmp_path)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Two files of Python: `shop/invoice.py` ends within the name of a function of `shop/pricing.py`."""
    return workspace_in(tmp_path)

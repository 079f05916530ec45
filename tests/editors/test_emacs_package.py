"""The Emacs package in batch Emacs: its pure parts, what it sends about edits, and Emacs's own linters."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from aix_lsp.text import Encoding
from aix_lsp.workspace.documents import Change, DocumentStore
from tests.editors.conftest import editor_or_skip
from tests.editors.emacs.session import PACKAGE, quoted

pytestmark = pytest.mark.editor

_TESTS = Path(__file__).parent / "emacs"
_LIMIT_SECONDS = 600


def batch(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run Emacs without a terminal, the package in its load path."""
    editor = editor_or_skip("emacs")
    environment = {**os.environ, **editor.environment, "LC_ALL": "C.UTF-8", "HOME": str(home)}
    command = [*editor.command, "--batch", "-L", str(PACKAGE), "-L", str(_TESTS), *words]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False, timeout=_LIMIT_SECONDS
    )


def test_the_parts_that_need_no_server(tmp_path: Path) -> None:
    done = batch("-l", "aix-lsp-test", "-f", "ert-run-tests-batch-and-exit", home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("returns", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_server_has_the_buffers_text_after_any_edits(
    tmp_path: Path, seed: int, returns: bool, encoding: Encoding
) -> None:
    call = f'(aix-lsp-test-print-changes "{seed}" {quoted(encoding)} {"t" if returns else "nil"})'
    done = batch("-l", "aix-lsp-test", "--eval", call, home=tmp_path)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    opened, *changed = [message for message in data["messages"] if "textDocument" in message["params"]]
    assert opened["method"] == ":textDocument/didOpen"
    item = opened["params"]["textDocument"]
    documents = DocumentStore(str, encoding)
    documents.open(item["uri"], item["languageId"], item["version"], item["text"])
    for message in changed:
        document = message["params"]["textDocument"]
        changes = [_change(change) for change in message["params"]["contentChanges"]]
        assert documents.change(document["uri"], document["version"], changes) is None
    found = documents.get(item["uri"])
    assert found is not None
    assert found.text == data["text"]
    assert returns or any("range" in change for message in changed for change in message["params"]["contentChanges"])


def _change(change: dict[str, object]) -> Change:
    place = change.get("range")
    text = str(change["text"])
    if not isinstance(place, dict):
        return Change(text)
    start, end = place["start"], place["end"]
    return Change(text, (start["line"], start["character"], end["line"], end["character"]))


def test_it_compiles_without_a_warning(tmp_path: Path) -> None:
    copy = tmp_path / "package"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("*.elc"))
    strict = "(setq byte-compile-error-on-warn t byte-compile-docstring-max-column 120)"
    sources = [str(path) for path in sorted(copy.glob("*.el"))]
    done = batch("-L", str(copy), "--eval", strict, "-f", "batch-byte-compile", *sources, home=tmp_path)
    assert done.returncode == 0, done.stderr


def test_checkdoc_has_nothing_to_say(tmp_path: Path) -> None:
    files = " ".join(quoted(str(path)) for path in sorted(PACKAGE.glob("*.el")))
    # the experimental flag takes nouns for verbs: "offers"
    check = f"(dolist (file '({files})) (checkdoc-file file))"
    done = batch("--eval", "(setq checkdoc-verb-check-experimental-flag nil)", "--eval", check, home=tmp_path)
    assert done.stderr.strip() == ""


def test_package_lint_misses_an_address_and_nothing_else(tmp_path: Path) -> None:
    main = f"(setq package-lint-main-file {quoted(str(PACKAGE / 'aix-lsp.el'))})"
    sources = [str(path) for path in sorted(PACKAGE.glob("*.el"))]
    done = batch("-l", "package-lint", "--eval", main, "-f", "package-lint-batch-and-exit", *sources, home=tmp_path)
    said = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    # the project has no address yet that a header could name
    assert [line for line in said if line and not line.startswith(("Entering directory", "Leaving directory"))] == [
        "aix-lsp.el:1:0: error: Package should have a Homepage or URL header."
    ]

"""README says what the code says."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

import aix_lsp

ROOT = Path(aix_lsp.__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_settings_table_is_generated_anew() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.with_table(README) == README, "run: make documents"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!http|#)([^)#]+)", README))))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_constraints_pin_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()}
    extras = project["optional-dependencies"]
    assert "aix-lsp[train]" in extras["dev"]  # what is tested with it is pinned too
    wanted = [*project["dependencies"], *extras["dev"][1:], *extras["train"]]
    names = {re.split(r"[<>=\[ ]", item)[0].lower() for item in wanted}
    assert names <= pinned


def test_every_command_is_in_the_readme() -> None:
    from aix_lsp.cli.app import app

    for command in app.registered_commands:
        assert command.callback is not None
        assert f"aix-lsp {command.callback.__name__}" in README

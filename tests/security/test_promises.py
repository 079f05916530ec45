"""SECURITY.md says which test shows each promise: every one of them exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_security_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "SECURITY.md").read_text("utf-8")))
    defined = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        defined |= set(re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE))
    assert named <= defined, sorted(named - defined)


def test_every_attack_is_named_on_the_security_page() -> None:
    page = (ROOT / "SECURITY.md").read_text("utf-8")
    attacks = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        if path.name != Path(__file__).name:
            attacks |= set(re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE))
    assert sorted(name for name in attacks if f"`{name}`" not in page) == []


def test_every_file_that_the_security_page_names_exists() -> None:
    for row in re.findall(r"^\| .* \| (.*) \| .*`test_", (ROOT / "SECURITY.md").read_text("utf-8"), re.MULTILINE):
        for name in re.findall(r"`([\w/]+\.py)`", row):
            folders = ("", "workspace/", "completion/")
            assert any((ROOT / "aix_lsp" / f"{folder}{name}").is_file() for folder in folders), name

"""What docs/deploy says fits what the engine asks for and what the settings are called."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

import aix_lsp
from aix_lsp.engine import remote_check, remote_healing, remote_reading
from aix_lsp.settings import options

FOLDER = Path(aix_lsp.__file__).parent.parent / "docs" / "deploy"
README = (FOLDER / "README.md").read_text("utf-8")
NEEDED = {"/v1/completions", "/v1/models", "/detokenize", "/props"}


def test_the_proxy_lets_through_what_the_engine_asks_for() -> None:
    sources = "".join(
        Path(str(module.__file__)).read_text("utf-8") for module in (remote_check, remote_healing, remote_reading)
    )
    assert set(re.findall(r'"(/[a-z0-9/]+)"', sources)) == NEEDED
    caddyfile = (FOLDER / "Caddyfile").read_text("utf-8")
    for paths in re.findall(r"path (/.*)", caddyfile):
        assert set(paths.split()) == NEEDED | {"/health"}
    for route in NEEDED:
        assert f"`{route}`" in README


def test_every_option_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:remote|prompt|completion)\.[a-z_]+)", README))
    assert "remote.url" in named
    assert named <= {item.name for item in options()}


def test_the_compose_file_starts_the_server_with_the_flags_that_are_explained() -> None:
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))["services"]
    flags = set(re.findall(r"--[a-z-]+", services["model"]["command"]))
    explained = set(re.findall(r"^\| `(--[a-z-]+)", README, re.MULTILINE))
    assert flags - {"--model"} == explained
    assert "ports" not in services["model"], "the model's own port is for the proxy alone"
    for name in ("compose.yaml", "Caddyfile"):
        assert f"({name})" in README

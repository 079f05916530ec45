"""What the Dockerfile promises, as far as it can be read; `make package` tries it without an image."""

from __future__ import annotations

import re
import shlex
from pathlib import Path, PurePosixPath

import aix_lsp

ROOT = Path(aix_lsp.__file__).parent.parent
TEXT = (ROOT / "Dockerfile").read_text("utf-8")
LINES = [line for line in TEXT.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]


def instructions(name: str) -> list[str]:
    return [line.partition(" ")[2].strip() for line in LINES if line.startswith(f"{name} ")]


def variables() -> dict[str, str]:
    words = [word for line in instructions("ENV") for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words)


def test_the_base_is_pinned_by_its_digest_and_one_argument_names_another() -> None:
    assert instructions("FROM") == ["${BASE}"]
    (base,) = [line for line in instructions("ARG") if line.startswith("BASE=")]
    assert re.fullmatch(r"BASE=ubuntu:24\.04@sha256:[0-9a-f]{64}", base)


def test_the_server_runs_as_a_user_with_a_number_who_is_not_root() -> None:
    (user,) = instructions("USER")
    assert all(int(part) >= 10_000 for part in user.split(":"))
    assert f"--uid {user.partition(':')[0]}" in TEXT


def test_all_that_is_written_lies_in_tmp_which_the_command_mounts() -> None:
    assert "--read-only --tmpfs /tmp:exec" in TEXT
    written = {name: path for name, path in variables().items() if name == "HOME" or name.endswith("CACHE_DIR")}
    assert len(written) == 3
    assert all(PurePosixPath(path).is_relative_to("/tmp") for path in written.values()), written
    assert not any(name.startswith("XDG_") for name in variables()), "they follow from HOME"


def test_weights_come_from_a_volume_and_nothing_is_fetched() -> None:
    assert instructions("VOLUME") == [f'["{variables()["HF_HOME"]}"]']
    assert variables()["HF_HUB_OFFLINE"] == "1"
    assert not instructions("ADD")
    assert not re.search(r"\b(curl|wget)\b", "\n".join(LINES))


def test_the_health_check_asks_the_server() -> None:
    (check,) = instructions("HEALTHCHECK")
    assert check.endswith('CMD ["aix-lsp", "inspect", "--health"]')
    assert instructions("ENTRYPOINT") == ['["aix-lsp"]']
    assert instructions("CMD") == ['["serve", "--stdio"]']


def test_no_secret_is_built_in() -> None:
    named = [line.partition("=")[0] for line in (*instructions("ARG"), *variables())]
    assert not [name for name in named if re.search(r"TOKEN|SECRET|PASSWORD|KEY", name)]


def test_the_build_sees_only_what_it_copies() -> None:
    ignore = (ROOT / ".dockerignore").read_text("utf-8").split("\n")
    rules = [line for line in ignore if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {word.rstrip("/") for line in instructions("COPY") for word in line.split()[:-1]}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    assert {"**/__pycache__", "**/*.py[cod]"} <= set(rules)

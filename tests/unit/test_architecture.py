"""The import rules of CONTRIBUTING.md, held over every module of the package."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aix_lsp

PACKAGE = Path(aix_lsp.__file__).parent
LAYERS = {
    "server": 1,
    "cli": 0,  # starts the others
    "evaluation": 1,
    "training": 1,
    "completion": 2,
    "engine": 3,
    "retrieval": 3,
    "prompt": 3,
    "workspace": 3,
}
BOTTOM = 4
MAY_KNOW_TORCH = {"engine", "training"}
NO_TORCH = {"engine.base", "engine.remote", "engine.scripted", "engine.host_client", "engine.host_link", "engine.host"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# Parsed while tests are collected: on Python 3.11 `ast` counts its depth for all threads together, and fails when the
# model thread of another test, which imports PyTorch, parses at the same time.
IMPORTS = {path: list(imports(path)) for path in modules()}


def room(dotted: str) -> str:
    return dotted.split(".", 1)[0]


def upward(path: Path) -> Iterator[str]:
    """What a module imports from a room that is not below its own."""
    own = room(name_of(path))
    if own in ("", "__main__"):
        return
    level = LAYERS.get(own, BOTTOM)
    for dotted in IMPORTS[path]:
        other = room(dotted.removeprefix("aix_lsp."))
        if not dotted.startswith("aix_lsp.") or other == own or other.startswith("__"):
            continue
        if LAYERS.get(other, BOTTOM) <= level and (own in LAYERS or other in LAYERS):
            yield f"{name_of(path)} imports {dotted}"


def test_rooms_import_downward_only() -> None:
    assert [line for path in IMPORTS for line in upward(path)] == []


def importing(libraries: set[str]) -> set[str]:
    """The modules that import one of these."""
    return {name_of(path) for path, found in IMPORTS.items() if libraries & {room(dotted) for dotted in found}}


def test_only_the_server_knows_pygls() -> None:
    assert {room(name) for name in importing({"pygls", "lsprotocol"})} == {"server"}


def test_only_engine_and_training_know_torch() -> None:
    users = importing({"torch", "transformers"})
    assert {name for name in users if room(name) not in MAY_KNOW_TORCH or name in NO_TORCH} == set()


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(output.split())


def test_importing_the_server_imports_nothing_slow() -> None:
    slow = {"torch", "transformers", "numpy", "httpx", "tree_sitter", "rich", "sentencepiece", "pydantic", "watchdog"}
    assert loaded_after("import aix_lsp.server.app") & slow == set()


def test_importing_the_package_imports_no_library() -> None:
    assert loaded_after("import aix_lsp") & {"torch", "pydantic", "pygls", "numpy"} == set()


def test_the_engines_modules_import_without_torch() -> None:
    names = ("engine.local", "engine.scripted", "engine.catalog", "engine.model_list", "prompt.build")
    statement = "import " + ", ".join(f"aix_lsp.{name}" for name in names)
    assert loaded_after(statement) & {"torch", "transformers"} == set()

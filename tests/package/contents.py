"""What the wheel must hold and must not: the whole of `aix_lsp`, byte for byte, with what makes it a package, and
nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

KINDS = {
    "aix_lsp/**.py": "code",
    "aix_lsp/py.typed": "it has types",
    "aix_lsp/data/*.json": "headers of languages, keywords",
    "aix_lsp/data/*.css": "the pages of inspect and eval",
    "aix_lsp/data/demo/**": "the demo's workspace",
    "aix_lsp/models/aix-mini/*.json": "the embedded model",
    "aix_lsp/models/aix-mini/README.md": "its card and licence",
    "aix_lsp/models/aix-mini/model.safetensors": "its weights",
    "aix_lsp/models/aix-mini/tokenizer.model": "its tokenizer",
    "aix_lsp/training/corpus/*.toml": "licences and commands of analysis",
    "aix_lsp/training/recipes/*.toml": "recipes",
}
"""Every kind of file that belongs into the wheel, and for what."""

METADATA = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")

LARGE = {
    "aix_lsp/models/aix-mini/model.safetensors": 26_000_000,
    "aix_lsp/models/aix-mini/tokenizer.json": 1_000_000,
    "aix_lsp/models/aix-mini/tokenizer.model": 200_000,
}
"""The files that may be larger than `MOST_BYTES`, and how large each."""

MOST_BYTES = 100_000
MOST_ALTOGETHER = 32_000_000

NEVER = ("tests", "test", "benchmarks", "docs", "editors", "node_modules", "build", "dist", "conftest.py")
"""No part of a path in the wheel has one of these names, or begins with `.` or `__py`."""


def packed_files(root: Path = ROOT) -> dict[str, Path]:
    """Files of `aix_lsp` that are built into the wheel, by their names there: all but what .gitignore names."""
    found = {}
    for folder, folders, files in os.walk(root / "aix_lsp"):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.endswith("_cache")]
        for name in files:
            if not fnmatch(name, "*.py[cod]"):
                path = Path(folder, name)
                found[path.relative_to(root).as_posix()] = path
    return found


def unwanted(sizes: Mapping[str, int]) -> list[str]:
    """What must not be packed: one line for each file (its size in bytes) that is of no known kind, of a name that
    says what it is, or larger than it should be."""
    problems = []
    for name, size in sorted(sizes.items()):
        parts = name.split("/")
        if not any(_fits(name, kind) for kind in KINDS):
            problems.append(f"{name}: no kind of file that belongs into the wheel")
        elif any(part in NEVER or part.startswith((".", "__py")) for part in parts):
            problems.append(f"{name}: does not belong into the wheel")
        elif size > LARGE.get(name, MOST_BYTES):
            problems.append(f"{name}: {size:,} bytes, at most {LARGE.get(name, MOST_BYTES):,} are meant")
    if sum(sizes.values()) > MOST_ALTOGETHER:
        problems.append(f"{sum(sizes.values()):,} bytes altogether, at most {MOST_ALTOGETHER:,} are meant")
    return problems


def _fits(name: str, kind: str) -> bool:
    """Whether a name is of a kind, in which `*` stands for a name and `**` for a path."""
    return fnmatch(name, kind) and ("**" in kind or name.count("/") == kind.count("/"))


def unused_kinds(names: Iterable[str]) -> list[str]:
    """Kinds of which there is no file: something is missing."""
    listed = list(names)
    return [kind for kind in KINDS if not any(_fits(name, kind) for name in listed)]


def differences(packed: Mapping[str, bytes], expected: Mapping[str, Path], info: str) -> list[str]:
    """How a wheel (its files with their contents) differs from the checkout's files; `info` is the name of its folder
    of metadata."""
    wanted: Sequence[str] = [*expected, *(f"{info}/{name}" for name in METADATA)]
    problems = [f"{name} is missing" for name in wanted if name not in packed]
    problems += [f"{name} is too much" for name in packed if name not in wanted]
    problems += [
        f"{name} is not the checkout's"
        for name, path in expected.items()
        if name in packed and packed[name] != path.read_bytes()
    ]
    return problems

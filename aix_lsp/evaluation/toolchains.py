"""Which languages besides Python programs can be run in here, with what command: MultiPL-E's, where a compiler or
interpreter is installed (Cassano et al. 2022, whose evaluation runs the same programs)."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from aix_lsp.evaluation.sandbox import Sandbox, SandboxResult
from aix_lsp.evaluation.sandbox_places import places

_PROBE_S: Final = 30


@dataclass(frozen=True, slots=True)
class Toolchain:
    """How programs of one language run. `id` is the editor's name for it, `name` the file name that a prompt's header
    shows. `file` holds the program, `needs` are commands, `script` runs in a shell and ends with status 0 where the
    tests passed; `right` is a program of which it does. `seconds` are of the processor."""

    id: str
    name: str
    file: str
    needs: tuple[str, ...]
    script: str
    right: str
    seconds: float = 20
    memory_mb: int = 1024
    disk_mb: int = 128
    environment: Mapping[str, str] = field(default_factory=dict)


TOOLCHAINS: Final[Mapping[str, Toolchain]] = MappingProxyType(
    {
        "js": Toolchain("javascript", "test.js", "main.js", ("node",), "node main.js", "require('node:assert')(true);"),
        "ts": Toolchain(
            "typescript",
            "test.ts",
            "main.ts",
            ("tsc", "node"),
            "tsc --target esnext --module commonjs main.ts && node main.js",
            "declare var require: any;\nconst assert = require('node:assert');\nconst n: number = 1;\nassert(n === 1);",
            seconds=40,
        ),
        "java": Toolchain(
            "java",
            "Test.java",
            "Problem.java",
            ("javac", "java"),
            'javac -J-Xmx512m -encoding UTF-8 -d . $(find . -name "*.java") && java -ea -Xmx512m -cp . Problem',
            "class Problem { public static void main(String[] args) { } }",
            seconds=40,
            memory_mb=1536,
        ),
        "cpp": Toolchain(
            "cpp",
            "test.cpp",
            "main.cpp",
            ("g++",),
            "g++ -std=c++17 main.cpp -o main && ./main",
            "#include <cassert>\nint main() { assert(true); }",
            seconds=40,
        ),
        "rs": Toolchain(
            "rust", "test.rs", "main.rs", ("rustc",), "rustc main.rs -o main && ./main", "fn main() { assert!(true); }"
        ),
        "go": Toolchain(
            "go",
            "test.go",
            "main_test.go",
            ("go",),
            "go test main_test.go",
            'package main\nimport "testing"\nfunc TestRight(t *testing.T) {}',
            seconds=120,
            memory_mb=2048,
            disk_mb=1024,
            # its cache is below HOME, which is the program's folder in a sandbox and without one
            environment={"GO111MODULE": "off", "GOFLAGS": ""},
        ),
        "php": Toolchain("php", "test.php", "main.php", ("php",), "php main.php", "<?php exit(0);"),
        "sh": Toolchain("shellscript", "test.sh", "main.sh", ("bash",), "bash main.sh", "set -e\ntrue"),
    }
)
"""By MultiPL-E's name of the language. Others need libraries that it installs beside them."""

SAME: Final[Mapping[str, str]] = MappingProxyType({"go_test.go": "go", "javascript": "js", "rust": "rs", "bash": "sh"})
"""Other names of the same in its data."""


def why_not(language: str, sandbox: Sandbox) -> str:
    """Why programs of a language cannot run here, in a few words; "" where they can. A right program is tried once."""
    return _tried(language, sandbox)


@lru_cache
def _tried(language: str, sandbox: Sandbox) -> str:
    toolchain = TOOLCHAINS.get(language)
    if toolchain is None:
        return "this project knows no way to run it"
    missing = [name for name in toolchain.needs if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed"
    try:
        result = run_program(language, toolchain.right, sandbox)
    except ValueError as error:
        return str(error)
    if result.status == "passed":
        return ""
    return f"{toolchain.needs[0]} does not work in the sandbox: {_reason(result)}"


def _reason(result: SandboxResult) -> str:
    """What a compiler says in the line that names an error, or how it ended."""
    lines = [line.strip() for line in (result.stdout + result.stderr).splitlines() if "rror" in line]
    return lines[0][:200] if lines else result.why


def run_program(language: str, program: str, sandbox: Sandbox) -> SandboxResult:
    """Run a program with its tests; `language` is a name in `TOOLCHAINS`. Raises ValueError where its commands cannot
    be shown to it."""
    toolchain = TOOLCHAINS[language]
    path, sees = _commands(toolchain.needs)
    return sandbox.run(
        {toolchain.file: program, **_libraries(program)},
        ["/bin/sh", "-c", toolchain.script],
        seconds=toolchain.seconds,
        memory_mb=toolchain.memory_mb,
        address_space=False,
        disk_mb=toolchain.disk_mb,
        environment={"PATH": path, **toolchain.environment},
        sees=sees,
    )


@lru_cache
def _commands(needs: tuple[str, ...]) -> tuple[str, tuple[Path, ...]]:
    """The PATH with these commands, and folders outside of the system's that they are in."""
    seen = [Path(folder) for folder in places().shown]
    entries = [Path("/usr/local/bin"), Path("/usr/bin"), Path("/bin")]
    more: list[Path] = []
    for name in needs:
        found = Path(shutil.which(name) or name)
        if any(found.is_relative_to(folder) for folder in (*seen, Path("/bin"), Path("/sbin"))):
            entries.insert(0, found.parent)
            continue
        real = found.resolve()
        if real.name == "rustup":
            # which stands for the toolchain that it has installed
            home = Path(_said(str(found), "--print", "sysroot"))
            real = home / "bin" / name
        entries.insert(0, real.parent)
        # packages of Node.js use each other
        modules = [folder for folder in real.parents if folder.name == "node_modules"]
        more.append(modules[-1] if modules else real.parent.parent)
    places(more)
    return ":".join(str(entry) for entry in dict.fromkeys(entries)), tuple(dict.fromkeys(more))


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ValueError(f"{command[0]} does not answer") from error
    return done.stdout.strip()


_TUPLES: Final = ("Unit", "Pair", "Triplet", "Quartet", "Quintet")


def _libraries(program: str) -> dict[str, str]:
    """What MultiPL-E's programs import and no toolchain has: tuples for Java, of which they use `with`, `getValueN` and
    `equals`."""
    if "org.javatuples" not in program:
        return {}
    return {
        f"org/javatuples/{name}.java": _tuple(name, size)
        for size, name in enumerate(_TUPLES, 1)
        if size == 1 or re.search(rf"\b{name}\b", program)
    }


def _tuple(name: str, size: int) -> str:
    """A Java class of `size` values."""
    kinds = [f"T{number}" for number in range(size)]
    listed, values = ", ".join(kinds), ", ".join(f"v{number}" for number in range(size))
    taken = ", ".join(f"{kind} v{number}" for number, kind in enumerate(kinds))
    getters = "\n".join(
        f"    public {kind} getValue{number}() {{ return v{number}; }}" for number, kind in enumerate(kinds)
    )
    fields = "\n".join(f"    private final {kind} v{number};" for number, kind in enumerate(kinds))
    assigned = " ".join(f"this.v{number} = v{number};" for number in range(size))
    return f"""package org.javatuples;

public final class {name}<{listed}> {{
{fields}
    public {name}({taken}) {{ {assigned} }}
    public static <{listed}> {name}<{listed}> with({taken}) {{ return new {name}<{listed}>({values}); }}
{getters}
    private java.util.List<Object> all() {{ return java.util.Arrays.<Object>asList({values}); }}
    @Override public boolean equals(Object other) {{
        return other instanceof {name} && all().equals((({name}<{", ".join("?" * size)}>) other).all());
    }}
    @Override public int hashCode() {{ return all().hashCode(); }}
    @Override public String toString() {{ return all().toString(); }}
}}
"""

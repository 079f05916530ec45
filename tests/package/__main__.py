"""`python -m tests.package` (make package): what is built from this repository, in environments where nothing else is.

python -m tests.package [--only WORDS] [--without-tests] [--json]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.findings import Finding, report
from tests.package import building, container, light, whole
from tests.package.rows import row


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, install and look; the exit code is 1 where a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.package", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", choices=("", "build", "container", whole.VERSION, *light.VERSIONS))
    parser.add_argument("--without-tests", action="store_true", help="leave the unit tests out")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="aix-package-") as name:
        findings = list(_all(Path(name).resolve(), given.only, tests=not given.without_tests))
    seconds = time.monotonic() - began
    return report(f"package: {len(findings)} rows in {seconds:.0f} s", findings, as_json=given.json)


def _all(folder: Path, only: str, *, tests: bool) -> Iterator[Finding]:
    """Every row, or those of one part."""
    built: list[building.Built] = []

    def build() -> str:
        built.append(building.build(folder))
        return built[0].wheel.name

    yield row("wheel and source archive are built", build)
    if not built:
        return
    wheel = built[0].wheel
    if only in ("", "build"):
        yield from building.rows(built[0])
    if only in ("", "container", whole.VERSION):
        yield from whole.rows(wheel, folder)
    if only in ("", "container") and whole.program_in(folder).is_file():
        yield from container.rows(whole.program_in(folder).parent.parent, folder)
    for version in light.VERSIONS:
        if only in ("", version):
            yield from light.rows(wheel, folder, version, tests=tests)


if __name__ == "__main__":
    sys.exit(main())

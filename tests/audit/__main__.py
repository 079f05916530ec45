"""`python -m tests.audit` (make audit): versions, licences and known vulnerabilities of what this project depends on.

python -m tests.audit [--offline] [--write] [--json]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

from tests.audit import constraints, extension, licences, vulnerabilities
from tests.findings import Finding, report


def main(arguments: Sequence[str] | None = None) -> int:
    """Look at everything; the exit code is 1 where a promise is broken. What cannot be reached is skipped."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit", description=__doc__.partition("\n")[0])
    parser.add_argument("--offline", action="store_true", help="leave out what asks a database")
    parser.add_argument("--write", action="store_true", help="write docs/licences.md anew, and look at nothing")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    if given.write:
        before = licences.DOCUMENT.read_text("utf-8") if licences.DOCUMENT.exists() else ""
        licences.DOCUMENT.write_text(licences.document(before), "utf-8")
        return 0
    began = time.monotonic()
    findings = list(_all(offline=given.offline))
    return report(f"audit: {len(findings)} rows in {time.monotonic() - began:.0f} s", findings, as_json=given.json)


def _all(*, offline: bool) -> Iterator[Finding]:
    yield from constraints.rows()
    yield from licences.rows()
    yield from extension.rows()
    if not offline:
        yield from vulnerabilities.rows()


if __name__ == "__main__":
    sys.exit(main())

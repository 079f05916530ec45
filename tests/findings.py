"""What `make faults`, `make fuzz`, `make soak` and `make audit` print: a short table, and an exit code that says
whether everything held."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "broken", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise: whether it held, and what was seen (a figure with its unit, or why it was not looked at)."""

    name: str
    state: State
    seen: str = ""


def report(title: str, findings: Sequence[Finding], *, as_json: bool = False) -> int:
    """Print the table (or one JSON object) to standard output; 0 where every promise that was looked at held and at
    least one was, else 1."""
    broken = sum(finding.state == "broken" for finding in findings)
    held = sum(finding.state == "ok" for finding in findings)
    if as_json:
        print(json.dumps({"title": title, "findings": [asdict(finding) for finding in findings]}, ensure_ascii=False))
    else:
        width = max((len(finding.name) for finding in findings), default=0)
        print(title)
        for finding in findings:
            print(f"  {finding.state:<7}  {finding.name:<{width}}  {finding.seen}".rstrip())
        print(f"{held} held, {broken} broken, {len(findings) - held - broken} skipped")
    return 0 if held and not broken else 1

"""What each step of a corpus kept and dropped: counted while it is built, shown as a table, kept as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aix_lsp.training.corpus.records import Dropped
from aix_lsp.training.corpus.store import Corpus, CorpusError, ProjectEntry, write_json

if TYPE_CHECKING:
    from rich.console import RenderableType

REPORT = "report.json"
STEPS = {
    "files": "source files",
    "near duplicates": "near duplicates",
    "privacy": "secrets and personal data",
    "comments": "commented-out code",
    "syntax": "syntax",
    "analysis": "static analysis",
}
"""The steps that files go through after projects were chosen, in order, with what a report calls them."""
_REASONS_SHOWN = 6


@dataclass(slots=True)
class Step:
    """What came into a step and what went on. A step may shorten texts, so characters are counted on both sides."""

    files_in: int = 0
    characters_in: int = 0
    files_kept: int = 0
    characters_kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def kept(self, before: int, after: int | None = None) -> None:
        """A file of so many characters went on, with `after` characters when they changed."""
        self.files_in += 1
        self.characters_in += before
        self.files_kept += 1
        self.characters_kept += before if after is None else after

    def dropped(self, characters: int, reason: str) -> None:
        """A file was left out."""
        self.files_in += 1
        self.characters_in += characters
        self.reasons[reason] += 1

    def add(self, other: Step) -> None:
        """Count what another count of the same step holds."""
        self.files_in += other.files_in
        self.characters_in += other.characters_in
        self.files_kept += other.files_kept
        self.characters_kept += other.characters_kept
        self.reasons.update(other.reasons)

    def data(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "files_in": self.files_in,
            "characters_in": self.characters_in,
            "files_kept": self.files_kept,
            "characters_kept": self.characters_kept,
            "files_dropped": self.files_in - self.files_kept,
            "reasons": dict(sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))),
        }


@dataclass(slots=True)
class Tally:
    """The counts of all steps, and what was replaced or cut inside files that stayed."""

    steps: dict[str, Step] = field(default_factory=lambda: {name: Step() for name in STEPS})
    redactions: Counter[str] = field(default_factory=Counter)
    comment_blocks: int = 0

    def add(self, other: Tally) -> None:
        """Count what another tally holds."""
        for name, step in other.steps.items():
            self.steps[name].add(step)
        self.redactions.update(other.redactions)
        self.comment_blocks += other.comment_blocks

    def data(self) -> dict[str, Any]:
        """As JSON, from which `from_data` makes the same tally."""
        return {
            "steps": {name: step.data() for name, step in self.steps.items()},
            "redactions": dict(sorted(self.redactions.items())),
            "comment_blocks": self.comment_blocks,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Tally:
        """The tally that `data` was made of."""
        steps = {}
        for name in STEPS:
            one = data["steps"][name]
            steps[name] = Step(
                one["files_in"],
                one["characters_in"],
                one["files_kept"],
                one["characters_kept"],
                Counter(one["reasons"]),
            )
        return cls(steps, Counter(data["redactions"]), data["comment_blocks"])


def report_data(tally: Tally, projects: Sequence[ProjectEntry], left_out: Sequence[Dropped]) -> dict[str, Any]:
    """The report as JSON: projects, steps with their reasons, redactions by kind, languages and licences."""
    languages: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    for entry in projects:
        languages.update(entry.languages)
        licences[entry.licence or "unknown"] += 1
    reasons = Counter(dropped.reason for dropped in left_out)
    return {
        "projects": {
            "in": len(projects) + len(left_out),
            "kept": len(projects),
            "reasons": _by_count(reasons),
            "dropped": [{"project": one.what, "reason": one.reason, "detail": one.detail} for one in left_out],
            "licences": _by_count(licences),
        },
        **tally.data(),
        "languages": _by_count(languages),
        "files": sum(entry.files for entry in projects),
        "characters": sum(entry.characters for entry in projects),
    }


def _by_count(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def write_report(folder: Path, data: Mapping[str, Any]) -> None:
    """Put the report beside the corpus."""
    write_json(folder / REPORT, data)


def read_report(folder: Path) -> dict[str, Any]:
    """The report of a whole corpus. Raises CorpusError where there is none, or where it cannot be read."""
    Corpus.open(folder)
    try:
        data = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CorpusError(f"{folder} lacks {REPORT}; build the corpus again") from error
    except ValueError as error:
        raise CorpusError(f"{folder / REPORT} is damaged; build the corpus again") from error
    if not isinstance(data, dict) or not {"projects", "steps", "files", "characters"} <= data.keys():
        raise CorpusError(f"{folder / REPORT} is no report of a corpus; build the corpus again")
    return data


def tables_of(data: Mapping[str, Any]) -> list[RenderableType]:
    """The report as tables and lines for a terminal."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{data['files']:,} files, {data['characters']:,} characters", title_justify="left")
    table.add_column("step", no_wrap=True)
    for column in ("in", "kept", "dropped", "characters in", "kept"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    projects = data["projects"]
    dropped = projects["in"] - projects["kept"]
    table.add_row(
        "projects",
        *(f"{count:,}" for count in (projects["in"], projects["kept"], dropped)),
        "",
        "",
        _counted(projects["reasons"]),
    )
    for name, step in data["steps"].items():
        cells = (step[key] for key in ("files_in", "files_kept", "files_dropped", "characters_in", "characters_kept"))
        table.add_row(STEPS.get(name, name), *(f"{cell:,}" for cell in cells), _counted(step["reasons"]))
    lines: list[RenderableType] = [table]
    for title, counts in (
        ("languages (files)", data.get("languages", {})),
        ("licences (projects)", projects.get("licences", {})),
        ("replaced", data.get("redactions", {})),
        ("blocks of commented-out code removed", {"": data.get("comment_blocks", 0)}),
        ("tokens", data.get("tokens", {})),
    ):
        if any(counts.values()):
            shown = ", ".join(f"{name} {count:,}".strip() for name, count in _by_count(counts).items())
            lines.append(escape(f"{title}: {shown}"))
    return lines


def _counted(reasons: Mapping[str, int]) -> str:
    items: Iterable[tuple[str, int]] = list(_by_count(reasons).items())[:_REASONS_SHOWN]
    more = len(reasons) - _REASONS_SHOWN
    return ", ".join(f"{name} {count:,}" for name, count in items) + (f", {more} more" if more > 0 else "")

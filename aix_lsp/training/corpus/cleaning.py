"""What happens to the files of one project after they were read: secrets, dead comments, syntax, bugs, order.

One call a project, so that projects can be cleaned in processes of their own; nothing here looks at another project.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aix_lsp import languages
from aix_lsp.training.corpus.ordering import order
from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.corpus.report import Tally
from aix_lsp.training.corpus.store import ProjectEntry, write_shard

if TYPE_CHECKING:
    from aix_lsp.training.corpus.analysis_rules import Rules


@dataclass(frozen=True, slots=True)
class Options:
    """What decides a corpus besides its sources.

    `languages` are names of `languages.language_of`, or None for all that the corpus knows. `tests_share` is
    how many of the test files are kept, from 0 to 1, or None for all. `analysis` is whether files with high-risk
    findings are dropped, by `rules` or, with None, those that come with the package. Of a project with more than
    `characters_per_project` characters, runs of neighbouring files with so many are drawn (`sampling.runs`).
    """

    allow_unknown: bool = False
    languages: tuple[str, ...] | None = None
    tests_share: float | None = None
    seed: int = 0
    analysis: bool = True
    rules: Rules | None = None
    characters_per_project: int | None = None

    def data(self) -> dict[str, Any]:
        """As JSON; of rules a fingerprint."""
        told = None if self.rules is None else hashlib.sha256(repr(self.rules).encode()).hexdigest()[:16]
        languages = None if self.languages is None else list(self.languages)
        return {**asdict(replace(self, rules=None)), "languages": languages, "rules": told}


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A finished project: what is in its shard, and the counts of all steps that led there."""

    entry: ProjectEntry
    tally: Tally

    def data(self) -> dict[str, Any]:
        """As JSON, from which `from_data` makes the same value."""
        return {"entry": asdict(self.entry), "tally": self.tally.data()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Cleaned:
        """The value that `data` was made of."""
        return cls(ProjectEntry(**data["entry"]), Tally.from_data(data["tally"]))


def clean(files: Sequence[SourceFile], options: Options, tally: Tally) -> list[SourceFile]:
    """The files of one project that are fit for training, with what must not be learned replaced, in order.

    Counts every step in `tally`.
    """
    from aix_lsp.training.corpus.commented_code import drop_commented_code
    from aix_lsp.training.corpus.parsing import parses_cleanly
    from aix_lsp.training.corpus.privacy import redact

    steps = tally.steps
    parsed: list[SourceFile] = []
    for file in files:
        redacted = redact(file.text, file.path)
        tally.redactions.update(redacted.counts)
        steps["privacy"].kept(len(file.text), len(redacted.text))
        grammar = languages.language_of(file.path, file.language).grammar or ""
        draw = random.Random(f"{options.seed}:{file.project}/{file.path}")
        text, blocks = drop_commented_code(redacted.text, grammar, draw)
        tally.comment_blocks += blocks
        steps["comments"].kept(len(redacted.text), len(text))
        if parses_cleanly(text, grammar):
            steps["syntax"].kept(len(text))
            parsed.append(replace(file, text=text))
        else:
            steps["syntax"].dropped(len(text), "does not parse cleanly")
    sound = _sound(parsed, options, tally)
    return order(sound, options.seed)


def _sound(files: list[SourceFile], options: Options, tally: Tally) -> list[SourceFile]:
    """The files without findings of high risk."""
    step = tally.steps["analysis"]
    findings: Mapping[str, Any] = {}
    if options.analysis and files:
        from aix_lsp.training.corpus.analysis import Analyser

        analyser = Analyser(options.rules)
        findings = analyser.check(files)
    kept = []
    for file in files:
        reason = None
        if file.path in findings:
            reason = analyser.reason(findings[file.path], file.text.count("\n") + 1)
        if reason is None:
            step.kept(len(file.text))
            kept.append(file)
        else:
            step.dropped(len(file.text), reason)
    return kept


def clean_project(
    folder: Path, name: str, licence: str, files: Sequence[SourceFile], options: Options, tally: Tally
) -> Cleaned:
    """Clean and order the files of a project, and write its shard into the corpus `folder`. `tally` goes on from the
    steps before. A project without a file left has no shard."""
    kept = clean(files, options, tally)
    entry = write_shard(folder, name, licence, kept) if kept else ProjectEntry(name, "", licence, 0, 0, {})
    return Cleaned(entry, tally)

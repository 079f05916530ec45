"""CrossCodeEval: lines that use what other files define, in Python, Java, TypeScript and C# (Ding et al. 2023).

The published files hold each place with snippets that BM25 found for it; those of the `oracle` files were found with
the wanted line in the query, which is a ceiling. A statement is what counts: the stop rule cuts an answer as the
paper's `eval_utils.py` does, and comments are dropped before it is compared, as there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.languages import language_id_of
from aix_lsp.settings import RetrievalSettings, Settings
from aix_lsp.types import DocumentSnapshot, Snippet
from aix_lsp.uris import path_to_uri

from .benchmark import DataError, Loaded, Metric, Output, Sample
from .data_lines import evenly, read_samples, text_of
from .data_sources import HUB, SOURCES, fetched, where
from .metrics.identifiers import identifier_match
from .metrics.text import edit_similarity

Setting = Literal["none", "bm25", "reference", "own"]

SNIPPETS: Final = 3
"""Published snippets in a prompt: as many as the reference's Table 8 takes."""

MAX_NEW_TOKENS: Final = 50
"""As the paper's scripts have it (`--gen_length`)."""

_FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "none": ("line_completion.jsonl", "line_completion_rg1_bm25.jsonl"),
    "bm25": ("line_completion_rg1_bm25.jsonl",),
    "reference": ("line_completion_oracle_bm25.jsonl",),
    "own": ("line_completion.jsonl", "line_completion_rg1_bm25.jsonl"),
}
"""By setting, the file of a language's folder: the first that is there. Their places are the same."""

_LANGUAGES: Final = ("python", "java", "typescript", "csharp")
_ENDINGS: Final[Mapping[str, str]] = {
    ".py": "python",
    ".java": "java",
    ".ts": "typescript",
    ".tsx": "typescript",
    ".cs": "csharp",
}
_SNIPPETS_ARE: Final[Mapping[str, str]] = {
    "none": "no snippets of other files",
    "bm25": f"the first {SNIPPETS} published BM25 snippets",
    "reference": f"the first {SNIPPETS} published snippets that were found with the wanted line",
    "own": "snippets that this project's retrieval finds in the repository",
}


class CrossCodeEval:
    """The benchmark in one setting. `data` is the unpacked folder, a language's folder in it, one of its files, or
    `hub`; `repositories` has the checkouts, named as the data names them, for the setting `own`.

    Raises DataError for a setting that nobody knows and for `own` without repositories.
    """

    def __init__(self, data: Path, setting: str = "none", *, repositories: Path | None = None) -> None:
        if setting not in get_args(Setting):
            raise DataError(f"--setting takes {', '.join(get_args(Setting))}, not {setting!r}")
        if setting == "own" and repositories is None:
            raise DataError(
                "--setting own needs --repositories DIR: a folder with a checkout of each repository, named as in the "
                "data (owner-name-commit)"
            )
        self._data = data
        self._setting = setting
        self._repositories = repositories

    @property
    def name(self) -> str:
        """See `Benchmark.name`."""
        return "crosscodeeval"

    @property
    def protocol(self) -> str:
        """See `Benchmark.protocol`."""
        return (
            f"CrossCodeEval, {_SNIPPETS_ARE[self._setting]}, in this project's layout: the rest of a line that uses "
            f"another file is written greedily in at most {MAX_NEW_TOKENS} tokens, prefix before suffix, in a prompt "
            "of at most 16,384 tokens; its first statement counts, without comments (Ding et al. 2023)."
        )

    @property
    def metrics(self) -> Sequence[Metric]:
        """See `Benchmark.metrics`."""
        return (
            Metric("exact", "Exact match"),
            Metric("edit_similarity", "Edit similarity", unit="points"),
            Metric("identifier_exact", "Identifier match, exact"),
            Metric("identifier_f1", "Identifier match, F1"),
        )

    def load(self, limit: int, seed: int) -> Loaded:
        """See `Benchmark.load`."""
        problems: list[str] = []
        samples: list[Sample] = []
        for path in self._files():
            samples += read_samples(path, self._sample, SOURCES[self.name][0].fields, problems)
        notes: list[str] = []
        if self._setting == "own":
            samples = self._at_hand(samples, notes)
        samples = evenly(samples, limit, seed)
        if self._setting == "own":
            samples = list(self._with_own_snippets(samples))
        return Loaded(samples, problems, notes)

    def score(self, sample: Sample, output: Output) -> Mapping[str, float | None]:
        """See `Benchmark.score`."""
        text, wanted = without_comments(output.text), without_comments(sample.wanted)
        match, f1 = identifier_match(text, wanted, sample.language)
        return {
            "exact": float(_lines(text) == _lines(wanted)),
            "edit_similarity": edit_similarity(text, wanted),
            "identifier_exact": match,
            "identifier_f1": f1,
        }

    def _files(self) -> list[Path]:
        if self._data == HUB and not self._data.exists():
            return fetched(self.name, _FILES[self._setting][:1])
        if self._data.is_file():
            return [self._data]
        if not self._data.is_dir():
            raise DataError(f"{self._data} is not there; {where(self.name)}")
        roots = (self._data, self._data / "crosscodeeval_data", self._data / "data" / "crosscodeeval_data")
        folders = [folder for root in roots for name in _LANGUAGES if (folder := root / name).is_dir()]
        found: list[Path] = []
        for folder in folders or [self._data]:
            files = [path for name in _FILES[self._setting] if (path := folder / name).is_file()]
            found += files[:1]
        if not found:
            raise DataError(
                f"{self._data} has no {_FILES[self._setting][0]}, neither in it nor in {', '.join(_LANGUAGES)}; "
                f"{where(self.name)}"
            )
        return found

    def _sample(self, row: Mapping[str, Any]) -> Sample:
        about = row.get("metadata")
        if not isinstance(about, Mapping):
            raise ValueError("metadata is missing")
        file = text_of(about, "file")
        language = _ENDINGS.get(Path(file).suffix)
        if language is None:
            raise ValueError(f"the language of {file!r} is none of {', '.join(_LANGUAGES)}")
        wanted = text_of(row, "groundtruth")
        if not wanted.strip():
            raise ValueError("there is nothing to complete")
        return Sample(
            id=text_of(about, "task_id"),
            language=language,
            scenario=self._setting,
            name=file,
            before=text_of(row, "prompt"),
            after=text_of(row, "right_context"),
            wanted=wanted,
            snippets=_snippets(row) if self._setting in ("bm25", "reference") else (),
            stop="statement",
            max_new_tokens=MAX_NEW_TOKENS,
            format="psm",
            extra={"repository": text_of(about, "repository")},
        )

    def _at_hand(self, samples: Sequence[Sample], notes: list[str]) -> list[Sample]:
        """Those samples whose repository is there."""
        assert self._repositories is not None
        names = {sample.extra["repository"] for sample in samples}
        there = {name for name in names if _is_name(name) and (self._repositories / name).is_dir()}
        kept = [sample for sample in samples if sample.extra["repository"] in there]
        if not kept:
            raise DataError(f"{self._repositories} has none of the {len(names)} repositories, such as {min(names)}")
        if len(there) < len(names):
            notes.append(
                f"{len(samples) - len(kept)} of {len(samples)} places not run: {len(names) - len(there)} of "
                f"{len(names)} repositories are not in {self._repositories.name}"
            )
        return kept

    def _with_own_snippets(self, samples: Sequence[Sample]) -> Iterator[Sample]:
        """The samples with what the server would quote, one repository after the other."""
        assert self._repositories is not None
        settings = Settings(retrieval=RetrievalSettings(stable=False))  # each place for itself
        found: dict[str, tuple[Snippet, ...]] = {}
        for repository in dict.fromkeys(sample.extra["repository"] for sample in samples):
            folder = (self._repositories / repository).resolve()
            context = WorkspaceContext(settings)
            context.index_now(folder)
            for sample in samples:
                if sample.extra["repository"] == repository:
                    path = folder / sample.name
                    text = sample.before + sample.after
                    language = language_id_of(path.name)
                    document = DocumentSnapshot(path_to_uri(path), text, language, 0, sample.name, path)
                    found[sample.id] = tuple(context.snippets(document, len(sample.before), settings))
        for sample in samples:
            yield replace(sample, snippets=found[sample.id])


def without_comments(code: str) -> str:
    """Code without what stands behind `#` or `//` in its lines, in every language and also inside of strings, as the
    paper's `remove_comments` has it."""
    return re.sub(r"#.*|//.*", "", code)


def _lines(code: str) -> list[str]:
    return [stripped for line in code.split("\n") if (stripped := line.strip())]


def _snippets(row: Mapping[str, Any]) -> tuple[Snippet, ...]:
    """The published snippets, best first; none for a place that the data has none for. Without scores their order
    counts."""
    if "crossfile_context" not in row:
        raise ValueError("crossfile_context is missing")
    if not row["crossfile_context"]:
        return ()
    listed = row["crossfile_context"]["list"]
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise ValueError("crossfile_context has no list")
    chunks = sorted(listed, key=lambda chunk: -float(chunk.get("score") or 0))
    return tuple(
        Snippet(
            text_of(chunk, "filename"),
            1,
            1 + text_of(chunk, "retrieved_chunk").count("\n"),
            float(chunk.get("score") or 0),
            "similar",
            text_of(chunk, "retrieved_chunk"),
        )
        for chunk in chunks[:SNIPPETS]
    )


def _is_name(name: str) -> bool:
    """Whether it is the name of a folder and leads nowhere else."""
    return name not in ("", ".", "..") and not any(sign in name for sign in "/\\")

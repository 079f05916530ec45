"""What each way of retrieving finds, on the cross-file cases of checkouts.

Our own schemes go through the same `WorkspaceContext` as an editor's requests. CrossCodeEval's and plain BM25Okapi
have an index of their own over the same chunks, whose terms are words as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rapidfuzz import fuzz

from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.evaluation.cases import Case, find_cases, words
from aix_lsp.languages import language_id_of
from aix_lsp.retrieval.bm25 import Bm25Index, ChunkTerms, Hit
from aix_lsp.retrieval.chunks import chunk_lines, split_lines
from aix_lsp.retrieval.crosscodeeval import MORE_HITS, flat_terms, followers
from aix_lsp.retrieval.segment import PackedSegment
from aix_lsp.retrieval.tokens import hash_terms
from aix_lsp.settings import RetrievalSettings, Settings
from aix_lsp.types import DocumentSnapshot, Snippet
from aix_lsp.uris import path_to_uri

SNIPPETS = 3
QUERY_LINES = 10
CHUNK_LINES = 10

NO_RETRIEVAL = "no retrieval"
CROSSCODEEVAL = "CrossCodeEval"
OKAPI = "BM25Okapi"
SIMILAR = "similar"
SAME_LENGTH = "similar, cut to CrossCodeEval's length"
NO_SUFFIX = "similar, no suffix"
WITH_DEFINITION = "similar + definition"
CEILING = "ceiling: line known"

Finder = Callable[[Case], Sequence[Snippet]]


@dataclass(frozen=True, slots=True)
class Score:
    """What one scheme found for one case. `found` and `found_absent` are shares of the case's `wanted` and `absent`
    identifiers (the latter None where there are none), `similarity` is from 0 to 100."""

    found: float
    found_absent: float | None
    top_three: bool
    among_all: bool
    similarity: float
    characters: int


@dataclass(frozen=True, slots=True)
class Result:
    """All scores of one case, by scheme."""

    repository: str
    language: str
    scores: Mapping[str, Score]


def score(case: Case, snippets: Sequence[Snippet]) -> Score:
    """Compare snippets with what the case wants."""
    text = "\n".join(snippet.text for snippet in snippets)
    quoted = words(text)
    lines = [line.strip() for line in text.split("\n")]
    return Score(
        found=len(case.wanted & quoted) / len(case.wanted),
        found_absent=len(case.absent & quoted) / len(case.absent) if case.absent else None,
        top_three=any(snippet.path in case.files for snippet in snippets[:3]),
        among_all=any(snippet.path in case.files for snippet in snippets),
        similarity=max((fuzz.ratio(line, case.line) for line in lines if line), default=0.0),
        characters=sum(len(snippet.text) for snippet in snippets),
    )


class WordIndex:
    """BM25Okapi over the chunks of files, with the words as they stand for terms, as published schemes have it."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._index = Bm25Index()
        self._index.load(PackedSegment.build((path, list(_chunks(text))) for path, text in texts.items()))

    def _hits(self, case: Case, limit: int = SNIPPETS) -> list[Hit]:
        terms = flat_terms(case.before, QUERY_LINES)
        return self._index.query(terms, limit=limit, exclude_paths=[case.path])

    def crosscodeeval(self, case: Case) -> list[Snippet]:
        """Each time the chunk behind the one that matches."""
        return followers(self._hits(case, SNIPPETS + MORE_HITS), CHUNK_LINES, self._texts.get, SNIPPETS)

    def okapi(self, case: Case) -> list[Snippet]:
        """The chunks that match."""
        found = []
        for hit in self._hits(case):
            text = "\n".join(split_lines(self._texts[hit.path])[hit.start_line - 1 : hit.end_line])
            found.append(Snippet(hit.path, hit.start_line, hit.end_line, hit.score, "similar", text, hit.terms))
        return found


def _chunks(text: str) -> Iterator[ChunkTerms]:
    lines = split_lines(text)
    for piece in chunk_lines(lines, CHUNK_LINES):
        text = "\n".join(lines[piece.start_line - 1 : piece.end_line])
        terms = np.frombuffer(hash_terms(re.findall(r"\w+", text)), dtype=np.uint64)
        yield ChunkTerms(piece.start_line, piece.end_line, terms)


class Workspace:
    """One checkout with its index, as the server has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._context = WorkspaceContext(_settings())
        self._context.index_now(self.folder)
        (self._own,) = self._context.folders
        paths = sorted(self._own.index.paths())
        self.texts = {path: text for path in paths if (text := self._own.scanner.read(path)) is not None}

    def snippets(self, case: Case, settings: Settings, *, line_known: bool = False) -> list[Snippet]:
        """What the server would quote for a case."""
        before = case.before + case.line if line_known else case.before
        path = self.folder / case.path
        text = before + case.after
        document = DocumentSnapshot(path_to_uri(path), text, language_id_of(path.name), 0, case.path, path)
        return self._context.snippets(document, len(before), settings)


def _settings(*, definitions: bool = False, suffix_lines: int = 5) -> Settings:
    retrieval = RetrievalSettings(
        snippets=SNIPPETS,
        query_lines=QUERY_LINES,
        chunk_lines=CHUNK_LINES,
        suffix_lines=suffix_lines,
        definitions=definitions,
        stable=False,  # each case for itself
    )
    return Settings(retrieval=retrieval)


def schemes_for(workspace: Workspace, cases: Sequence[Case]) -> dict[str, Finder]:
    """All schemes by name, in the order of the report."""
    published = WordIndex(workspace.texts)
    similar, whole = _settings(), _settings(definitions=True)
    no_suffix = _settings(suffix_lines=0)
    characters = [score(case, published.crosscodeeval(case)).characters for case in cases]
    length = sum(characters) // max(len(characters), 1)
    return {
        NO_RETRIEVAL: lambda case: (),
        CROSSCODEEVAL: published.crosscodeeval,
        OKAPI: published.okapi,
        NO_SUFFIX: lambda case: workspace.snippets(case, no_suffix),
        SAME_LENGTH: lambda case: cut(workspace.snippets(case, similar), length),
        SIMILAR: lambda case: workspace.snippets(case, similar),
        WITH_DEFINITION: lambda case: workspace.snippets(case, whole),
        CEILING: lambda case: workspace.snippets(case, whole, line_known=True),
    }


def cut(snippets: Sequence[Snippet], characters: int) -> list[Snippet]:
    """The best snippets in at most so many characters: what is over goes from the end, in whole lines."""
    kept: list[Snippet] = []
    left = characters
    for snippet in snippets:
        text = snippet.text
        while len(text) > left:
            text = text.rpartition("\n")[0]
        if not text:
            break
        end = snippet.start_line + text.count("\n")
        kept.append(replace(snippet, text=text, end_line=end))
        left -= len(text)
    return kept


def evaluate(folder: Path, *, count: int, seed: int = 0) -> list[Result]:
    """Every scheme on up to `count` cases of one checkout. Raises ValueError when it has no cases."""
    workspace = Workspace(folder)
    cases = find_cases(workspace.texts, count=count, seed=seed)
    if not cases:
        raise ValueError(f"{folder} has no line that uses a name of another file, in a language with a grammar")
    schemes = schemes_for(workspace, cases)
    name = workspace.folder.name
    return [
        Result(name, case.language, {scheme: score(case, find(case)) for scheme, find in schemes.items()})
        for case in cases
    ]

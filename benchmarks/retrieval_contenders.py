"""The indexes that `retrieval.py` compares, behind one small interface. All are given the same chunks as tokens.

A contender whose package is not installed raises ImportError when it is made.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil
from retrieval_workload import Place, document_at

from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.completion.folder import Folder
from aix_lsp.retrieval.bm25 import Bm25Index, ChunkTerms, PackedSegment
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot

K1, B = 1.5, 0.75
TOP = 10

Chunks = Sequence[tuple[int, int, list[str]]]


class Contender(Protocol):
    """One index. `build` is called once."""

    rebuilds: bool
    """Whether a change of one file means building everything again."""

    def build(self, files: Mapping[str, Chunks]) -> None: ...

    def top(self, weights: Mapping[str, float]) -> list[tuple[float, str, int]]:
        """The best chunks as (score, path, first line), best first."""
        ...

    def update(self, path: str, chunks: Chunks) -> None:
        """These are the chunks of a file from now on; the next query sees them."""
        ...


class Ours:
    """`aix_lsp.retrieval.bm25` with the tokens given: neither reading nor definitions."""

    rebuilds = False

    def __init__(self) -> None:
        self._index = Bm25Index()

    def build(self, files: Mapping[str, Chunks]) -> None:
        self._index.load(PackedSegment.build((path, _hashed(chunks)) for path, chunks in files.items()))

    def top(self, weights: Mapping[str, float]) -> list[tuple[float, str, int]]:
        return [(hit.score, hit.path, hit.start_line) for hit in self._index.query(weights, limit=TOP)]

    def update(self, path: str, chunks: Chunks) -> None:
        self._index.replace(path, _hashed(chunks))

    def pack_if_due(self) -> None:
        """What the server does in a thread of its own."""
        if self._index.packing_due:
            self._index.pack()


def _hashed(chunks: Chunks) -> list[ChunkTerms]:
    return [ChunkTerms.of(start, end, tokens) for start, end, tokens in chunks]


class _Places:
    """Which chunk a number stands for."""

    def __init__(self, files: Mapping[str, Chunks]) -> None:
        self._listed = [(path, start) for path, chunks in files.items() for start, _, _ in chunks]

    def named(self, numbers: Iterable[int], scores: Iterable[float]) -> list[tuple[float, str, int]]:
        return [(float(score), *self._listed[int(n)]) for n, score in zip(numbers, scores, strict=True)]


class RankBm25:
    """rank_bm25's BM25Okapi. Its own queries have no weights."""

    rebuilds = True

    def __init__(self) -> None:
        from rank_bm25 import BM25Okapi

        self._make = BM25Okapi

    def build(self, files: Mapping[str, Chunks]) -> None:
        self._okapi = self._make([tokens for chunks in files.values() for _, _, tokens in chunks], k1=K1, b=B)
        self._places = _Places(files)

    def top(self, weights: Mapping[str, float]) -> list[tuple[float, str, int]]:
        return self._best(self._okapi.get_scores(list(weights)))

    def weighted_top(self, weights: Mapping[str, float]) -> list[tuple[float, str, int]]:
        """The weighted sum of its scores, which is what ours answers."""
        return self._best(sum(weight * self._okapi.get_scores([term]) for term, weight in weights.items()))

    def _best(self, scores: Any) -> list[tuple[float, str, int]]:
        best = np.argsort(-scores, kind="stable")[:TOP]
        return self._places.named(best.tolist(), scores[best].tolist())

    @property
    def comparable(self) -> bool:
        """False where its average IDF is not positive and ours takes another formula."""
        return bool(self._okapi.average_idf > 1e-12)

    def update(self, path: str, chunks: Chunks) -> None:
        raise NotImplementedError


class Bm25s:
    """bm25s with its numpy backend; no weights in its queries."""

    rebuilds = True

    def __init__(self) -> None:
        import bm25s

        self._module = bm25s

    def build(self, files: Mapping[str, Chunks]) -> None:
        self._index = self._module.BM25(k1=K1, b=B)
        self._index.index([tokens for chunks in files.values() for _, _, tokens in chunks], show_progress=False)
        self._places = _Places(files)

    def top(self, weights: Mapping[str, float]) -> list[tuple[float, str, int]]:
        known = [term for term in weights if term in self._index.vocab_dict]
        if not known:
            return []
        numbers, scores = self._index.retrieve([known], k=min(TOP, len(self._places._listed)), show_progress=False)
        return self._places.named(numbers[0].tolist(), scores[0].tolist())

    def update(self, path: str, chunks: Chunks) -> None:
        raise NotImplementedError


class Tantivy:
    """tantivy in memory with one writing thread, tokens as words between blanks, weights as boosts."""

    rebuilds = False

    def __init__(self) -> None:
        import tantivy

        self._t = tantivy
        schema = tantivy.SchemaBuilder()
        schema.add_text_field("terms", tokenizer_name="whitespace", index_option="freq")
        schema.add_text_field("path", stored=True, tokenizer_name="raw", index_option="basic")
        schema.add_unsigned_field("line", stored=True)
        self._schema = schema.build()
        self._index = tantivy.Index(self._schema)

    def build(self, files: Mapping[str, Chunks]) -> None:
        writer = self._index.writer(num_threads=1)
        for path, chunks in files.items():
            self._add(writer, path, chunks)
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()
        self._writer: Any = None

    def _add(self, writer: Any, path: str, chunks: Chunks) -> None:
        for start, _, tokens in chunks:
            writer.add_document(self._t.Document(terms=" ".join(tokens), path=path, line=start))

    def top(self, weights: Mapping[str, float]) -> list[tuple[float, str, int]]:
        query, occur = self._t.Query, self._t.Occur.Should
        parts = [
            (occur, query.boost_query(query.term_query(self._schema, "terms", term, "freq"), weight))
            for term, weight in weights.items()
        ]
        searcher = self._index.searcher()
        found = []
        for score, address in searcher.search(query.boolean_query(parts), limit=TOP, count=False).hits:
            document = searcher.doc(address)
            found.append((score, document.get_first("path"), document.get_first("line")))
        return found

    def update(self, path: str, chunks: Chunks) -> None:
        if self._writer is None:
            self._writer = self._index.writer(num_threads=1)
        self._writer.delete_documents_by_term("path", path)
        self._add(self._writer, path, chunks)
        self._writer.commit()
        self._index.reload()


CONTENDERS: Mapping[str, Callable[[], Contender]] = {
    "ours": Ours,
    "rank_bm25": RankBm25,
    "bm25s": Bm25s,
    "tantivy": Tantivy,
}


@dataclass(frozen=True, slots=True)
class Started:
    """Seconds on the clock and of CPU (all processes) until similar chunks were found, and of CPU from there until
    definitions were."""

    ready_s: float
    ready_cpu_s: float
    definitions_cpu_s: float


class Server:
    """The whole of retrieval as the server has it: an indexer process, files read and cut, definitions, quotes, and
    the index that is kept in the folder `cache`."""

    def __init__(self, root: Path, cache: Path) -> None:
        self._root = root
        self._settings = Settings()
        self._states: asyncio.Queue[str] = asyncio.Queue()
        self.context = WorkspaceContext(self._settings, lambda folder, state: self._states.put_nowait(state), cache)

    @property
    def folder(self) -> Folder:
        """The one folder there is."""
        return self.context.folders[0]

    async def start(self) -> Started:
        """Index the folder, or take the kept index over."""
        folder = self.context.add_folder(self._root)
        began, cpu = time.perf_counter(), _cpu_of_all()
        self.context.start_indexing(self._root)
        indexer = _Indexer()
        while True:
            try:
                state = await asyncio.wait_for(self._states.get(), 0.05)
            except TimeoutError:
                indexer.look()
                continue
            if state == "ready":
                break
            if state != "indexing":
                raise SystemExit(state)
        ready = time.perf_counter() - began
        indexer.look()
        found = _cpu_of_all() + indexer.seconds - cpu
        if folder.building is not None:
            await folder.building
        return Started(ready, found, _cpu_of_all() - cpu - found)

    def query(self, place: Place, text: str) -> int:
        """Answer at a place; the number of snippets."""
        document: DocumentSnapshot = document_at(place, text, str(self._root))
        return len(self.context.snippets(document, place.offset, self._settings))

    def update(self, path: str, text: str) -> None:
        """What happens when a file was saved, apart from reading it."""
        self.folder.index.update(path, text)

    def pack_if_due(self) -> None:
        """What the server does in a thread of its own."""
        if self.folder.index.packing_due:
            self.folder.index.pack()


class _Indexer:
    """CPU time of a child process while it still runs."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def look(self) -> None:
        """Take its times, if it is there."""
        seconds = 0.0
        for child in psutil.Process().children(recursive=True):
            try:
                times = child.cpu_times()
            except psutil.Error:
                continue
            seconds += times.user + times.system
        self.seconds = seconds


def _cpu_of_all() -> float:
    """CPU seconds of this process and of those children that have ended."""
    times = psutil.Process().cpu_times()
    return time.process_time() + times.children_user + times.children_system

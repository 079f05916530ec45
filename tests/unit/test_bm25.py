"""The incremental index against rank_bm25's BM25Okapi, which defines its scores."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from aix_lsp.retrieval import bm25, scoring, view
from aix_lsp.retrieval.bm25 import Bm25Index, ChunkTerms, Hit, PackedSegment

Corpus = dict[str, list[list[str]]]
ALL = 10_000


def chunks_of(listed: Sequence[Sequence[str]]) -> list[ChunkTerms]:
    return [ChunkTerms.of(10 * i + 1, 10 * i + 10, tokens) for i, tokens in enumerate(listed)]


def segment_of(corpus: Corpus) -> PackedSegment:
    return PackedSegment.build((path, chunks_of(listed)) for path, listed in corpus.items())


def index_of(corpus: Corpus) -> Bm25Index:
    index = Bm25Index()
    for path, listed in corpus.items():
        index.replace(path, chunks_of(listed))
    return index


def oracle(corpus: Corpus, weights: Mapping[str, float]) -> dict[tuple[str, int], float]:
    """Scores of all chunks by (path, first line): a weighted sum of BM25Okapi's scores of the terms."""
    keys = [(path, 10 * i + 1) for path, listed in corpus.items() for i in range(len(listed))]
    documents = [tokens for listed in corpus.values() for tokens in listed]
    if not any(documents):
        return dict.fromkeys(keys, 0.0)
    okapi = BM25Okapi(documents)
    if okapi.average_idf <= 1e-12:  # ranks backwards; the stated replacement
        counts = {term: sum(term in tokens for tokens in documents) for term in okapi.idf}
        n = len(documents)
        okapi.idf = {term: math.log(1 + (n - count + 0.5) / (count + 0.5)) for term, count in counts.items()}
    total = sum((weight * okapi.get_scores([term]) for term, weight in weights.items()), np.zeros(len(documents)))
    return dict(zip(keys, total.tolist(), strict=True))


def check(index: Bm25Index, corpus: Corpus, weights: Mapping[str, float]) -> None:
    """All scores, their order, and the order of equal ones are the oracle's."""
    expected = {key: score for key, score in oracle(corpus, weights).items() if score > 0}
    hits = index.query(weights, limit=ALL)
    assert {(hit.path, hit.start_line): hit.score for hit in hits} == pytest.approx(expected, rel=1e-6)
    assert len(hits) == len(expected)
    for hit, following in pairwise(hits):
        if math.isclose(hit.score, following.score, rel_tol=1e-12):
            assert (hit.path, hit.start_line) < (following.path, following.start_line)
        else:
            assert hit.score > following.score
    for limit in (1, 3):
        assert index.query(weights, limit=limit) == hits[:limit]
    assert len(index) == sum(map(len, corpus.values()))
    assert index.paths() == {path for path, listed in corpus.items() if listed}


TOKENS = st.lists(st.sampled_from("abcdefgh"), max_size=8)
PATHS = st.sampled_from([f"{name}.py" for name in "pqrstu"])
FILE = st.lists(TOKENS, max_size=4)
WEIGHTS = st.dictionaries(st.sampled_from("abcdefghz"), st.sampled_from([0.3, 0.7, 1.0, 2.5]), max_size=6)
CHANGE = st.one_of(
    st.tuples(st.just("replace"), PATHS, FILE),
    st.tuples(st.just("remove"), PATHS),
    st.tuples(st.just("remove_many"), st.lists(PATHS, max_size=3)),
    st.tuples(st.just("load"), st.dictionaries(PATHS, FILE, max_size=4)),
)
STEP = st.one_of(CHANGE, st.tuples(st.just("pack"), st.lists(CHANGE, max_size=3)), st.tuples(st.just("query"), WEIGHTS))


def change(index: Bm25Index, corpus: Corpus, step: tuple) -> None:
    match step:
        case ("replace", path, listed):
            index.replace(path, chunks_of(listed))
            corpus[path] = listed
        case ("remove", path):
            index.remove(path)
            corpus.pop(path, None)
        case ("remove_many", paths):
            index.remove_many(paths)
            for path in paths:
                corpus.pop(path, None)
        case ("load", files):
            index.load(segment_of(files))
            corpus.update(files)


def pack_while(index: Bm25Index, act: Callable[[], None]) -> None:
    """Pack, with other changes in the middle of it."""
    real, waiting = bm25.merge, [act]

    def merge(parts: Sequence) -> PackedSegment:
        if waiting:
            waiting.pop()()
        return real(parts)

    with mock.patch.object(bm25, "merge", merge):
        index.pack()


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEP, max_size=14), weights=WEIGHTS)
def test_after_any_changes_scores_and_ranking_are_those_of_a_fresh_okapi(
    steps: list[tuple], weights: dict[str, float]
) -> None:
    index, corpus = Bm25Index(), Corpus()
    for step in steps:
        match step:
            case ("pack", changes):
                pack_while(index, lambda changes=changes: [change(index, corpus, item) for item in changes])
            case ("query", asked):
                check(index, corpus, asked)
            case _:
                change(index, corpus, step)
    check(index, corpus, weights)


def test_many_changes_merge_small_segments_and_stay_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bm25, "_MERGE_LIMIT", 40)
    random = np.random.default_rng(7)
    words = [f"w{i}" for i in range(60)]
    index, corpus = Bm25Index(), Corpus()
    for number in range(150):
        path = f"f{random.integers(40)}"
        listed = [random.choice(words, size=int(random.integers(1, 20))).tolist() for _ in range(random.integers(1, 5))]
        change(index, corpus, ("replace", path, listed))
        if number % 30 == 0:
            check(index, corpus, {"w1": 1.0, "w2": 0.7, "w3": 0.49, "w50": 0.3})
    assert index.packing_due or len(index) < 200
    index.pack()
    check(index, corpus, {"w1": 1.0, "w2": 0.7, "w3": 0.49, "w50": 0.3})


def test_hundreds_of_equal_chunks_are_ordered_by_path_and_line() -> None:
    corpus = {f"f{i:03}": [["same", "words"], ["other"], ["same", "words"]] for i in range(200)}
    hits = Bm25Index()
    hits.load(segment_of(corpus))
    found = hits.query({"same": 1.0}, limit=5)
    assert [(hit.path, hit.start_line) for hit in found] == [
        ("f000", 1),
        ("f000", 21),
        ("f001", 1),
        ("f001", 21),
        ("f002", 1),
    ]


def test_two_chunks_rank_forwards() -> None:
    corpus = {"a.py": [["load", "config"]], "b.py": [["config", "print"]]}
    hits = index_of(corpus).query({"load": 1.0, "config": 1.0}, limit=5)
    assert [hit.path for hit in hits] == ["a.py", "b.py"]
    check(index_of(corpus), corpus, {"load": 1.0, "config": 1.0})


def test_one_chunk_is_found() -> None:
    assert [hit.path for hit in index_of({"a": [["x1"]]}).query({"x1": 1.0}, limit=3)] == ["a"]


def test_terms_are_the_querys_words_with_their_shares_largest_first() -> None:
    index = index_of({"a": [["rare", "common"]], "b": [["common"]], "c": [["other"]], "d": [["thing"]], "e": [["one"]]})
    (hit, *_) = index.query({"common": 1.0, "rare": 1.0, "absent": 1.0}, limit=1)
    assert [term for term, _ in hit.terms] == ["rare", "common"]
    assert sum(share for _, share in hit.terms) == pytest.approx(1.0)


def test_excluded_files_do_not_count() -> None:
    index = index_of({"a": [["x1"]], "b": [["x1"]], "c": [["y1"]]})
    assert [hit.path for hit in index.query({"x1": 1.0}, limit=3, exclude_paths=["a", "zzz"])] == ["b"]


@pytest.mark.parametrize("weights", [{}, {"nothing": 1.0}, {"x1": 0.0}, {"x1": -1.0}])
def test_a_query_that_matches_nothing_gives_nothing(weights: dict[str, float]) -> None:
    assert index_of({"a": [["x1"]]}).query(weights, limit=3) == []


def test_an_empty_index_gives_nothing() -> None:
    index = Bm25Index()
    index.remove("a")
    index.replace("a", [])
    index.pack()
    assert index.query({"x1": 1.0}, limit=3) == []
    assert len(index) == 0
    index.replace("a", chunks_of([[]]))
    assert index.query({"x1": 1.0}, limit=3) == []


def test_a_loaded_segment_does_not_undo_changes_made_since_its_build_began() -> None:
    index = index_of({"a": [["old"]], "b": [["old"]], "gone": [["old"]]})
    mark = index.mark()
    segment = segment_of({"a": [["built"]], "b": [["built"]], "gone": [["built"]]})
    index.replace("b", chunks_of([["live"]]))
    index.remove("gone")
    index.load(segment, since=mark)
    check(index, {"a": [["built"]], "b": [["live"]]}, {"built": 1.0, "live": 1.0, "old": 1.0})


def test_files_that_come_and_go_for_weeks_leave_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bm25, "_REMEMBERED_CHANGES", 8)
    index = Bm25Index()
    index.replace("stays.py", chunks_of([["lasting"]]))
    long_ago = index.mark()
    for number in range(50):
        index.replace(f"made_{number}.py", chunks_of([["passing"]]))
        index.remove(f"made_{number}.py")
    assert len(index._changed) == 8
    now = index.mark()
    assert index.changed_since("made_49.py", long_ago)
    assert index.changed_since("made_0.py", long_ago)  # nobody knows any more, so it is looked at
    assert not index.changed_since("made_0.py", now)
    assert not index.changed_since("stays.py", now)
    # what changed since is still not overwritten
    index.load(segment_of({"made_49.py": [["passing"]]}), since=long_ago)
    assert index.paths() == {"stays.py"}


def test_a_segment_survives_the_way_through_bytes() -> None:
    corpus = {"a/é.py": [["x1", "x1", "y1"], ["z1"]], "b.py": [["y1"]]}
    data = segment_of(corpus).to_bytes()
    index = Bm25Index()
    index.load(PackedSegment.from_bytes(data))
    check(index, corpus, {"x1": 1.0, "y1": 0.7})
    index.replace("b.py", chunks_of([["x1"]]))
    check(index, {**corpus, "b.py": [["x1"]]}, {"x1": 1.0, "y1": 0.7})
    assert PackedSegment.from_bytes(PackedSegment.build([]).to_bytes()).paths == ()


@pytest.mark.parametrize("where", [0, 20, 40, -1])
def test_damaged_bytes_are_refused_in_one_line(where: int) -> None:
    data = bytearray(segment_of({"a": [["x1"]]}).to_bytes())
    data[where] ^= 1
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        PackedSegment.from_bytes(bytes(data))


@pytest.mark.parametrize("size", [0, 5, 14, 30, 100])
def test_cut_bytes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        PackedSegment.from_bytes(segment_of({"a": [["x1"]]}).to_bytes()[:size])


def test_a_path_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        PackedSegment.build([("a", chunks_of([["x1"]])), ("a", chunks_of([["y1"]]))])


def test_a_large_build_goes_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aix_lsp.retrieval.segment._BATCH_TOKENS", 10)
    corpus = {f"f{i}": [[f"w{i % 7}", f"w{i % 3}", "all"], [f"v{i}"] * 3] for i in range(30)}
    index = Bm25Index()
    index.load(segment_of(corpus))
    check(index, corpus, {"w1": 1.0, "all": 0.5, "v3": 2.0})


def test_readers_see_one_whole_state_while_a_writer_works() -> None:
    index = index_of({f"f{i}": [["base", f"w{i}"]] for i in range(20)})
    versions: list[Corpus] = [{"x": [["term", "base"]]}, {"x": [["term"], ["term", "term"], ["other"]]}]
    allowed: list[list[Hit]] = []
    for version in versions:
        index.replace("x", chunks_of(version["x"]))
        allowed.append(index.query({"term": 1.0}, limit=9))
    seen: list[list[Hit]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(index.query({"term": 1.0}, limit=9))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        index.replace("x", chunks_of(versions[number % 2]["x"]))
        if number % 20 == 0:
            index.pack()
    done.set()
    reader.join()
    assert seen
    assert all(any(_alike(hits, other) for other in allowed) for hits in seen)


def _alike(hits: list[Hit], other: list[Hit]) -> bool:
    return [hit[:3] for hit in hits] == [hit[:3] for hit in other] and [hit.score for hit in hits] == pytest.approx(
        [hit.score for hit in other], rel=1e-9
    )


@given(
    seed=st.integers(0, 1_000),
    share=st.sampled_from([0.01, 0.03, 0.1, 0.3, 0.6]),
    limit=st.sampled_from([1, 3, 18]),
    edits=st.integers(0, 4),
    impacts=st.booleans(),
)
@settings(max_examples=20, deadline=None)
def test_frequent_terms_that_are_not_read_change_nothing(
    seed: int, share: float, limit: int, edits: int, impacts: bool
) -> None:
    random = np.random.default_rng(seed)
    words = np.array([f"w{i}" for i in range(60)])
    shares = 1.0 / np.arange(1, 61)
    shares /= shares.sum()

    def file() -> list[list[str]]:
        return [list(random.choice(words, int(random.integers(1, 30)), p=shares)) for _ in range(6)]

    corpus = {f"{i:02d}.py": file() for i in range(30)}
    index = Bm25Index()
    with mock.patch.object(view, "_WITH_IMPACTS", 1 if impacts else 1_000_000):
        index.load(segment_of(corpus))
    for number in range(edits):
        corpus[f"{number:02d}.py"] = file()
        index.replace(f"{number:02d}.py", chunks_of(corpus[f"{number:02d}.py"]))
    weights = dict(zip(random.choice(words, 25, replace=False), random.uniform(0.05, 1.0, 25).tolist(), strict=True))
    with mock.patch.object(scoring, "_FREQUENT_SHARE", share):
        hits = index.query(weights, limit=limit, exclude_paths=["05.py"])
    scores = {key: score for key, score in oracle(corpus, weights).items() if key[0] != "05.py"}
    ranked = sorted(scores.items(), key=lambda item: (-float(f"{item[1]:.10g}"), item[0]))[:limit]
    assert [(hit.path, hit.start_line) for hit in hits] == [key for key, _ in ranked]
    assert [hit.score for hit in hits] == pytest.approx([score for _, score in ranked], rel=1e-6)
    assert [sum(part for _, part in hit.terms) for hit in hits] == pytest.approx([1.0] * len(hits))

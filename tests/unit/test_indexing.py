"""Indexing with what was kept from the last time: the same result as without, and fewer files read."""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aix_lsp.completion import index_cache, indexing
from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.completion.folder import Folder, Takeover
from aix_lsp.completion.index_cache import entries, entry_of, tidy
from aix_lsp.completion.index_job import ChunksPart, DefinitionsPart, IndexJob, Part, ScannedPart
from aix_lsp.completion.indexer import header_of, part_of
from aix_lsp.completion.indexing import index
from aix_lsp.retrieval.definitions_packed import PackedDefinitions
from aix_lsp.retrieval.segment import PackedSegment
from aix_lsp.retrieval.store import read_packed
from aix_lsp.retrieval.view import View
from aix_lsp.settings import Settings, WorkspaceSettings
from aix_lsp.workspace.scanner import Scanner

SURE_SECONDS = 0.11  # after it a change is not too fresh to be trusted by its time

Chunks = set[tuple[str, int, int, tuple[int, ...]]]
Definitions = set[tuple[str, int, int]]


@pytest.fixture
def job(tmp_path: Path) -> IndexJob:
    root = tmp_path / "root"
    root.mkdir()
    return IndexJob(str(root), cache=str(tmp_path / "cache" / "index"))


@pytest.fixture
def every_change_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "_FEW", 0)


def put(job: IndexJob, **texts: str) -> None:
    for name, text in texts.items():
        Path(job.root, f"{name}.py").write_text(text)


def chunks_of(segment: PackedSegment) -> Iterator[tuple[str, int, int, tuple[int, ...]]]:
    for number, path in enumerate(segment.paths):
        for chunk in range(int(segment.files[number]), int(segment.files[number + 1])):
            postings = slice(int(segment.chunk_starts[chunk]), int(segment.chunk_starts[chunk + 1]))
            terms = sorted(segment.vocabulary[segment.chunk_terms[postings]].tolist())
            yield path, int(segment.start_lines[chunk]), int(segment.end_lines[chunk]), tuple(terms)


class Result:
    """What one run handed over, put together."""

    def __init__(self, job: IndexJob) -> None:
        self.chunks: Chunks = set()
        self.definitions: Definitions = set()
        self.parts: list[Part] = []
        for part in index(job):
            if isinstance(part, ScannedPart):
                continue
            self.parts.append(part)
            if isinstance(part, DefinitionsPart):
                packed = PackedDefinitions.from_bytes(part.packed)
                files = [packed.paths[number] for number in packed.files.tolist()]
                self.definitions = set(zip(files, packed.names.tolist(), packed.start_lines.tolist(), strict=True))
                continue
            if part.stored is not None:
                kept = PackedSegment.from_bytes(read_packed(Path(part.stored.path), part.stored.identity))
                alive = set(View.of(kept).without(part.gone)[0].paths())
                self.chunks |= {item for item in chunks_of(kept) if item[0] in alive}
            if part.packed:
                self.chunks |= set(chunks_of(PackedSegment.from_bytes(part.packed)))
            self.report = part.report

    @property
    def read(self) -> int:
        """How many files were read for their chunks."""
        return self.report.files - self.report.reused


def fresh(job: IndexJob) -> Result:
    return Result(replace(job, cache=None))


def same(one: Result, other: Result) -> bool:
    return one.chunks == other.chunks and one.definitions == other.definitions


def test_the_second_time_no_file_is_read(job: IndexJob, monkeypatch: pytest.MonkeyPatch) -> None:
    put(job, heron="def heron(): pass\n", stork="class Stork: pass\n", empty="")
    Path(job.root, "data.py").write_bytes(b"\0\1")
    Path(job.root, "key.py").write_text("key = '-----BEGIN " + "PRIVATE KEY-----'\n")
    time.sleep(SURE_SECONDS)
    first = Result(job)
    assert (first.report.files, first.report.reused) == (3, 0)

    def refuse(scanner: Scanner, path: str, limit: int) -> bytes | None:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(Scanner, "_read_bytes", refuse)
    second = Result(job)
    assert (second.report.files, second.report.reused) == (3, 3)
    assert second.report.left_out == first.report.left_out
    assert same(first, second)


def test_what_there_is_to_read_is_told_before_it_is_read(job: IndexJob) -> None:
    put(job, heron="def heron(): pass\n", stork="class Stork: pass\n")
    first = next(index(job))
    assert isinstance(first, ScannedPart)
    assert (first.report.files, first.report.reused) == (2, 0)


def test_only_what_changed_is_read(job: IndexJob) -> None:
    put(job, heron="def heron(): pass\n", stork="class Stork: pass\n", gull="gull = 1\n")
    time.sleep(SURE_SECONDS)
    Result(job)
    put(job, stork="class Crane: pass\n", tern="tern = 1\n")
    Path(job.root, "gull.py").unlink()
    result = Result(job)
    assert (result.report.files, result.read) == (3, 2)
    assert same(result, fresh(job))


def test_a_file_that_kept_its_size_and_time_is_read_again_when_it_was_written(job: IndexJob) -> None:
    put(job, heron="def heron(): pass\n")
    path = Path(job.root, "heron.py")
    time.sleep(SURE_SECONDS)
    Result(job)
    before = path.stat()
    time.sleep(0.02)
    put(job, heron="def crane(): pass\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert same(Result(job), fresh(job))


def test_a_file_that_changes_again_at_once_is_read_again(job: IndexJob) -> None:
    for _ in range(3):
        for name in ("heron", "crane", "stork"):
            put(job, heron=f"def {name}(): pass\n")
            result = Result(job)
            assert {item[0] for item in result.chunks} == {"heron.py"}
            assert same(result, fresh(job))


STEPS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["a.py", "b.js", "sub/c.py", "sub/d.go", ".gitignore"]),
            st.sampled_from(["def one(): pass\n", "x_value = 1\n" * 30, "class Two:\n    pass\n", "b.*\n", "", "gone"]),
        ),
        max_size=4,
    ),
    min_size=2,
    max_size=4,
)


@given(STEPS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("every_change_is_kept")
def test_after_any_changes_the_result_is_that_of_reading_everything(
    job: IndexJob, steps: list[list[tuple[str, str]]]
) -> None:
    shutil.rmtree(job.root)
    for changes in steps:
        for name, text in changes:
            path = Path(job.root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if text == "gone":
                path.unlink(missing_ok=True)
            else:
                path.write_text(text)
        Path(job.root).mkdir(exist_ok=True)
        time.sleep(SURE_SECONDS)
        assert same(Result(job), fresh(job))


@pytest.mark.usefixtures("every_change_is_kept")
def test_what_changed_is_kept_for_the_next_time(job: IndexJob) -> None:
    put(job, heron="def heron(): pass\n", stork="class Stork: pass\n")
    time.sleep(SURE_SECONDS)
    Result(job)
    put(job, heron="def crane(): pass\n")
    time.sleep(SURE_SECONDS)
    assert Result(job).read == 1
    last = Result(job)
    assert last.read == 0
    assert same(last, fresh(job))


@pytest.mark.parametrize("option", [{"chunk_lines": 3}, {"max_file_bytes": 1000}])
def test_other_settings_read_everything_anew(job: IndexJob, option: dict[str, int]) -> None:
    put(job, heron="a_value = 1\n" * 20)
    time.sleep(SURE_SECONDS)
    Result(job)
    other = replace(job, **option)  # type: ignore[arg-type]
    result = Result(other)
    assert result.read == 1
    assert same(result, fresh(other))


def test_another_version_reads_everything_anew(job: IndexJob, monkeypatch: pytest.MonkeyPatch) -> None:
    put(job, heron="a_value = 1\n")
    time.sleep(SURE_SECONDS)
    Result(job)
    monkeypatch.setattr(index_cache, "_code", lambda: "other")
    assert Result(job).read == 1


def test_new_ignore_rules_hold_for_what_was_kept(job: IndexJob) -> None:
    put(job, heron="def heron(): pass\n", stork="class Stork: pass\n")
    time.sleep(SURE_SECONDS)
    Result(job)
    Path(job.root, ".aixignore").write_text("heron.py\n")
    result = Result(job)
    assert {item[0] for item in result.chunks} == {"stork.py"} == {item[0] for item in result.definitions}


@pytest.mark.parametrize("kind", ["chunks", "definitions"])
@pytest.mark.parametrize("place", [0.1, 0.98])
async def test_a_damaged_index_is_made_anew(job: IndexJob, kind: str, place: float) -> None:
    put(job, heron="def heron(): pass\n" * 9)
    time.sleep(SURE_SECONDS)
    Result(job)
    assert job.cache is not None
    path = entry_of(Path(job.cache), job.root) / kind
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 0xFF
    path.write_bytes(data)
    for _ in range(2):
        context = WorkspaceContext(Settings(), cache=Path(job.cache))
        report = context.index_now(Path(job.root))
        (folder,) = context.folders
        assert (report.files, len(folder.index), len(folder.index.definitions)) == (1, 1, 9)
    assert report.reused == 1


@pytest.mark.parametrize("empty", [False, True], ids=["moved", "an empty mount point"])
@pytest.mark.usefixtures("every_change_is_kept")
def test_what_was_kept_of_a_folder_that_is_gone_for_a_while_stays(job: IndexJob, empty: bool) -> None:
    put(job, **{f"heron{number}": f"def heron{number}(): pass\n" for number in range(40)})
    time.sleep(SURE_SECONDS)
    assert Result(job).read == 40
    away = Path(job.root).with_name("away")
    Path(job.root).rename(away)
    if empty:
        Path(job.root).mkdir()
    assert Result(job).read == 0
    if empty:
        Path(job.root).rmdir()
    away.rename(job.root)
    assert Result(job).read == 0


def test_nothing_is_kept_when_that_is_off(job: IndexJob) -> None:
    put(job, heron="def heron(): pass\n")
    assert job.cache is not None
    context = WorkspaceContext(Settings(workspace=WorkspaceSettings(cache_index=False)), cache=Path(job.cache))
    context.index_now(Path(job.root))
    assert not Path(job.cache).exists()


def test_a_cache_that_cannot_be_written_costs_nothing_else(job: IndexJob) -> None:
    put(job, heron="def heron(): pass\n")
    assert job.cache is not None
    Path(job.cache).parent.write_text("a file where the folder should be")
    assert Result(job).read == 1


def test_two_processes_on_one_folder_do_no_harm(job: IndexJob) -> None:
    put(job, **{f"file{number}": f"value_{number} = {number}\n" * 20 for number in range(40)})
    time.sleep(SURE_SECONDS)
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        busy = pool.map_async(_index_often, [job, job])
        while not busy.ready():
            assert same(Result(job), fresh(job))
        assert busy.get() == [40, 40]
    assert Result(job).report.reused == 40
    assert job.cache is not None
    names = {path.name for path in entry_of(Path(job.cache), job.root).iterdir()}
    assert names == {"chunks", "definitions"}


def _index_often(job: IndexJob) -> int:
    for _ in range(4):
        result = Result(replace(job, reuse=False))  # reads all and keeps it
    return result.report.files


def test_files_beside_open_documents_come_first(job: IndexJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "_FIRST_FROM", 5)
    for folder in ("far", "near"):
        Path(job.root, folder).mkdir()
        for number in range(5):
            Path(job.root, folder, f"{folder}{number}.py").write_text(f"def {folder}{number}(): pass\n")
    job = replace(job, first=["near"])
    time.sleep(SURE_SECONDS)
    result = Result(job)
    kinds = [(type(part), part.last) for part in result.parts]
    assert kinds == [(kind, last) for kind in (ChunksPart, DefinitionsPart) for last in (False, True)]
    early = PackedSegment.from_bytes(result.parts[0].packed)
    assert set(early.paths) == {f"near/near{number}.py" for number in range(5)}
    assert PackedDefinitions.from_bytes(result.parts[2].packed).paths == early.paths
    assert same(result, fresh(job))
    again = Result(job)
    assert (len(again.parts), again.read) == (2, 0)
    assert same(again, result)


def test_an_empty_index_takes_over_what_comes_first_and_a_full_one_waits_for_the_whole(
    job: IndexJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_FIRST_FROM", 5)
    for folder in ("far", "near"):
        Path(job.root, folder).mkdir()
        for number in range(5):
            Path(job.root, folder, f"{folder}{number}.py").write_text(f"def {folder}{number}(): pass\n")
    folder = Folder(Path(job.root), Settings())
    sizes = [(0, 0)]
    for _ in range(2):
        takeover = Takeover(folder)
        for part in index(folder.job_with([Path(job.root, "near", "new.py")])):
            takeover.prepare(part)
            takeover.finish(part)
            size = (len(folder.index), len(folder.index.definitions))
            if size != sizes[-1]:
                sizes.append(size)
    assert sizes == [(0, 0), (5, 0), (10, 0), (10, 5), (10, 10)]


_FAILS = """
import os, sys
from aix_lsp.completion import indexer

def index(job, on_work):
    {body}
    yield

indexer.index = index
{before}
indexer.main()
"""


def failing(body: str, job: IndexJob, before: str = "") -> subprocess.Popen[bytes]:
    """The indexer's process with a job in which this happens."""
    process = subprocess.Popen(
        [sys.executable, "-c", _FAILS.format(body=body, before=before)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
    process.stdin.flush()
    return process


def last_words(body: str, job: IndexJob) -> str:
    """What the server is told; it keeps the pipe open until then, whose end would end the process."""
    with failing(body, job) as process:
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert process.returncode == 1
    assert "hunter2" not in said
    return said.splitlines()[-1]


def test_the_last_words_of_an_indexer_quote_no_file(job: IndexJob) -> None:
    assert last_words("raise KeyError('password = hunter2')", job).startswith("KeyError at <string>:")
    full = last_words("raise OSError(28, 'No space left on device', '/x')", job)
    assert full == "OSError: [Errno 28] No space left on device: '/x'"


@pytest.mark.skipif(not hasattr(select, "poll"), reason="the system has no poll")
def test_an_indexer_ends_with_its_server_even_where_no_hang_up_is_told(job: IndexJob) -> None:
    blind = """
class Blind:
    def register(self, *_): pass
    def poll(self, milliseconds): import time; time.sleep(0.05)

parents = iter([7, 7])
indexer.select.poll, indexer.os.getppid = Blind, lambda: next(parents, 1)
"""
    with failing("import time; time.sleep(120)", job, blind) as process:
        assert process.wait(60) == 1


def test_parts_travel_as_they_are(job: IndexJob) -> None:
    put(job, heron="def heron(): pass\n")
    time.sleep(SURE_SECONDS)
    for part in [*index(job), *index(job)]:
        quotable = part.quotable if isinstance(part, ChunksPart) else b""
        assert part_of(header_of(part), quotable, part.packed) == part


def test_old_and_too_many_indexes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "index"
    now = time.time()
    ages = {"own": 900, "young": 1, "middle": 2, "old": 3, "ancient": 100 * 24 * 3600}
    paths = {name: entry_of(root, name) for name in ages}
    for name, age in ages.items():
        paths[name].mkdir(parents=True)
        (paths[name] / "chunks").write_bytes(bytes(100))
        os.utime(paths[name], (now - age, now - age))
    (root / "something else").mkdir()
    (paths["own"] / "chunks.part").write_bytes(b"")
    (paths["own"] / "chunks1.part").write_bytes(b"")
    os.utime(paths["own"] / "chunks1.part", (1, 1))
    os.utime(paths["own"], (now - ages["own"], now - ages["own"]))
    tidy(root, keep=paths["own"])
    assert {entry.path for entry in entries(root)} == {paths[name] for name in ages if name != "ancient"}
    assert {path.name for path in paths["own"].iterdir()} == {"chunks", "chunks.part"}
    tidy(root, keep=paths["own"], most_bytes=200)
    assert {entry.path for entry in entries(root)} == {paths[name] for name in ("own", "young", "middle")}
    assert (root / "something else").exists()

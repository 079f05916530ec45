"""Retrieval against other BM25 indexes, in one run: time to build, memory, queries, updates of one file, a start.

    python benchmarks/retrieval.py                     a workspace of 100,000 chunks, made from installed packages
    python benchmarks/retrieval.py REPOSITORY ...      checkouts as they are
    python benchmarks/retrieval.py --json              one JSON object per workspace and line

Ours, rank-bm25, and where installed (the extra `bench`) bm25s and tantivy get the same chunks, the same tokens and the
same queries, each in a process of its own. `ours_in_server` is the whole of what an editor's request waits for: reading
the document's surroundings, both indexes, and the quotes from disk; its build is the indexer process's, until similar
chunks are found (`definitions_s`: from there until definitions are). `start_from_disk_s` is the clock of a new process
that takes over the index which that one has kept, until similar chunks are found. `query_again_ms` (median and 95th
percentile, of the whole) is for the same places a second time, as while typing on.

Times are CPU time of all threads of a process, in one thread where there is a choice; memory is what the process grew
by while it built. What builds everything again for a change of one file has that as its time of an update. rank-bm25
and bm25s know no weights in queries, and get the terms alone. `same_top_10`: the ten best of ours are those of
rank-bm25, with its scores summed by the same weights.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from retrieval_contenders import CONTENDERS, Ours, RankBm25, Server
from retrieval_workload import Place, Workload, packages_workspace, workload_of

SERVER, START = "ours_in_server", "start_from_disk"
FIGURES = ("build_s", "memory_mb", "query_p50_ms", "query_p95_ms", "update_p50_ms", "update_p95_ms")
COMPARED_QUERIES = 3
WORKLOAD, PLACES, CACHE = "workload.pickle", "places.json", "cache"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def percentiles(name: str, milliseconds: Iterable[float]) -> dict[str, float]:
    """Median and 95th percentile by their names in the output."""
    middle, high = np.percentile(list(milliseconds), [50, 95])
    return {f"{name}_p50_ms": round(float(middle), 3), f"{name}_p95_ms": round(float(high), 3)}


def cpu_ms(act: Callable[..., object], *arguments: object) -> float:
    """CPU time of all threads of this process."""
    began = time.process_time()
    act(*arguments)
    return (time.process_time() - began) * 1000


def resident_mb() -> float:
    """Memory of this process once what is free has been given back."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_info().rss / 1e6


def measure(name: str, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """All figures of one contender, in this process."""
    contender = CONTENDERS[name]()
    work = Workload.load(folder / WORKLOAD)
    slow = isinstance(contender, RankBm25)
    queries = work.queries[: given.okapi_queries] if slow else work.queries
    before = resident_mb()
    build = cpu_ms(contender.build, work.files)
    found: dict[str, Any] = {"build_s": round(build / 1000, 3), "memory_mb": round(resident_mb() - before, 1)}
    found["tops"] = [
        contender.weighted_top(query) if isinstance(contender, RankBm25) else contender.top(query)
        for query in work.queries[:COMPARED_QUERIES]
    ]
    if isinstance(contender, RankBm25):
        found["comparable"] = contender.comparable
    found |= percentiles("query", [cpu_ms(contender.top, query) for query in queries])
    found["queries"] = len(queries)
    if contender.rebuilds:
        return found | percentiles("update", [build])
    draw = random.Random(given.seed)
    paths = [draw.choice(list(work.files)) for _ in range(given.updates)]
    times = []
    for number, path in enumerate(paths):
        start, end, tokens = work.files[path][0]
        edited = [(start, end, [*tokens, f"new_name_{number}"]), *work.files[path][1:]]
        times.append(cpu_ms(contender.update, path, edited))
        if isinstance(contender, Ours):
            contender.pack_if_due()
    return found | percentiles("update", times)


async def measure_server(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """All figures of the whole."""
    work = json.loads((folder / PLACES).read_text())
    root = Path(work["root"])
    places = [Place(path, offset) for path, offset in work["places"]]
    texts = {place.path: _text(root, place.path) for place in places}
    server = Server(root, folder / CACHE)
    before = resident_mb()
    started = await server.start()
    found: dict[str, Any] = {"build_s": round(started.ready_cpu_s, 3)}
    found["definitions_s"] = round(started.definitions_cpu_s, 3)
    found["memory_mb"] = round(resident_mb() - before, 1)
    server.query(places[0], texts[places[0].path])
    asked = [cpu_ms(server.query, place, texts[place.path]) for place in places]
    found |= percentiles("query", asked)
    again = [cpu_ms(server.query, place, texts[place.path]) for place in places]
    found |= percentiles("query_again", again)
    times = []
    for number, place in enumerate(places[: given.updates]):
        text = f"{texts[place.path]}\nnew_name_{number} = {number}\n"
        times.append(cpu_ms(server.update, place.path, text))
        server.pack_if_due()
    await server.context.close()
    return found | percentiles("update", times) | {"queries": len(places)}


async def measure_start(folder: Path) -> dict[str, Any]:
    """A start with the index that `measure_server` has kept."""
    server = Server(Path(json.loads((folder / PLACES).read_text())["root"]), folder / CACHE)
    started = await server.start()
    report = server.folder.report
    await server.context.close()
    if report is None or report.reused < report.files:
        return {"missing": "the kept index was not used"}
    return {"start_from_disk_s": round(started.ready_s, 3), "start_from_disk_cpu_s": round(started.ready_cpu_s, 3)}


def _text(root: Path, path: str) -> str:
    return (root / path).read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")


def compare(root: Path, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """All contenders on one workspace."""
    work = workload_of(root, given.queries, given.seed)
    work.save(folder / WORKLOAD)
    places = [(place.path, place.offset) for place in work.places]
    (folder / PLACES).write_text(json.dumps({"root": str(root), "places": places}))
    result: dict[str, Any] = {
        "workspace": given.title,
        "files": len(work.files),
        "characters": work.characters,
        "chunks": work.chunks,
        "query_terms_mean": round(sum(map(len, work.queries)) / len(work.queries), 1),
    }
    del work
    measured, left_out = {}, {}
    for name in (SERVER, START, *CONTENDERS):
        _say(f"{given.title}: {name}")
        done = _in_a_process(name, folder, given)
        if "missing" in done:
            left_out[name] = done["missing"]
        else:
            measured[name] = done
    result |= measured.pop(START, {})
    for figure in FIGURES:
        result[figure] = {name: done[figure] for name, done in measured.items() if figure in done}
    result["definitions_s"] = measured[SERVER]["definitions_s"]
    result["query_again_ms"] = [measured[SERVER][f"query_again_{name}_ms"] for name in ("p50", "p95")]
    result["queries"] = {name: done["queries"] for name, done in measured.items()}
    ours, okapi = measured["ours"], measured["rank_bm25"]
    result["times_faster_than_rank_bm25"] = round(okapi["query_p50_ms"] / max(ours["query_p50_ms"], 0.001))
    result["same_top_10"] = same(ours["tops"], okapi["tops"]) if okapi["comparable"] else None
    result["left_out"] = left_out
    return result


def same(ours: list[Any], others: list[Any]) -> bool:
    """Whether both found the same chunks with the same scores; equal scores may stand in any order, also at the end."""
    for mine, theirs in zip(ours, others, strict=True):
        theirs = [hit for hit in theirs if hit[0] > 0]
        if len(mine) != len(theirs):
            return False
        if not np.allclose([hit[0] for hit in mine], [hit[0] for hit in theirs], rtol=1e-6, atol=0):
            return False
        last = theirs[-1][0] * (1 + 1e-6) if theirs else 0.0
        if {tuple(hit[1:]) for hit in mine if hit[0] > last} != {tuple(hit[1:]) for hit in theirs if hit[0] > last}:
            return False
    return True


def _in_a_process(name: str, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--contender", name, "--work", str(folder), "--seed", str(given.seed)]
    command += ["--updates", str(given.updates), "--okapi-queries", str(given.okapi_queries)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env={**os.environ, **ONE_THREAD})
    if done.returncode != 0:
        raise SystemExit(f"{name} failed")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _contend(given: argparse.Namespace) -> dict[str, Any]:
    if given.contender == SERVER:
        return asyncio.run(measure_server(given.work, given))
    if given.contender == START:
        return asyncio.run(measure_start(given.work))
    try:
        return measure(given.contender, given.work, given)
    except ImportError as error:
        return {"missing": f"{error.name} is not installed"}


def table(result: dict[str, Any]) -> str:
    """The same for people."""
    lines = [
        f"{result['workspace']}: {result['files']:,} files, {result['chunks']:,} chunks, "
        f"{result['characters'] / 1e6:.1f} M characters",
        f"{'':16}" + "".join(f"{figure:>15}" for figure in FIGURES),
    ]
    for name in result["build_s"]:
        cells = [result[figure].get(name) for figure in FIGURES]
        lines.append(f"{name:16}" + "".join(f"{'-' if cell is None else f'{cell:,.2f}':>15}" for cell in cells))
    same_top = {True: "the same ten", False: "NOT the same ten", None: "not comparable (average IDF not positive)"}
    lines.append(
        f"ours and rank_bm25 find {same_top[result['same_top_10']]}; "
        f"a query is {result['times_faster_than_rank_bm25']:,} times as fast"
    )
    middle, high = result["query_again_ms"]
    lines.append(f"{SERVER} at the same places again: {middle:.2f} and {high:.2f} ms")
    if START + "_s" in result:
        lines.append(
            f"a start with the kept index finds similar chunks after {result[START + '_s']:.2f} s "
            f"({result[START + '_cpu_s']:.2f} s of CPU)"
        )
    lines += [f"{name} is left out: {why}" for name, why in result["left_out"].items()]
    return "\n".join(lines)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Read the command line, print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repositories", nargs="*", type=Path, help="checkouts; without any, installed packages' files")
    parser.add_argument("--json", action="store_true", help="one JSON object per workspace")
    parser.add_argument("--chunks", type=int, default=100_000, help="of the workspace made from installed packages")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--okapi-queries", type=int, default=5, help="queries for rank-bm25, seconds each")
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        print(json.dumps(_contend(given)))
        return
    for repository in given.repositories:
        if not repository.is_dir():
            parser.error(f"{repository} is no folder")
    for repository in given.repositories or [None]:
        with tempfile.TemporaryDirectory(prefix="aix-benchmark-") as name:
            folder = Path(name).resolve()
            root = folder / "workspace" if repository is None else repository.resolve()
            given.title = "installed packages" if repository is None else root.name
            if repository is None:
                _say("making a workspace")
                root.mkdir()
                packages_workspace(root, given.chunks)
            result = compare(root, folder, given)
        print(json.dumps(result) if given.json else table(result), flush=True)


if __name__ == "__main__":
    main()

"""A run on disk: what was asked (`run.json`), a line per sample (`results.jsonl`), and who writes to it (`run.lock`).

Each line is written whole and flushed, so an interrupted run loses the samples in flight and nothing else: a torn last
line is dropped when the run goes on. The lock is the operating system's, and so ends with its process, however that
came.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from aix_lsp.evaluation.benchmark import Output, Result, Sample
from aix_lsp.files import lock_handle, replaced_file

RUN: Final = "run.json"
RESULTS: Final = "results.jsonl"
LOCK: Final = "run.lock"

TOLD: Final = frozenset({"answered_by", "model", "notes", "problems", "samples", "started"})
"""What `run.json` tells besides what makes two runs the same: it follows from that, or makes no difference."""

_ANEW: Final = frozenset({"notes", "problems", "samples"})
"""Of these, what is told with the data each time."""


@dataclass(frozen=True, slots=True)
class RunData:
    """A run as reports and comparisons see it.

    `config`: benchmark, protocol, model_asked, weights and data (digests), engine, format, seed, limit, versions,
    metrics (as dicts), and what is in `TOLD`: `model` is the name of the one that answered. The samples of `results`
    have what is in their lines: no texts around the place.
    """

    config: dict[str, Any]
    results: list[Result]


def unanswered(samples: Sequence[Sample], done: frozenset[str]) -> list[tuple[int, Sample]]:
    """The samples that are still to be asked, with their numbers."""
    return [(number, sample) for number, sample in enumerate(samples) if sample.id not in done]


class Store(Protocol):
    """Where the results of a run go while it runs."""

    @property
    def config(self) -> dict[str, Any]: ...

    @property
    def done(self) -> frozenset[str]:
        """Ids of the samples that need not be asked any more."""
        ...

    @property
    def data(self) -> RunData:
        """The run as it is now, in the order of its samples."""
        ...

    def tell(self, **told: Any) -> None:
        """Add what turned out to the configuration: keys of `TOLD`."""
        ...

    def add(self, number: int, result: Result) -> None:
        """Keep a result. `number` is the sample's place in the run."""
        ...


class FolderError(ValueError):
    """A folder cannot take this run, or has none that can be read; one line."""


def read_run(folder: Path) -> RunData:
    """The run in a folder, finished or not. Raises FolderError with one line."""
    path = folder / RUN
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FolderError(f"{folder} has no {RUN}: it is not the folder of a run (--out)") from None
    except (OSError, ValueError) as error:
        raise FolderError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise FolderError(f"{path} is not of the form of a run")
    return RunData(config, _ordered(_read_results(folder / RESULTS)[0]))


class MemoryRun:
    """A run that nobody keeps. See `Store`."""

    def __init__(self, config: dict[str, Any], results: dict[str, tuple[int, Result]] | None = None) -> None:
        self.config = config
        self._results = results if results is not None else {}

    @property
    def done(self) -> frozenset[str]:
        """See `Store.done`. What ended in an error is asked again."""
        return frozenset(id_ for id_, (_, result) in self._results.items() if not result.output.error)

    @property
    def data(self) -> RunData:
        """See `Store.data`."""
        return RunData(self.config, _ordered(self._results))

    def tell(self, **told: Any) -> None:
        """See `Store.tell`."""
        self.config |= told

    def add(self, number: int, result: Result) -> None:
        """See `Store.add`."""
        self._results[result.sample.id] = number, result


class RunFolder(MemoryRun):
    """A folder while this process writes to it; make it with `opened`."""

    def __init__(self, path: Path, config: dict[str, Any], results: dict[str, tuple[int, Result]]) -> None:
        super().__init__(config, results)
        self.path = path
        self._file: BinaryIO | None = None

    def tell(self, **told: Any) -> None:
        """See `Store.tell`; it is in `run.json` when this returns. Raises OSError."""
        super().tell(**told)
        write_json(self.path / RUN, self.config)

    def add(self, number: int, result: Result) -> None:
        """See `Store.add`; it is on disk when this returns. Raises OSError."""
        if self._file is None:
            self._file = (self.path / RESULTS).open("ab")
        line = json.dumps(_row(number, result), ensure_ascii=False, allow_nan=False) + "\n"
        self._file.write(line.encode("utf-8", "surrogatepass"))
        self._file.flush()
        super().add(number, result)

    def close(self) -> None:
        """No more results."""
        if self._file is not None:
            self._file.close()
            self._file = None


@contextmanager
def opened(path: Path, config: dict[str, Any]) -> Iterator[RunFolder]:
    """The folder for a run with this configuration: a new one, or the one of the same run, to go on with.

    Raises FolderError when another process writes to it, when it has a run with another configuration, or when
    something else is in it, or when it cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise FolderError(f"{path} is no folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    with _locked(path):
        results = _taken_up(path, config)
        folder = RunFolder(path, config, results)
        try:
            yield folder
        finally:
            folder.close()


def _unwritable(path: Path, error: OSError) -> FolderError:
    return FolderError(f"{path} cannot be written to ({error.strerror or error}); give --out a folder that can")


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON for people and programs, whole or not at all."""
    with replaced_file(path) as file:
        file.write((json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass"))


def _taken_up(path: Path, config: dict[str, Any]) -> dict[str, tuple[int, Result]]:
    """The results that are there. Writes `run.json` where there is none yet."""
    if not (path / RUN).exists():
        others = sorted(entry.name for entry in path.iterdir() if entry.name != LOCK)
        if others:
            raise FolderError(f"{path} has other files ({others[0]}) and no {RUN}; give --out a folder of its own")
        config["started"] = datetime.now().astimezone().isoformat(sep=" ", timespec="minutes")
        write_json(path / RUN, config)
        return {}
    earlier = read_run(path).config
    differing = [
        key for key in config.keys() | earlier.keys() if key not in TOLD and _plain(config.get(key)) != earlier.get(key)
    ]
    if differing:
        told = "; ".join(_difference(key, earlier.get(key), _plain(config.get(key))) for key in sorted(differing)[:3])
        raise FolderError(f"{path} has another run ({told}); give another --out")
    # what turned out earlier still holds; what the engine warned of then, too
    config |= {key: earlier[key] for key in TOLD - _ANEW if key in earlier}
    config["notes"] = list(dict.fromkeys((*earlier.get("notes", ()), *config.get("notes", ()))))
    results, whole = _read_results(path / RESULTS)
    if (path / RESULTS).exists():
        os.truncate(path / RESULTS, whole)
    return results


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(value))


def _difference(key: str, earlier: Any, now: Any) -> str:
    shown = [json.dumps(value, ensure_ascii=False) for value in (earlier, now)]
    if any(len(text) > 60 for text in shown):
        return f"its {key} differ" if key.endswith("s") else f"its {key} differs"
    return f"its {key}: {shown[0]}, now {shown[1]}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold `run.lock`. Raises FolderError when another process does."""
    while True:
        lock = path / LOCK
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            lock_handle(handle)
        except OSError:
            os.close(handle)
            raise FolderError(f"{path} is written to by another process{_writer(lock)}; wait for its end") from None
        # its holder may have removed it while we waited for it to open: then it is nobody's lock any more
        if _is_file_of(handle, lock):
            break
        os.close(handle)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink()
        os.close(handle)


def _is_file_of(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _writer(lock: Path) -> str:
    try:
        number = lock.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
    return f" ({number})" if number.isdigit() else ""


def _ordered(results: Mapping[str, tuple[int, Result]]) -> list[Result]:
    return [result for _, result in sorted(results.values(), key=lambda pair: pair[0])]


def _read_results(path: Path) -> tuple[dict[str, tuple[int, Result]], int]:
    """The results by sample, the latest of each, and how many bytes are whole lines. Raises FolderError for a line
    that is no result, unless it is a last one without its end."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}, 0
    whole = content.rfind(b"\n") + 1
    found: dict[str, tuple[int, Result]] = {}
    for number, line in enumerate(content[:whole].split(b"\n")[:-1], 1):
        try:
            place, result = _result(json.loads(line.decode("utf-8", "surrogatepass")))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise FolderError(
                f"{path}: line {number} is no result; remove the line, and its sample is asked again"
            ) from None
        found[result.sample.id] = place, result
    return found, whole


def _row(number: int, result: Result) -> dict[str, Any]:
    """A result's line. `number` puts the lines of samples that ended in another order back into theirs."""
    sample, output = result.sample, result.output
    told = asdict(output)
    told["texts"] = list(output.texts)
    for name in ("milliseconds", "first_token_ms"):
        told[name] = round(told[name], 3)
    return {
        "id": sample.id,
        "number": number,
        "language": sample.language,
        "scenario": sample.scenario,
        "name": sample.name,
        "wanted": sample.wanted,
        **told,
        "scores": dict(result.scores),
    }


_OUTPUT: Final = ("finish", "tokens", "prompt_tokens", "milliseconds", "first_token_ms", "error")


def _result(row: Mapping[str, Any]) -> tuple[int, Result]:
    sample = Sample(
        id=row["id"],
        language=row["language"],
        scenario=row["scenario"],
        name=row.get("name", ""),
        before="",
        after="",
        wanted=row["wanted"],
    )
    texts: Iterable[str] = row["texts"]
    output = Output(tuple(texts), **{name: row[name] for name in _OUTPUT if name in row})
    return int(row.get("number", 0)), Result(sample, output, dict(row["scores"]))

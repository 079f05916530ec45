"""Lines of published data: JSONL, gzipped or not, JSON lists, and Parquet; and which of them run where not all do."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from .benchmark import DataError, Sample

_LEAST_RIGHT: Final = 0.5
"""A file of which fewer lines can be read is another file."""


def read_samples(
    path: Path, sample_of: Callable[[Mapping[str, Any]], Sample], expected: Sequence[str], problems: list[str]
) -> list[Sample]:
    """The samples of a file. `sample_of` makes one of a line's fields and raises ValueError, KeyError or TypeError for
    a line that is none; such lines, and samples whose id came before, are passed over and told in `problems` with
    their numbers.

    Raises DataError when the file cannot be read, or is of another kind: most of its lines are no samples. `expected`
    are the names of the fields that such a line has, for that message.
    """
    rows = read_rows(path, problems_of := [])
    samples: dict[str, Sample] = {}
    for number, row in rows:
        try:
            sample = sample_of(row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problems_of.append(f"{path.name}, line {number}: {_fault(error)}; passed over")
            continue
        if sample.id in samples:
            problems_of.append(f"{path.name}, line {number}: {sample.id} came before; passed over")
            continue
        samples[sample.id] = sample
    if len(samples) < _LEAST_RIGHT * (len(samples) + len(problems_of)) or not samples:
        first = f" ({problems_of[0].removesuffix('; passed over')})" if problems_of else ""
        raise DataError(f"{path} is no such data: expected are lines of JSON with {', '.join(expected)}{first}")
    problems += problems_of
    return list(samples.values())


def read_rows(path: Path, problems: list[str]) -> list[tuple[int, Mapping[str, Any]]]:
    """The objects of a file with the numbers of their lines, from 1. A line that is no JSON object goes into
    `problems`. Raises DataError when the file cannot be read."""
    try:
        if path.suffix == ".parquet":
            return _parquet(path)
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if text.startswith("version https://git-lfs"):
        raise DataError(f"{path} is a pointer of Git LFS, not the data; fetch it with git lfs pull")
    if text.lstrip().startswith("["):
        return _listed(path, text, problems)
    rows: list[tuple[int, Mapping[str, Any]]] = []
    # not splitlines, which also cuts at characters that JSON allows inside of a string
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append((number, row))
        else:
            problems.append(f"{path.name}, line {number}: no JSON object; passed over")
    return rows


def _listed(path: Path, text: str, problems: list[str]) -> list[tuple[int, Mapping[str, Any]]]:
    """The objects of a JSON list, numbered."""
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    problems += [
        f"{path.name}, entry {number}: no JSON object; passed over"
        for number, row in enumerate(listed, 1)
        if not isinstance(row, dict)
    ]
    return [(number, row) for number, row in enumerate(listed, 1) if isinstance(row, dict)]


def _parquet(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    try:
        parquet: Any = import_module("pyarrow.parquet")  # it has no types
    except ModuleNotFoundError as error:
        raise DataError(f"{path} needs the package pyarrow: pip install pyarrow; or give JSONL") from error
    try:
        return list(enumerate(parquet.read_table(path).to_pylist(), 1))
    except (OSError, ValueError) as error:  # pyarrow's own errors are among these
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def text_of(row: Mapping[str, Any], name: str) -> str:
    """A field that is a text. Raises ValueError when it is missing or something else."""
    value = row.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is missing" if value is None else f"{name} is no text")
    return value


def evenly(samples: Sequence[Sample], limit: int, seed: int) -> list[Sample]:
    """`limit` of the samples (0: all), as many of each language, and of each of its scenarios, as there are, in the
    order given; the same for the same samples and seed."""
    if not limit or limit >= len(samples):
        return list(samples)
    groups: dict[str, dict[str, list[int]]] = {}
    for number, sample in enumerate(samples):
        groups.setdefault(sample.language, {}).setdefault(sample.scenario, []).append(number)
    turns = [list(_turns(list(of.values()), random.Random(f"{seed} {language}"))) for language, of in groups.items()]
    order = random.Random(f"{seed} languages").sample(turns, len(turns))
    drawn = [number for turn in zip_longest(*order) for number in turn if number is not None][:limit]
    return [samples[number] for number in sorted(drawn)]


def _turns(groups: Sequence[Sequence[int]], draw: random.Random) -> Iterator[int]:
    """Members of groups by chance, one of each group that has any left, again and again."""
    left = [draw.sample(group, len(group)) for group in draw.sample(groups, len(groups))]
    for turn in zip_longest(*left):
        yield from (number for number in turn if number is not None)


def _fault(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return str(error) or type(error).__name__

"""What the server keeps in files or is given in them, and what reading each must come to: the whole right thing, or one
of the refusals that its readers expect."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.damage import damaged


@dataclass
class Kept:
    """A file, and how it is read. `read` gives what is compared; where `refusals` are raised that is right too, and
    `checks` says what is wrong with what was read (None: it must be what the whole file gives)."""

    name: str
    path: Path
    read: Callable[[], Any]
    refusals: tuple[type[Exception], ...] = ()
    checks: Callable[[Any], str] | None = None


def damage_and_read(kept: Kept, chance: Random) -> str:
    """Damage the file, read it, put it back; what is wrong with the outcome, or ""."""
    whole = kept.path.read_bytes()
    right = None if kept.checks else kept.read()
    kept.path.write_bytes(damaged(whole, chance))
    try:
        found = kept.read()
    except kept.refusals as error:
        message = str(error)
        return "" if "\n" not in message else f"{kept.name}: refused in several lines"
    except Exception as error:  # noqa: BLE001  # the finding
        return f"{kept.name}: {type(error).__name__}: {str(error)[:100]}"
    finally:
        kept.path.write_bytes(whole)
    if kept.checks is not None:
        wrong = kept.checks(found)
        return f"{kept.name}: {wrong}" if wrong else ""
    return "" if found == right else f"{kept.name}: other data came out of it"


# the index


def index_files(folder: Path) -> list[Kept]:
    """The kept index of a small project: chunks and definitions."""
    from aix_lsp.completion.index_cache import entry_of
    from aix_lsp.completion.index_job import IndexJob

    root, cache = folder / "project", folder / "cache"
    root.mkdir()
    for number in range(6):
        body = "".join(f"def heron_{number}_{line}(stork):\n    return stork + {line}\n\n" for line in range(20))
        (root / f"module{number}.py").write_text(body)
    # files that have just been written would be read again each time
    for path in root.iterdir():
        os.utime(path, (10**9, 10**9))
    job = IndexJob(str(root), cache=str(cache))
    index_answer(job)
    entry = entry_of(cache, str(root))
    return [Kept(f"index/{kind}", entry / kind, lambda: index_answer(job)) for kind in ("chunks", "definitions")]


def index_answer(job: Any) -> Any:
    """All chunks and definitions that a server ends up with, in an order of their own."""
    from aix_lsp.completion.index_job import ChunksPart, DefinitionsPart
    from aix_lsp.completion.indexing import index
    from aix_lsp.retrieval.definitions_packed import PackedDefinitions
    from aix_lsp.retrieval.segment import PackedSegment
    from aix_lsp.retrieval.store import read_packed

    chunks: dict[str, Any] = {}
    definitions: Any = None
    for part in index(job, lambda: None):
        if isinstance(part, DefinitionsPart):
            definitions = PackedDefinitions.from_bytes(part.packed)
        elif isinstance(part, ChunksPart):
            try:
                if part.stored is not None:
                    packed = read_packed(Path(part.stored.path), part.stored.identity)
                    chunks |= _chunks(PackedSegment.from_bytes(packed))
            except (OSError, ValueError):
                return index_answer(replace(job, reuse=False))  # as `completion/folder.py` does
            for path in part.gone:
                chunks.pop(path, None)
            if part.packed:
                chunks |= _chunks(PackedSegment.from_bytes(part.packed))
    names = sorted(
        zip(definitions.names.tolist(), [definitions.paths[number] for number in definitions.files], strict=True)
    )
    return chunks, names


def _chunks(segment: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, path in enumerate(segment.paths):
        rows = range(segment.files[number], segment.files[number + 1])
        found[path] = [
            (
                int(segment.start_lines[row]),
                int(segment.end_lines[row]),
                sorted(
                    segment.vocabulary[segment.chunk_terms[segment.chunk_starts[row] : segment.chunk_starts[row + 1]]]
                ),
            )
            for row in rows
        ]
    return found


# settings, counts, places, a model's folder


def settings_files(folder: Path) -> list[Kept]:
    """Everything else that is read from disk."""
    return [_settings(folder), _counts(folder), _token(folder), *_model(folder)]


def _settings(folder: Path) -> Kept:
    from aix_lsp.configuration import Configuration
    from aix_lsp.settings import Settings

    path = folder / "config.toml"
    path.write_text(
        '[model]\nname = "aix-mini"\n\n[completion]\nmax_lines = 5\ndisabled_languages = ["rust", "go"]\n'
        'fallback_completion = true\n\n[workspace]\nignore = ["*.log"]\nmax_files = 1000\n'
    )

    def read() -> Any:
        configuration = Configuration()
        problems = configuration.read_user_file(path)
        return configuration.settings, problems

    def wrong(found: Any) -> str:
        settings, problems = found
        if not isinstance(settings, Settings):
            return "no settings"
        return next((f"a problem in several lines: {line[:80]!r}" for line in problems if "\n" in line), "")

    return Kept("config.toml", path, read, checks=wrong)


def _counts(folder: Path) -> Kept:
    from aix_lsp.completion.statistics import read_totals, sum_of, summary
    from aix_lsp.completion.statistics_file import read_rows

    path = folder / "statistics.jsonl"
    row = {"day": "2026-01-31", "language": "python", "offered": 12, "accepted": 3, "model_ms.20": 7, "cached_ms.-3": 2}
    path.write_text("".join(json.dumps({**row, "offered": number}) + "\n" for number in range(1, 30)))

    def read() -> Any:
        read_totals(path)
        return summary(sum_of(read_rows(path)))

    return Kept("statistics.jsonl", path, read, checks=lambda found: "" if found["shown"] >= 0 else "counts below 0")


def _token(folder: Path) -> Kept:
    from aix_lsp.engine.host_place import Place

    place = Place(folder, "host", unix=False)
    place.token_file.write_text("0123456789abcdef 1\n")
    return Kept("token of a host", place.token_file, lambda: _gone(place), (OSError, ValueError), checks=lambda _: "")


def _gone(place: Any) -> Any:
    """Nobody listens at the place's port (1 is nobody's without being root)."""
    connection, _ = place.connect(0.05)
    connection.close()


def _model(folder: Path) -> list[Kept]:
    """Headers of a model's folder. Its numbers themselves have no checksum."""
    from aix_lsp.engine.base import ModelError
    from aix_lsp.engine.calibration import read_calibration
    from aix_lsp.engine.catalog import embedded
    from aix_lsp.engine.checkpoint import inspect
    from aix_lsp.engine.copying import read_copy_weights
    from aix_lsp.engine.tokenizer import TokenizerError, load_tokenizer

    source = Path(str(embedded().source))
    model = folder / "model"
    model.mkdir()
    for name in ("aix.json", "config.json"):
        shutil.copy(source / name, model / name)
    # the header as it is; of the numbers only that they are there
    with (source / "model.safetensors").open("rb") as file:
        header = struct.pack("<Q", 2)
        (size,) = struct.unpack("<Q", file.read(8))
        table = json.loads(file.read(size))
    small = {name: {**row, "shape": [4, 2], "data_offsets": [16 * number, 16 * number + 16]} for number, (name, row) in
             enumerate((name, row) for name, row in table.items() if name != "__metadata__")}  # fmt: skip
    small = {name: {**row, "dtype": "F16"} for name, row in small.items()}
    encoded = json.dumps(small).encode()
    encoded += b" " * (-len(encoded) % 8)
    header = struct.pack("<Q", len(encoded))
    (model / "model.safetensors").write_bytes(header + encoded + bytes(16 * len(small)))
    spelled = folder / "tokenizer"
    spelled.mkdir()
    (spelled / "tokenizer.json").write_text(json.dumps(_small_tokenizer()))

    def read() -> Any:
        inspect(model)
        return read_calibration(model), read_copy_weights(model)

    refusals = (ModelError, TokenizerError)
    return [
        *(Kept(name, model / name, read, refusals, lambda _: "") for name in ("config.json", "aix.json")),
        Kept("model.safetensors", model / "model.safetensors", read, refusals, lambda _: ""),
        Kept(
            "tokenizer.json",
            spelled / "tokenizer.json",
            lambda: load_tokenizer(spelled).encode("def f(é):\n"),
            refusals,
            lambda _: "",
        ),
    ]


def _small_tokenizer() -> dict[str, Any]:
    """A byte-level tokenizer of single bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={sign: number for number, sign in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    data: dict[str, Any] = json.loads(inner.to_str())
    return data

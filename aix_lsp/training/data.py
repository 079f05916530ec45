"""What to train on: a workspace, a built corpus, JSON lines, or a data set of the Hugging Face hub.

Whatever the source, the same files are left out: languages without a grammar, secrets, texts seen before (a copy
of a held-out file among those trained on would make the held-out loss a lie), and files over a size.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from aix_lsp.languages import is_code, language_of
from aix_lsp.text import one_line
from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.workspace.scanner import Scanner
from aix_lsp.workspace.secrets import contains_secret, is_secret_path

MAX_FILE_BYTES: Final = 512 * 1024
LANGUAGES: Final = ("c", "c#", "c++", "cuda", "go", "java", "javascript", "jsx", "python", "rust", "tsx", "typescript")
"""Languages that structured samples can be cut from."""

_SAME: Final = {"cpp": "c++", "csharp": "c#", "cs": "c#", "js": "javascript", "ts": "typescript", "py": "python"}
_ENDINGS: Final = (
    *(("c#", "cs"), ("c++", "cpp"), ("cuda", "cu"), ("javascript", "js"), ("python", "py"), ("rust", "rs")),
    ("typescript", "ts"),
)
"""File endings of languages where it is not the name itself."""

_TEXT_FIELDS: Final = ("content", "text")
_PATH_FIELDS: Final = ("path", "max_stars_repo_path", "file_path", "file_name", "filename")
_LANGUAGE_FIELDS: Final = ("language", "lang", "programming_language")
_PROJECT_FIELDS: Final = ("project", "repo", "repo_name", "max_stars_repo_name", "repository_name")
_HUB: Final = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?::(?P<subset>[\w.+-]+))?")


class DataError(ValueError):
    """There is nothing to train on, or it cannot be read; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the files come from: either a `workspace` folder, or `data`, which is the folder of a built corpus, a file
    of JSON lines (`.jsonl`, `.jsonl.gz`), or a data set of the hub (`owner/name` or `owner/name:subset`).

    `text_field` names the field of a record that holds a file's text; empty: `content`, else `text`. `languages`
    keeps files of these only (empty: all that have a grammar); a single one is also taken for records that do not say
    theirs. `ignore` has more patterns as in a .gitignore. At most `max_files` are read.
    """

    workspace: Path | None = None
    data: str = ""
    text_field: str = ""
    languages: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    max_files: int = 20_000

    def __post_init__(self) -> None:
        if (self.workspace is None) == (not self.data):
            raise DataError("give what to train on with either --workspace PATH or --data X")
        if unknown := sorted({name for name in self.languages if _canonical(name) not in LANGUAGES}):
            raise DataError(f"{unknown[0]!r} is no language that can be trained on; known: {', '.join(LANGUAGES)}")

    @property
    def kind(self) -> str:
        """What sort of source it is, in words that tell nothing of this machine."""
        if self.workspace is not None:
            return "a workspace"
        if Path(self.data).expanduser().exists() or self.data.endswith((".jsonl", ".jsonl.gz")):
            return "JSON lines" if self.data.endswith((".jsonl", ".jsonl.gz")) else "a built corpus"
        return f"the data set {self.data}"


@dataclass(slots=True)
class Tally:
    """Counts while a source is read: files kept by language, characters kept, and files left out by reason."""

    languages: Counter[str] = field(default_factory=Counter)
    characters: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def files(self) -> int:
        """Files kept."""
        return self.languages.total()


def documents(source: Source, tally: Tally | None = None) -> Iterator[SourceFile]:
    """The files of a source that can be trained on, in a fixed order, each text once; `tally` counts them.

    Raises DataError with one line when the source cannot be read, or after all of it when nothing came of it.
    """
    counted = Tally() if tally is None else tally
    wanted = {_canonical(name) for name in source.languages} or set(LANGUAGES)
    seen: set[bytes] = set()
    # A built corpus has its secrets replaced by other words; elsewhere a file with one is not learned at all.
    checked = source.kind == "a built corpus"
    for file in _read(source, counted):
        why = _unwanted(file, wanted, seen) or ("" if checked or not _secret(file) else "with secrets")
        if why:
            counted.left_out[why] += 1
            continue
        counted.languages[file.language] += 1
        counted.characters += len(file.text)
        yield file
        if counted.files >= source.max_files:
            break
    if not counted.files:
        reasons = ", ".join(f"{count:,} {why}" for why, count in counted.left_out.most_common(4))
        where = source.data or f"{source.workspace}"
        raise DataError(f"{where} has no files to train on" + (f" (left out: {reasons})" if reasons else ""))


def split(files: Iterable[SourceFile], share: float, seed: int = 0) -> tuple[list[SourceFile], list[SourceFile]]:
    """Files to train on, and about `share` (0 to less than 1) of them held out, both in the given order.

    A hash of the path decides, so a file stays on its side while others come and go. Of two files or more at least one
    is held out and one trained on, unless `share` is 0. Raises ValueError for a share out of range.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the held-out share must be at least 0 and less than 1, not {share}")
    placed = [(_place(file, seed), file) for file in files]
    if not share or len(placed) < 2:
        return [file for _, file in placed], []
    places = sorted(place for place, _ in placed)
    # Between the lowest place and the highest, so that neither side is empty.
    bound = min(max(share, places[1]), places[-1])
    return (
        [file for place, file in placed if place >= bound],
        [file for place, file in placed if place < bound],
    )


def _place(file: SourceFile, seed: int) -> float:
    """A number in [0, 1) that the file's project and path decide."""
    digest = blake2b(f"{seed}\0{file.project}\0{file.path}".encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def _unwanted(file: SourceFile, wanted: set[str], seen: set[bytes]) -> str:
    """Why a file is not trained on, as a phrase to count, or ""."""
    if file.language not in wanted:
        return "in other languages" if file.language else "in unknown languages"
    if not file.text.strip():
        return "empty"
    if len(file.text) > MAX_FILE_BYTES:
        return "too big"
    digest = blake2b(file.text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    if digest in seen:
        return "duplicates"
    # Records of one project may name a file twice; retrieval wants each path once.
    name = blake2b(f"{file.project}\0{file.path}".encode("utf-8", "surrogatepass"), digest_size=15).digest()
    if name in seen:
        return "other versions of a file"
    seen.update((digest, name))
    return ""


def _secret(file: SourceFile) -> bool:
    return is_secret_path(file.path) or contains_secret(file.text)


def _read(source: Source, tally: Tally) -> Iterator[SourceFile]:
    if source.workspace is not None:
        return _workspace(source.workspace, source, tally)
    path = Path(source.data).expanduser()
    if path.is_dir():
        return _corpus(path)
    if source.data.endswith((".jsonl", ".jsonl.gz")):
        return _from_records(_json_lines(path), path.name, source)
    if path.exists():
        raise DataError(f"{path} is neither a built corpus nor a .jsonl or .jsonl.gz file")
    if hub := _HUB.fullmatch(source.data):
        return _from_records(_hub_records(hub["name"], hub["subset"]), source.data, source)
    raise DataError(f"{path} does not exist; --data takes a built corpus, a .jsonl or .jsonl.gz file, or owner/name")


def _workspace(root: Path, source: Source, tally: Tally) -> Iterator[SourceFile]:
    root = root.expanduser()
    if not root.is_dir():
        raise DataError(f"{root} is no folder")
    scanner = Scanner(
        root, ignore=source.ignore, max_file_bytes=MAX_FILE_BYTES, max_files=source.max_files, accepts=is_code
    )
    found = scanner.scan()
    tally.left_out.update({f"({why})": count for why, count in found.left_out.items() if count})
    for entry in found.files:
        text = scanner.read(entry.path)
        if text is None:
            tally.left_out["with secrets or unreadable"] += 1
        else:
            yield SourceFile(scanner.root.name, entry.path, language_of(entry.path).name, text)


def _corpus(folder: Path) -> Iterator[SourceFile]:
    from aix_lsp.training.corpus.store import Corpus

    return iter(Corpus.open(folder).files())


def _json_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Records with the words that say where each stands."""
    opener = gzip.open if path.name.endswith(".gz") else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise DataError(f"{path} line {number} is no JSON object")
                yield f"{path} line {number}", record
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text after line {number}") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path} line {number} is no JSON ({error.msg})") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {one_line(error)[:200]}") from error


def _hub_records(name: str, subset: str | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        import datasets
    except ImportError:
        raise DataError("data sets of the hub need the package datasets; pip install 'aix-lsp[train]'") from None
    where = name if subset is None else f"{name}:{subset}"
    try:
        stream = datasets.load_dataset(name, subset, split="train", streaming=True)
        for number, record in enumerate(stream, 1):
            yield f"{where} record {number}", record
    except DataError:
        raise
    # NotImplementedError is what an unknown format raises, RuntimeError a client that was closed.
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"the data set {where} cannot be read: {one_line(error)[:200]}") from error


def _from_records(records: Iterable[tuple[str, Mapping[str, Any]]], name: str, source: Source) -> Iterator[SourceFile]:
    """Files from records: text, and if they are there path, language and project.

    Raises DataError for a record without text, or from which no language can be told.
    """
    default = source.languages[0] if len(source.languages) == 1 else ""
    project = name.removesuffix(".gz").removesuffix(".jsonl")
    for number, (where, record) in enumerate(records, 1):
        text = _text_of(record, where, source.text_field)
        path = _first(record, _PATH_FIELDS)
        said = _first(record, _LANGUAGE_FIELDS) or ("" if path else default)
        if not path and not said:
            raise DataError(f"{where} has neither a path nor a language; add one, or say --language NAME")
        language = language_of(path, "").name if path else ""
        if not language:
            language = _canonical(said or default)
        path = path or f"{number:08}.{dict(_ENDINGS).get(language, language)}"
        yield SourceFile(_first(record, _PROJECT_FIELDS) or project, path, language, text)


def _text_of(record: Mapping[str, Any], where: str, wanted: str) -> str:
    names = (wanted,) if wanted else _TEXT_FIELDS
    for name in names:
        if name in record:
            text = record[name]
            if isinstance(text, str):
                return text
            raise DataError(f"{where}: the field {name!r} is no text")
    fields = ", ".join(sorted(map(str, record))[:10]) or "none"
    raise DataError(f"{where} has no field {' or '.join(map(repr, names))} (its fields: {fields}); see --text-field")


def _first(record: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of these fields that holds any text, else ""."""
    return next((value for name in names if isinstance(value := record.get(name), str) and value), "")


def _canonical(language: str) -> str:
    """The name of a language as `languages.language_of` has it."""
    lowered = language.strip().lower()
    lowered = _SAME.get(lowered, lowered)
    return language_of("", lowered).name or lowered

"""The corpus on disk: a manifest, and one compressed file of JSON lines for each project.

    corpus.json           what is in it, and how it was made
    report.json           what each step kept and dropped
    files/NAME.jsonl.gz   a line for each file of a project, in the order of training
    tokens/               only where token ids were asked for (see `sequences`)

No path of the machine that built it is written down, and the same sources and settings give the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aix_lsp.files import replaced_file
from aix_lsp.training.corpus.records import SourceFile

FORMAT = 1
MANIFEST = "corpus.json"
STATE = "build.jsonl"
"""What an unfinished build has done so far; gone when the corpus is whole."""

_SAFE = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # names that Windows keeps for devices


class CorpusError(ValueError):
    """A folder holds no usable corpus; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class ProjectEntry:
    """One project of a corpus. `languages` counts files by language; `shard` is the file's name under `files/`."""

    name: str
    shard: str
    licence: str
    files: int
    characters: int
    languages: Mapping[str, int]


def shard_name(project: str) -> str:
    """A file name for any project's name, without its ending; different names have different ones on every system."""
    if _SAFE.fullmatch(project) and not _RESERVED.fullmatch(project):
        return project
    readable = re.sub(r"[^a-z0-9_-]+", "-", project.lower())[:60].strip("-") or "project"
    return f"{readable}~{hashlib.sha256(project.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def write_json(path: Path, data: object) -> None:
    """Write `data` as readable JSON, whole or not at all."""
    with replaced_file(path) as file:
        file.write((json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())


def write_shard(folder: Path, project: str, licence: str, files: Iterable[SourceFile]) -> ProjectEntry:
    """Write the files of one project into the corpus `folder`, in this order."""
    shard = f"{shard_name(project)}.jsonl.gz"
    count = characters = 0
    languages: dict[str, int] = {}
    (folder / "files").mkdir(parents=True, exist_ok=True)
    with (
        replaced_file(folder / "files" / shard) as raw,
        # neither name nor time in its head, so that the same files give the same bytes
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
    ):
        for file in files:
            packed.write((json.dumps(asdict(file), ensure_ascii=False) + "\n").encode())
            count += 1
            characters += len(file.text)
            languages[file.language] = languages.get(file.language, 0) + 1
    return ProjectEntry(project, shard, licence, count, characters, dict(sorted(languages.items())))


def write_manifest(folder: Path, projects: Iterable[ProjectEntry], settings: Mapping[str, Any], version: str) -> None:
    """Say that the corpus in `folder` is whole: these projects, made with these settings by this version."""
    listed = list(projects)
    languages: dict[str, int] = {}
    for entry in listed:
        for language, count in entry.languages.items():
            languages[language] = languages.get(language, 0) + count
    totals = {
        "projects": len(listed),
        "files": sum(entry.files for entry in listed),
        "characters": sum(entry.characters for entry in listed),
        "languages": dict(sorted(languages.items())),
    }
    write_json(
        folder / MANIFEST,
        {
            "format": FORMAT,
            "made_by": f"aix-lsp {version}",
            "settings": dict(settings),
            "totals": totals,
            "projects": [asdict(entry) for entry in listed],
        },
    )


@dataclass(frozen=True, slots=True)
class Corpus:
    """A whole corpus. `projects` stand in the order of the build; `settings` are those it was made with."""

    folder: Path
    projects: tuple[ProjectEntry, ...]
    settings: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Corpus:
        """The corpus in `folder`. Raises CorpusError where there is none, or one that is not whole."""
        path = folder / MANIFEST
        if not path.is_file():
            if (folder / STATE).is_file():
                raise CorpusError(
                    f"{folder} holds an interrupted build; the same `aix-lsp corpus build` goes on with it"
                )
            raise CorpusError(f"{folder} holds no corpus ({MANIFEST} is not there); `aix-lsp corpus build` makes one")
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT:
                raise CorpusError(f"{path} is of format {data['format']}, and this version reads format {FORMAT}")
            projects = tuple(ProjectEntry(**entry) for entry in data["projects"])
            settings = dict(data["settings"])
        except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise CorpusError(f"{path} is damaged ({type(error).__name__}); build the corpus again") from error
        for entry in projects:
            if not (folder / "files" / entry.shard).is_file():
                raise CorpusError(f"{folder} lacks files/{entry.shard} of project {entry.name}; build the corpus again")
        return cls(folder, projects, settings)

    @property
    def characters(self) -> int:
        """Characters of all files together."""
        return sum(entry.characters for entry in self.projects)

    def project(self, name: str) -> ProjectEntry:
        """The project of this name. Raises CorpusError when there is none."""
        for entry in self.projects:
            if entry.name == name:
                return entry
        raise CorpusError(f"{self.folder} has no project {name}")

    def files(self, project: str | None = None) -> Iterator[SourceFile]:
        """The files of a project, or of all one after another, in the order of training, one at a time.

        Raises CorpusError at a shard that cannot be read, or that ends early.
        """
        for entry in self.projects if project is None else (self.project(project),):
            yield from self._shard(entry)

    def _shard(self, entry: ProjectEntry) -> Iterator[SourceFile]:
        path = self.folder / "files" / entry.shard
        count = 0
        try:
            with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
                for line in lines:
                    yield SourceFile(**json.loads(line))
                    count += 1
        except (EOFError, gzip.BadGzipFile, zlib.error, ValueError, TypeError) as error:
            raise CorpusError(f"{path} is damaged ({type(error).__name__}); build the corpus again") from error
        if count != entry.files:
            raise CorpusError(f"{path} holds {count} files instead of {entry.files}; build the corpus again")

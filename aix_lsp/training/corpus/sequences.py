"""A corpus as token ids: each project one stream, cut into sequences that remember what came before.

The layout is the one that aiXcoder-7B's authors describe, after Transformer-XL (Dai et al. 2019, section 3.2): the
files of a project run on as one stream, its sequences follow one another, and each may look back at the memory before
it inside the same project. Nothing reaches from one project into the next.

    tokens/tokens.json             what is there, by which tokenizer
    tokens/NAME.ids.npy            ids of a project, uint16 or uint32
    tokens/NAME.sequences.npy      int64, one row a sequence: start, end, memory start
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aix_lsp.files import replaced_file
from aix_lsp.prompt.fim import FimFamily, family_of, plain_family
from aix_lsp.prompt.layout import file_header
from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.corpus.store import Corpus, CorpusError, write_json
from aix_lsp.types import Tokenizer

if TYPE_CHECKING:
    import numpy
    import numpy.typing

FOLDER = "tokens"
TABLE = "tokens.json"
_ENDS = ("</s>", "<eos>", "<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>")


class SizedTokenizer(Tokenizer, Protocol):
    """A tokenizer that knows its largest id."""

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest id."""
        ...


@dataclass(frozen=True, slots=True)
class Sequence:
    """Tokens `start` up to `end` of a project's stream. It may see those from `memory_start` on."""

    project: str
    start: int
    end: int
    memory_start: int


def cut(project: str, length: int, sequence: int, memory: int) -> Iterator[Sequence]:
    """Cut a stream of `length` tokens into sequences of `sequence`, the last as long as what is left.

    Each sees at most `memory` tokens before its start. Raises ValueError for a sequence shorter than one token or a
    negative memory.
    """
    if sequence < 1 or memory < 0:
        raise ValueError(f"sequences of {sequence} tokens with a memory of {memory} cannot be")
    for start in range(0, length, sequence):
        yield Sequence(project, start, min(start + sequence, length), max(0, start - memory))


def file_ids(tokenizer: Tokenizer, family: FimFamily, file: SourceFile) -> list[int]:
    """One file in a stream: <s>{header}{text}</s>, or what the family has for them."""
    begin: int | None
    end: int | None
    if family.separator is not None:
        # such models know the files of a repository by what stands before each
        begin, end = family.separator.id, None
    else:
        begin = None if family.begin is None else family.begin.id
        end = tokenizer.special(*_ENDS) if family.end is None else family.end.id
    ids = [] if begin is None else [begin]
    # apart, as serving does, so that no piece joins the header's end to the text
    ids += tokenizer.encode(file_header(family, file.path))
    ids += tokenizer.encode(file.text)
    return ids if end is None else [*ids, end]


def write_tokens(
    corpus: Corpus,
    tokenizer: SizedTokenizer,
    *,
    sequence: int,
    memory: int,
    progress: Callable[[str, int], None] | None = None,
) -> dict[str, Any]:
    """Encode every project of a corpus into its folder; returns what was written into `tokens.json`.

    `progress` is called with each finished project and its number of tokens. Raises ValueError for sizes that cannot
    be. A run that is cut off leaves no `tokens.json`, and so nothing that counts as whole.
    """
    import numpy as np

    list(cut("", 0, sequence, memory))
    family = family_of(tokenizer) or plain_family(tokenizer)
    size = tokenizer.vocabulary_size
    kind = np.uint16 if size <= 1 << 16 else np.uint32
    folder = corpus.folder / FOLDER
    folder.mkdir(exist_ok=True)
    (folder / TABLE).unlink(missing_ok=True)
    written = []
    for entry in corpus.projects:
        parts = [np.asarray(file_ids(tokenizer, family, file), dtype=kind) for file in corpus.files(entry.name)]
        ids = np.concatenate(parts) if parts else np.zeros(0, dtype=kind)
        rows = [(part.start, part.end, part.memory_start) for part in cut(entry.name, len(ids), sequence, memory)]
        stem = entry.shard.removesuffix(".jsonl.gz")
        with replaced_file(folder / f"{stem}.ids.npy") as file:
            np.save(file, ids)
        with replaced_file(folder / f"{stem}.sequences.npy") as file:
            np.save(file, np.asarray(rows, dtype=np.int64).reshape(-1, 3))
        written.append({"project": entry.name, "stem": stem, "tokens": len(ids), "sequences": len(rows)})
        if progress is not None:
            progress(entry.name, len(ids))
    data: dict[str, Any] = {
        "family": family.name,
        "vocabulary_size": size,
        "tokenizer": fingerprint(tokenizer),
        "sequence": sequence,
        "memory": memory,
        "tokens": sum(project["tokens"] for project in written),
        "sequences": sum(project["sequences"] for project in written),
        "projects": written,
    }
    write_json(folder / TABLE, data)
    return data


def fingerprint(tokenizer: SizedTokenizer) -> str:
    """What tells tokenizers apart: a hash over how they encode a fixed text, and their size."""
    probe = "def read(self, path: str) -> bytes:\n\treturn 42  # é漢\r\nfunction f() { return {a: [1, 2]}; }\n" * 2
    told = f"{tokenizer.vocabulary_size}:{tokenizer.encode(probe)}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Tokens:
    """The token ids of a corpus; arrays are mapped, not read."""

    folder: Path
    table: dict[str, Any]

    @classmethod
    def open(cls, corpus: Path) -> Tokens:
        """The ids in the corpus folder. Raises CorpusError where none were written, or the writing was cut off."""
        folder = corpus / FOLDER
        try:
            table = json.loads((folder / TABLE).read_text(encoding="utf-8"))
            stems = [project["stem"] for project in table["projects"]]
        except FileNotFoundError as error:
            raise CorpusError(f"{corpus} holds no token ids; `aix-lsp corpus build --tokenizer` writes them") from error
        except (ValueError, KeyError, TypeError) as error:
            raise CorpusError(f"{folder / TABLE} is damaged; write the token ids again") from error
        for stem in stems:
            if not (folder / f"{stem}.ids.npy").is_file() or not (folder / f"{stem}.sequences.npy").is_file():
                raise CorpusError(f"{folder} lacks the ids of {stem}; write the token ids again")
        return cls(folder, table)

    @property
    def projects(self) -> list[str]:
        """Names in the corpus's order."""
        return [project["project"] for project in self.table["projects"]]

    def ids(self, project: str) -> numpy.typing.NDArray[numpy.unsignedinteger[Any]]:
        """The stream of a project, one-dimensional."""
        ids: numpy.typing.NDArray[numpy.unsignedinteger[Any]] = self._array(project, "ids")
        return ids

    def sequences(self, project: str) -> list[Sequence]:
        """The sequences of a project, in order: each starts where the one before it ended."""
        return [Sequence(project, *row) for row in self._array(project, "sequences").tolist()]

    def _array(self, project: str, kind: str) -> Any:
        import numpy as np

        for one in self.table["projects"]:
            if one["project"] == project:
                path = self.folder / f"{one['stem']}.{kind}.npy"
                try:
                    return np.load(path, mmap_mode="r" if one["tokens"] else None, allow_pickle=False)
                except (ValueError, EOFError) as error:
                    raise CorpusError(f"{path} is damaged; write the token ids again") from error
        raise CorpusError(f"{self.folder} has no project {project}")

"""A corpus on disk, its token ids, and the counts of its report."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence as Ids
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.training.corpus.cleaning import Cleaned
from aix_lsp.training.corpus.records import Dropped, SourceFile
from aix_lsp.training.corpus.report import Step, Tally, read_report, report_data, tables_of, write_report
from aix_lsp.training.corpus.sequences import Tokens, cut, write_tokens
from aix_lsp.training.corpus.store import (
    MANIFEST,
    STATE,
    Corpus,
    CorpusError,
    ProjectEntry,
    shard_name,
    write_manifest,
    write_shard,
)

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


class Letters:
    """A tokenizer of one id a character, with aiXcoder's markers."""

    def __init__(self, largest: int = 0x10FFFF) -> None:
        self.vocabulary_size = largest + 10
        pieces = ("<s>", "</s>", "▁<AIX-SPAN-PRE>", "▁<AIX-SPAN-POST>", "▁<AIX-SPAN-MIDDLE>")
        self._special = {piece: largest + place + 1 for place, piece in enumerate(pieces)}

    def special(self, *names: str) -> int | None:
        return next((self._special[name] for name in names if name in self._special), None)

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def decode(self, ids: Ids[int]) -> str:
        return "".join(chr(token) for token in ids if token not in self._special.values())


def made(folder: Path, projects: dict[str, list[SourceFile]]) -> Corpus:
    entries = [write_shard(folder, name, "MIT", files) for name, files in projects.items()]
    write_manifest(folder, entries, {"seed": 7}, "1.0")
    return Corpus.open(folder)


def file(path: str = "a.py", text: str = "x = 1\n", project: str = "shop") -> SourceFile:
    return SourceFile(project, path, "python", text)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(ANY_TEXT, st.lists(st.tuples(ANY_TEXT, ANY_TEXT), max_size=4), max_size=4))
def test_a_corpus_gives_back_every_file_as_it_was(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("corpus")
    projects = {name: [file(path, text, name) for path, text in files] for name, files in texts.items()}
    corpus = made(folder, projects)
    assert [entry.name for entry in corpus.projects] == list(projects)
    assert list(corpus.files()) == [one for files in projects.values() for one in files]
    for name, files in projects.items():
        assert list(corpus.files(name)) == files
        assert corpus.project(name).characters == sum(len(one.text) for one in files)


@given(st.lists(ANY_TEXT, unique=True))
def test_shards_of_different_projects_have_different_safe_names(names):
    shards = [shard_name(name) for name in names]
    assert len({shard.lower() for shard in shards}) == len(names)
    for shard in shards:
        assert "/" not in shard
        assert "\\" not in shard
        assert not shard.startswith(".")
        assert len(shard.encode()) < 100


@pytest.mark.parametrize("name", ["../escape", "a/b", "CON", "con", "con.x", "Ünïcode", "", ".", "..", "x" * 300, "A"])
def test_odd_names_become_files_of_the_folder(tmp_path, name):
    corpus = made(tmp_path / "c", {name: [file(project=name)]})
    (shard,) = (tmp_path / "c" / "files").iterdir()
    assert shard.name == corpus.projects[0].shard
    assert shard.stem.split(".")[0] not in ("con", "")


def test_the_same_files_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        made(tmp_path / name, {"shop": [file(), file("b.py")]})
    for part in ("files/shop.jsonl.gz", MANIFEST):
        assert (tmp_path / "one" / part).read_bytes() == (tmp_path / "two" / part).read_bytes()
    assert str(tmp_path) not in (tmp_path / "one" / MANIFEST).read_text()


def test_a_folder_without_a_corpus_says_so_in_one_line(tmp_path):
    with pytest.raises(CorpusError, match="holds no corpus"):
        Corpus.open(tmp_path)
    (tmp_path / STATE).write_text("{}\n")
    with pytest.raises(CorpusError, match="interrupted build"):
        Corpus.open(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format": 1, "projects": [3], "settings": {}}'])
def test_a_damaged_manifest_is_told(tmp_path, content):
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(CorpusError, match="damaged"):
        Corpus.open(tmp_path)


def test_a_corpus_of_a_later_format_is_told(tmp_path):
    (tmp_path / MANIFEST).write_text('{"format": 99}')
    with pytest.raises(CorpusError, match="format 99"):
        Corpus.open(tmp_path)


def test_a_missing_shard_is_told(tmp_path):
    made(tmp_path, {"shop": [file()]})
    (tmp_path / "files/shop.jsonl.gz").unlink()
    with pytest.raises(CorpusError, match=r"lacks files/shop\.jsonl\.gz"):
        Corpus.open(tmp_path)


def test_a_damaged_shard_is_told(tmp_path):
    corpus = made(tmp_path, {"shop": [file(f"{i}.py", f"x = {i}\n" * 50) for i in range(20)]})
    shard = tmp_path / "files/shop.jsonl.gz"
    whole = shard.read_bytes()
    line = gzip.decompress(whole).split(b"\n")[0] + b"\n"
    for damaged in (whole[:-40], b"plain text", whole[:60] + bytes(20) + whole[80:], gzip.compress(b"{}\n")):
        shard.write_bytes(damaged)
        with pytest.raises(CorpusError, match="damaged"):
            list(corpus.files())
    shard.write_bytes(gzip.compress(line))
    with pytest.raises(CorpusError, match="1 files instead of 20"):
        list(corpus.files())


@given(st.integers(0, 5000), st.integers(1, 700), st.integers(0, 2000))
def test_sequences_follow_one_another_and_look_back_as_far_as_the_memory(length, sequence, memory):
    parts = list(cut("shop", length, sequence, memory))
    assert [token for part in parts for token in range(part.start, part.end)] == list(range(length))
    assert all(part.end - part.start == sequence for part in parts[:-1])
    assert all(part.memory_start == max(0, part.start - memory) for part in parts)


def test_sizes_that_cannot_be_are_refused():
    for sizes in ((0, 1), (1, -1)):
        with pytest.raises(ValueError, match="cannot be"):
            list(cut("shop", 10, *sizes))


@pytest.mark.parametrize(("largest", "kind"), [(0x10FFFF, "uint32"), (1000, "uint16")])
def test_token_ids_are_the_files_in_order_with_their_headers(tmp_path, largest, kind):
    corpus = made(tmp_path, {"shop": [file(), file("b.py", "y = 2\n")], "farm": [file("c.py", "z\n", "farm")]})
    tokenizer = Letters(largest)
    table = write_tokens(corpus, tokenizer, sequence=20, memory=30)
    tokens = Tokens.open(tmp_path)
    assert tokens.projects == ["shop", "farm"]
    ids = tokens.ids("shop")
    assert ids.dtype == kind
    begin, end = tokenizer.special("<s>"), tokenizer.special("</s>")
    header = "# the file path is: {}\n# the code file is written by Python\n"
    expected = [begin, *tokenizer.encode(header.format("a.py") + "x = 1\n"), end]
    expected += [begin, *tokenizer.encode(header.format("b.py") + "y = 2\n"), end]
    assert ids.tolist() == expected
    assert tokens.sequences("shop") == list(cut("shop", len(expected), 20, 30))
    assert table["tokens"] == sum(len(tokens.ids(name)) for name in tokens.projects)
    with pytest.raises(CorpusError, match="no project mill"):
        tokens.ids("mill")


def test_token_ids_that_are_not_whole_are_told(tmp_path):
    corpus = made(tmp_path, {"shop": [file()]})
    with pytest.raises(CorpusError, match="no token ids"):
        Tokens.open(tmp_path)
    write_tokens(corpus, Letters(), sequence=8, memory=0)
    (tmp_path / "tokens/shop.ids.npy").write_bytes(b"short")
    with pytest.raises(CorpusError, match="damaged"):
        Tokens.open(tmp_path).ids("shop")
    (tmp_path / "tokens/shop.ids.npy").unlink()
    with pytest.raises(CorpusError, match="lacks the ids of shop"):
        Tokens.open(tmp_path)
    (tmp_path / "tokens/tokens.json").write_text("{")
    with pytest.raises(CorpusError, match="damaged"):
        Tokens.open(tmp_path)


def tally() -> Tally:
    counted = Tally()
    counted.steps["files"].kept(10)
    counted.steps["files"].dropped(5, "generated")
    counted.steps["privacy"].kept(10, 8)
    counted.redactions["email"] += 2
    counted.comment_blocks += 1
    return counted


def test_counts_add_up_and_survive_json():
    both = tally()
    both.add(Tally.from_data(json.loads(json.dumps(tally().data()))))
    assert both.steps["files"] == Step(4, 30, 2, 20, both.steps["files"].reasons)
    assert both.steps["files"].reasons == {"generated": 2}
    assert (both.steps["privacy"].characters_in, both.steps["privacy"].characters_kept) == (20, 16)
    assert both.redactions == {"email": 4}
    entry = ProjectEntry("shop", "shop.jsonl.gz", "MIT", 1, 8, {"python": 1})
    cleaned = Cleaned(entry, both)
    assert Cleaned.from_data(json.loads(json.dumps(cleaned.data()))) == cleaned


def test_the_report_is_shown_and_read_again(tmp_path):
    corpus = made(tmp_path, {"shop": [file()]})
    data = report_data(tally(), corpus.projects, [Dropped("projects", "hall", "copyleft licence", detail="GPL-3.0")])
    write_report(tmp_path, data)
    assert read_report(tmp_path) == data
    from rich.console import Console

    console = Console(width=150, file=io.StringIO())
    for part in tables_of(data):
        console.print(part)
    shown = console.file.getvalue()
    for words in ("copyleft licence 1", "generated 1", "email 2", "MIT 1", "python 1"):
        assert words in shown
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(CorpusError, match="no report"):
        read_report(tmp_path)

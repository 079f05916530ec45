"""What is trained on: the same files whatever the source, each once, and one line for what cannot be."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.languages import language_of
from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.corpus.store import write_manifest, write_shard
from aix_lsp.training.data import LANGUAGES, DataError, Source, Tally, documents, split

IDIOMS = Path(__file__).parents[1] / "fixtures" / "idioms"


def lines(path: Path, records: Iterable[object]) -> str:
    text = "".join(json.dumps(record) + "\n" for record in records)
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return str(path)


def read(source: Source) -> list[tuple[str, str, str]]:
    return [(file.path, file.language, file.text) for file in documents(source)]


def test_languages_are_those_with_a_grammar() -> None:
    assert all(language_of("", name).name == name and language_of("", name).grammar for name in LANGUAGES)


def test_a_workspace_gives_its_source_files_without_ignored_ones_secrets_and_copies(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("built/\n")
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "x.py").write_text("ignored = 1\n")
    (tmp_path / "a.py").write_text("a = 1\r\n")
    (tmp_path / "b.py").write_text("a = 1\r\n")
    (tmp_path / "key.py").write_text('key = "AKIAIOSFODNN7EXAMPLF"\n')
    (tmp_path / "main.go").write_text("package main\n")
    (tmp_path / "notes.md").write_text("notes\n")
    (tmp_path / "table.sql").write_text("select 1;\n")
    (tmp_path / "empty.py").write_text(" \n")
    tally = Tally()
    found = list(documents(Source(workspace=tmp_path), tally))
    assert [(file.path, file.language, file.text) for file in found] == [
        ("a.py", "python", "a = 1\r\n"),
        ("main.go", "go", "package main\n"),
    ]
    assert {file.project for file in found} == {tmp_path.name}
    assert (tally.files, tally.characters, dict(tally.languages)) == (2, 20, {"python": 1, "go": 1})
    assert {tally.left_out[why] for why in ("duplicates", "empty", "in other languages")} == {1}


def test_the_bundled_workspace_is_whole() -> None:
    tally = Tally()
    assert len(list(documents(Source(workspace=IDIOMS), tally))) == tally.files == 14


def test_languages_can_be_chosen_by_any_of_their_names(tmp_path: Path) -> None:
    for name in ("a.py", "b.cs", "c.go"):
        (tmp_path / name).write_text(f"// {name}\n")
    assert [name for name, _, _ in read(Source(workspace=tmp_path, languages=("CSharp", "go")))] == ["b.cs", "c.go"]
    with pytest.raises(DataError, match="'klingon' is no language that can be trained on; known: c, c#"):
        Source(workspace=tmp_path, languages=("python", "klingon"))


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_json_lines_give_text_path_and_language(tmp_path: Path, name: str) -> None:
    records = [
        {"content": "a = 1\n", "path": "src/a.py"},
        {"text": "let b;\n", "language": "TypeScript", "repo": "them/there"},
        {"content": "a = 1\n", "path": "copy.py"},
        {"content": "a = 2\n", "path": "src/a.py"},
    ]
    path = lines(tmp_path / name, records)
    found = list(documents(Source(data=path)))
    assert found == [
        SourceFile("x", "src/a.py", "python", "a = 1\n"),
        SourceFile("them/there", "00000002.ts", "typescript", "let b;\n"),
    ]


def test_the_text_field_and_one_language_can_be_named(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", [{"body": "fn main() {}\n", "content": 3}])
    assert read(Source(data=path, text_field="body", languages=("rust",))) == [
        ("00000001.rs", "rust", "fn main() {}\n")
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"content": "x", "path": "a.py"}\n{oops\n', r"x.jsonl line 2 is no JSON \("),
        (b"[]\n", "line 1 is no JSON object"),
        (b'{"code": "x"}\n', r"line 1 has no field 'content' or 'text' \(its fields: code\); see --text-field"),
        (b'{"content": 5}\n', "the field 'content' is no text"),
        (b'{"content": "x"}\n', "line 1 has neither a path nor a language"),
        (b'{"content": "x", "language": "klingon"}\n', r"no files to train on \(left out: 1 in other languages\)"),
        (b'{"content": "\xff"}\n', "is not UTF-8 text after line 0"),
        (b"", "x.jsonl has no files to train on$"),
    ],
)
def test_bad_json_lines_are_told_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        list(documents(Source(data=str(tmp_path / "x.jsonl"))))
    assert "\n" not in str(error.value)


def test_a_damaged_gzip_file_is_told_in_one_line(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl.gz", [{"content": f"{number}", "path": "a.py"} for number in range(999)])
    Path(path).write_bytes(Path(path).read_bytes()[:-300])
    with pytest.raises(DataError, match="cannot be read"):
        list(documents(Source(data=path)))


def test_a_built_corpus_is_read_as_it_is(tmp_path: Path) -> None:
    # Words that stand for a secret that was taken out must not take the file out too.
    files = [SourceFile("p", "a.py", "python", 'password = "hunter2hunter2"\n'), SourceFile("p", "b.go", "go", "b\n")]
    entry = write_shard(tmp_path, "p", "MIT", files)
    write_manifest(tmp_path, [entry], {}, "0")
    assert list(documents(Source(data=str(tmp_path)))) == files


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.jsonl", "none.jsonl cannot be read: .*No such file"),
        ("none", "does not exist; --data takes a built corpus, a .jsonl or .jsonl.gz file, or owner/name"),
        ("folder", "folder holds no corpus"),
        ("file.txt", "is neither a built corpus nor"),
    ],
)
def test_what_is_no_source_is_told_in_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(ValueError, match=message):
        list(documents(Source(data=str(tmp_path / name))))


def test_a_workspace_that_is_not_there_or_empty_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        list(documents(Source(workspace=tmp_path / "none")))
    (tmp_path / "a.sql").write_text("select 1;\n")
    with pytest.raises(DataError, match=r"has no files to train on \(left out: 1 in other languages\)"):
        list(documents(Source(workspace=tmp_path)))
    with pytest.raises(DataError, match="either --workspace PATH or --data X"):
        Source()


def test_a_hub_data_set_streams_and_says_when_it_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The real library, which for once finds the data set in a folder instead of on the hub.
    (tmp_path / "owner" / "code").mkdir(parents=True)
    lines(tmp_path / "owner" / "code" / "train.jsonl", [{"content": "a = 1\n", "lang": "python"}])
    load = datasets.load_dataset
    monkeypatch.setattr(
        datasets, "load_dataset", lambda name, subset, **options: load(str(tmp_path / name), subset, **options)
    )
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    assert list(documents(Source(data="owner/code"))) == [SourceFile("owner/code", "00000001.py", "python", "a = 1\n")]
    assert Source(data="owner/code").kind == "the data set owner/code"
    with pytest.raises(DataError, match="has no field 'body'"):
        list(documents(Source(data="owner/code", text_field="body")))
    with pytest.raises(DataError, match=r"the data set owner/none cannot be read: .*owner/none") as error:
        list(documents(Source(data="owner/none")))
    assert "\n" not in str(error.value)


def test_the_most_files_are_not_passed(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", [{"content": f"a = {n}", "path": f"{n}.py"} for n in range(9)])
    assert len(read(Source(data=path, max_files=4))) == 4


names = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=40)


def made(paths: Iterable[str]) -> list[SourceFile]:
    return [SourceFile("p", path, "python", "x") for path in paths]


@given(names, st.floats(0, 0.99), st.integers(0, 3))
def test_a_split_loses_nothing_and_has_two_sides(paths: list[str], share: float, seed: int) -> None:
    files = made(paths)
    train, held_out = split(files, share, seed)
    assert sorted(train + held_out, key=files.index) == files
    assert train == [file for file in files if file in train]
    if share and len(files) > 1:
        assert train
        assert held_out
    if not share:
        assert not held_out


def test_a_split_holds_about_the_share_and_files_stay_on_their_side() -> None:
    files = made(f"src/{number}.py" for number in range(1000))
    train, held_out = split(files, 0.1)
    assert 70 < len(held_out) < 130
    half = split(files[::2], 0.1)
    assert set(half[0]) <= set(train)
    assert set(half[1]) <= set(held_out)
    assert split(files, 0.1, seed=1)[1] != held_out
    with pytest.raises(ValueError, match="held-out share"):
        split(files, 1.0)

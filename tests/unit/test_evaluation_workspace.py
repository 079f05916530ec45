"""What `eval workspace` asks: files changed last first, holes in them, and what an offer in one is worth."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from aix_lsp.evaluation.benchmark import Output, Result, Sample
from aix_lsp.evaluation.comparison import compare
from aix_lsp.evaluation.run_folder import RunData
from aix_lsp.evaluation.summary import summarize
from aix_lsp.evaluation.summary_tables import WIDTH
from aix_lsp.evaluation.workspace_files import SourceFile, choose, is_test, is_vendored, learned
from aix_lsp.evaluation.workspace_holes import KINDS, draw, holes_of
from aix_lsp.evaluation.workspace_plan import Wanted, plan
from aix_lsp.evaluation.workspace_scores import METRICS, Offers, metrics, scores_of
from aix_lsp.evaluation.workspace_tables import Shown, tables_of
from aix_lsp.languages import language_id_of, language_of

SOURCES = Path(__file__).parents[1] / "fixtures" / "sources"

SHELF = '''"""Books on a shelf."""

import os


def longest(books, least=0):
    """The longest title."""
    # of those that are long enough
    found = [book for book in books if len(book) >= least]
    found.sort(key=len)
    return found[-1] if found else ""


class Shelf:
    def __init__(self, name, books):
        self.name = name
        self.books = list(books)  # a copy
        self.text = """
        not code at all
        """

    def count(self):
        return len(self.books)
'''


def git(root: Path, *arguments: str, when: int = 1_700_000_000) -> None:
    dates = {"GIT_AUTHOR_DATE": f"{when} +0000", "GIT_COMMITTER_DATE": f"{when} +0000"}
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(
        ["git", *identity, *arguments], cwd=root, check=True, capture_output=True, env={**os.environ, **dates}
    )


def written(root: Path, texts: dict[str, str]) -> Path:
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def names(files: tuple[SourceFile, ...]) -> list[str]:
    return [file.path for file in files]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_what_was_committed_last_or_is_not_committed_comes_first(tmp_path: Path) -> None:
    texts = {f"{name}.py": f"value = '{name}'\n" for name in ("old", "new", "edited", "fresh")}
    git(tmp_path, "init", "--quiet")
    for number, name in enumerate(("edited.py", "old.py", "new.py")):
        written(tmp_path, {name: texts[name]})
        git(tmp_path, "add", name)
        git(tmp_path, "commit", "--quiet", "-m", name, when=1_700_000_000 + number)
    texts["edited.py"] += "other = 1\n"
    written(tmp_path, {"edited.py": texts["edited.py"], "fresh.py": texts["fresh.py"]})
    # a checkout gives every file the time of now
    for number, name in enumerate(("new.py", "old.py", "edited.py", "fresh.py")):
        os.utime(tmp_path / name, (1_800_000_000 + number,) * 2)
    choice = choose(tmp_path, texts, ())
    assert names(choice.files) == ["fresh.py", "edited.py", "new.py", "old.py"]
    assert choice.notes == ("files changed last first, by git",)


def test_without_git_the_files_own_times_count(tmp_path: Path) -> None:
    texts = {"a.py": "a = 1\n", "b.py": "b = 1\n", "c.py": "c = 1\n"}
    written(tmp_path, texts)
    for name, time in (("a.py", 2e9), ("b.py", 1e9), ("c.py", 3e9)):
        os.utime(tmp_path / name, (time, time))
    choice = choose(tmp_path, texts, ())
    assert names(choice.files) == ["c.py", "a.py", "b.py"]
    assert "no git" in choice.notes[0]


def test_tests_copies_and_other_languages_are_left_out_and_told(tmp_path: Path) -> None:
    texts = {
        "shop/one.py": "one = 1\n",
        "shop/again.py": "one = 1\n",
        "tests/test_one.py": "two = 2\n",
        "vendor/theirs.py": "three = 3\n",
        "page.js": "four();\n",
        "notes.yaml": "five: 5\n",
    }
    choice = choose(written(tmp_path, texts), texts, ("python",))
    assert len(choice.files) == 1
    assert choice.files[0].text == "one = 1\n"
    assert choice.other_languages == {"javascript": 1, "yaml": 1}
    told = " ".join(choice.notes)
    for words in ("1 file of tests (--tests", "1 file of other projects", "1 file with the same text"):
        assert words in told
    assert len(choose(tmp_path, texts, ("python",), tests=True).files) == 2
    assert {file.language for file in choose(tmp_path, texts, ()).files} == {"python", "javascript"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tests/a.py", True),
        ("src/test_a.py", True),
        ("src/a_test.go", True),
        ("src/page.spec.ts", True),
        ("src/ShopTest.java", True),
        ("conftest.py", True),
        ("src/latest.py", False),
        ("src/Contest.java", False),
        ("src/testimony.py", False),
        ("src/attestation/a.py", False),
    ],
)
def test_tests_are_told_by_whole_words_of_their_names(path: str, expected: bool) -> None:
    assert is_test(path) is expected


def test_folders_of_other_projects() -> None:
    assert is_vendored("third_party/a.c")
    assert is_vendored("pip/_vendor/rich/a.py")
    assert not is_vendored("shop/vendor.py")


def test_projects_that_the_embedded_model_has_learned_from_are_known(tmp_path: Path) -> None:
    assert learned(written(tmp_path / "aiohttp-3.14.5", {"a.py": ""})) == "aiohttp"
    assert learned(written(tmp_path / "mine", {"pyproject.toml": '[project]\nname = "AIOHTTP"\n'})) == "aiohttp"
    assert learned(written(tmp_path / "other", {"pyproject.toml": "broken [\n"})) == ""
    assert learned(written(tmp_path / "click-8", {"a.py": ""})) == ""  # kept for evaluation


def texts_of(text: str, name: str = "a.py") -> dict[str, list[str]]:
    found = holes_of(text, language_of(name).grammar, random.Random(0))
    return {kind: [text[hole.start : hole.end] for hole in holes] for kind, holes in found.items()}


def test_holes_are_whole_statements_rests_of_lines_and_bodies() -> None:
    found = texts_of(SHELF)
    assert "import os" in found["statement"]
    assert "found.sort(key=len)" in found["statement"]
    assert not any("longest title" in text or text.startswith(("def", "class")) for text in found["statement"])
    assert "self.books = list(books)" not in found["statement"]  # a comment stands behind it
    body = SHELF.partition("long enough\n    ")[2].partition("\n\n\nclass")[0]
    assert body in found["block"]
    assert not any("not code at all" in text or "copy" in text for text in found["mid-line"])


@pytest.mark.parametrize("path", sorted(SOURCES.iterdir()), ids=lambda path: path.name)
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_every_language_has_every_kind_and_holes_fit_their_lines(path: Path, line_break: str) -> None:
    text = "# ☺ äöü\n" + path.read_text(encoding="utf-8") if path.suffix == ".py" else path.read_text(encoding="utf-8")
    text = text.replace("\n", line_break)
    for kind, holes in holes_of(text, language_of(path.name).grammar, random.Random(1)).items():
        assert holes, kind
        for hole in holes:
            wanted, before = text[hole.start : hole.end], text[: hole.start].rpartition("\n")[2]
            assert wanted == wanted.rstrip() != ""
            assert text[hole.end :].lstrip(" \t")[:1] in ("", "\r", "\n")
            assert bool(before.strip()) == (kind == "mid-line")


def test_without_a_grammar_there_are_rests_of_lines() -> None:
    found = texts_of("# nobody's\nname: shelf\nbooks:\n  - one book\n", "a.yaml")
    assert list(found) == ["mid-line"]
    assert not any("nobody" in text for text in found["mid-line"])


def source_files(count: int, name: str = "shop/part{}.py", text: str = SHELF) -> list[SourceFile]:
    """The first is the one that was changed last."""
    return [
        SourceFile(path := name.format(number), f"{text}\n\nlast = {number}\n", language_id_of(path), float(-number))
        for number in range(count)
    ]


def test_places_are_shared_among_kinds_and_come_from_the_latest_files() -> None:
    samples = draw(source_files(30), count=24, seed=3)
    assert Counter(sample.scenario for sample in samples) == dict.fromkeys(KINDS, 8)
    assert {sample.name for sample in samples} == {f"shop/part{number}.py" for number in range(4)}
    assert max(Counter((sample.name, sample.scenario) for sample in samples).values()) == 2
    assert len({sample.id for sample in samples}) == 24
    assert samples == draw(source_files(30), count=24, seed=3)
    assert samples != draw(source_files(30), count=24, seed=4)


def test_what_one_kind_or_language_lacks_the_others_give() -> None:
    assert len(draw(source_files(1), count=1_000)) < 60
    lines = [SourceFile("a.yaml", "name: one\nother: two words\n" * 3, "yaml", 0.0)]
    samples = draw([*source_files(10), *lines], count=40)
    counted = Counter(sample.language for sample in samples)
    assert counted["yaml"] == 6
    assert counted["python"] == 34


def sample(scenario: str, wanted: str, name: str = "a.py") -> Sample:
    return Sample("id", language_id_of(name), scenario, name, "def f(x):\n    ", "\n", wanted)


def test_a_statement_is_judged_by_as_many_lines_as_stood_there() -> None:
    offer = "return x + 1\n    y = 2"
    scores = scores_of(sample("statement", "return x + 1"), Offers(offer, offer))
    assert {name: scores[name] for name in ("exact", "right", "offered", "similarity", "prefix")} == {
        "exact": 1.0,
        "right": 1.0,
        "offered": 1.0,
        "similarity": 100.0,
        "prefix": 12.0,
    }
    assert (scores["held_back"], scores["held_right"], scores["bleu"]) == (0.0, None, None)


def test_what_the_gate_shortened_is_right_as_far_as_it_goes() -> None:
    scores = scores_of(sample("mid-line", "return x + 1"), Offers("return x", "return x + 1"))
    assert (scores["exact"], scores["right"], scores["prefix"]) == (0.0, 1.0, 8.0)
    assert (scores["held_back"], scores["held_right"], scores["ungated"]) == (1.0, 1.0, 1.0)


def test_nothing_offered_is_not_right_and_is_no_offer() -> None:
    scores = scores_of(sample("mid-line", "return x"), Offers("", ""))
    assert (scores["exact"], scores["offered"], scores["prefix"]) == (0.0, 0.0, 0.0)
    assert all(scores[name] is None for name in ("right", "similarity", "held_back", "held_right", "bleu"))


def test_a_block_is_judged_as_a_whole() -> None:
    wanted = "y = x + 1\n    return y"
    scores = scores_of(sample("block", wanted), Offers(wanted, wanted))
    assert (scores["exact"], scores["bleu"], scores["codebleu"]) == (1.0, pytest.approx(100), pytest.approx(100))
    longer = scores_of(sample("block", wanted), Offers(f"{wanted} + 2", f"{wanted} + 2"))
    assert longer["exact"] == 0.0
    assert 0 < (longer["codebleu"] or 0.0) < 100


def test_line_breaks_of_a_document_are_no_mistakes() -> None:
    crlf = "y = x\r\n    return y"
    assert scores_of(sample("block", crlf), Offers("y = x\n    return y", ""))["exact"] == 1.0


def test_the_scores_are_those_of_the_table() -> None:
    scores = scores_of(sample("block", "return x"), Offers("return x", "return x"))
    assert set(scores) == {metric.name for metric in METRICS} == {metric.name for metric in metrics()}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    texts = {f"shop/part{number}.py": f"{SHELF}\n\nlast = {number}\n" for number in range(3)}
    root = written(tmp_path / "shop", {**texts, "page.js": "four(five, six);\n", "tests/test_a.py": "assert True\n"})
    (root / "image.py").write_bytes(b"\0" * 100)
    (root / "large.py").write_text("x = 1\n" * 200_000)
    return root


def test_every_way_of_answering_gets_the_same_places_and_a_configuration_of_its_own(project: Path) -> None:
    made = plan(Wanted((project,), limit=6))
    assert [way.label for way in made.ways] == ["aix-mini", "aix-mini without retrieval"]
    assert [way.slug for way in made.ways] == ["aix-mini", "aix-mini-without-retrieval"]
    one, other = made.configs
    assert one["uses"] == "the whole service"
    assert {key for key in one if one[key] != other[key]} == {"label", "retrieval"}
    told = "\n".join(made.notes)
    for words in ("1 file of tests", "1 binary", "1 larger than", "javascript (1)", "--languages asks there too"):
        assert words in told


def test_a_change_of_any_file_makes_another_run(project: Path) -> None:
    before = plan(Wanted((project,), limit=4)).configs[0]["data"]
    assert before == plan(Wanted((project,), limit=4)).configs[0]["data"]
    (project / "page.js").write_text("seven();\n")
    assert before != plan(Wanted((project,), limit=4)).configs[0]["data"]


def test_languages_that_the_model_does_not_know_are_asked_when_named(project: Path) -> None:
    made = plan(Wanted((project,), limit=6, languages=("javascript",)))
    assert {sample.language for sample in made.samples} == {"javascript"}
    told = "\n".join(made.notes)
    assert "aix-mini was not made for javascript" in told
    assert f"{len(made.samples)} places are all that these files have, 6 were asked for" in told


def test_a_project_with_nothing_to_ask_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no code in python \(aix-mini knows no other\) to take a place from"):
        plan(Wanted((tmp_path,)))


def test_folders_of_one_name_keep_their_places_apart(tmp_path: Path) -> None:
    roots = tuple(written(tmp_path / name / "shop", {"a.py": SHELF}) for name in ("one", "two"))
    made = plan(Wanted(roots, limit=8))
    assert len({sample.id for sample in made.samples}) == 8
    assert len({sample.extra["group"] for sample in made.samples}) == 2


def run_of(label: str, exact: list[float], languages: tuple[str, ...] = ("python",)) -> RunData:
    results = []
    for number, value in enumerate(exact):
        kind, language = KINDS[number % 3], languages[number % len(languages)]
        own = Sample(f"{number}", language, kind, "a.py", "", "", "return x")
        offer = "return x" if value else "return y"
        output = Output((offer,), finish="offered", milliseconds=100.0 + number)
        results.append(Result(own, output, scores_of(own, Offers(offer, offer))))
    return RunData({"label": label}, results)


@pytest.mark.parametrize("languages", [("python",), ("python", "typescriptreact")])
def test_the_tables_fit_100_columns_and_say_which_run_is_better(languages: tuple[str, ...]) -> None:
    first = run_of("aix-mini", [0.0, 0.0, 1.0] * 20, languages)
    second = run_of("aix-mini+mine", [1.0, 0.0, 1.0] * 20, languages)
    shown = [
        Shown("aix-mini", first, summarize(first.results, metrics())),
        Shown("aix-mini+mine", second, summarize(second.results, metrics()), compare(first, second, metrics())),
    ]
    written_to = io.StringIO()
    console = Console(width=WIDTH, file=written_to)
    for table in tables_of(shown):
        console.print(table)
    text = written_to.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= WIDTH
    assert all(language in text for language in languages) or len(languages) == 1
    assert "+33.3" in text
    assert "better" in text
    assert "20 places became right, 0 wrong" in text
    same = compare(first, first, metrics())
    assert {change.verdict for change in same.overall.changes} == {"no difference seen"}
    assert not same.flips


@pytest.mark.parametrize(("places", "verdict"), [(5, "too few to say"), (6, "better")])
def test_a_verdict_takes_more_than_a_handful_of_places(places: int, verdict: str) -> None:
    first, second = run_of("one", [0.0] * places), run_of("other", [1.0] * places)
    change = compare(first, second, metrics()).overall.changes[0]
    assert (change.metric, change.difference.mean, change.verdict) == ("exact", 1.0, verdict)

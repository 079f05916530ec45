"""CrossCodeEval on places written for this project in its format; values are worked out by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aix_lsp.evaluation.benchmark import DataError, Output, Sample
from aix_lsp.evaluation.crosscodeeval import CrossCodeEval, without_comments
from aix_lsp.evaluation.metrics.identifiers import identifier_match
from aix_lsp.evaluation.summary import summarize
from tests.unit.scripted_benchmark import run_with

DATA = Path(__file__).parents[1] / "fixtures" / "evaluation" / "crosscodeeval_data"

REPLIES = [
    # the statement ends with its line; what is a comment does not count
    "total_price(basket.items, basket.discount)  # with tax\nprint(basket)\n",
    # 10 of the 20 wanted characters, all of them in order: 2 * 10 / 30; two of three names
    "load(path)\n",
    # the statement ends with its semicolon
    "prices.totalOf(basket); audit();",
    # 13 of 16 and 15 characters in order: 2 * 13 / 31; two of three names on either side
    "store.find(key);",
    "",
]
EXACT = [1.0, 0.0, 1.0, 0.0, 0.0]
SIMILAR = [100.0, 2000 / 30, 100.0, 2600 / 31, 0.0]
IDENTIFIERS = [1.0, 0.0, 1.0, 0.0, 0.0]
NAMES = [1.0, 0.8, 1.0, 2 / 3, 0.0]


def loaded(setting: str = "none", data: Path = DATA) -> list[Sample]:
    return list(CrossCodeEval(data, setting).load(0, 0).samples)


def test_a_run_has_the_papers_four_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = CrossCodeEval(DATA, "bm25")
    data = run_with(monkeypatch, benchmark, REPLIES)
    scores = [result.scores for result in data.results]
    assert [score["exact"] for score in scores] == EXACT
    assert [score["edit_similarity"] for score in scores] == pytest.approx(SIMILAR)
    assert [score["identifier_exact"] for score in scores] == IDENTIFIERS
    assert [score["identifier_f1"] for score in scores] == pytest.approx(NAMES)
    assert [result.output.error for result in data.results] == [""] * 5
    table = summarize(data.results, benchmark.metrics).overall.metrics
    assert table["exact"].mean == pytest.approx(2 / 5)
    assert table["edit_similarity"].mean == pytest.approx(sum(SIMILAR) / 5)
    assert table["identifier_f1"].mean == pytest.approx(sum(NAMES) / 5)


def test_answers_are_cut_to_their_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    data = run_with(monkeypatch, CrossCodeEval(DATA), REPLIES)
    assert [result.output.text for result in data.results] == [
        "total_price(basket.items, basket.discount)  # with tax",
        "load(path)",
        "prices.totalOf(basket);",
        "store.find(key);",
        "",
    ]


def test_places_are_asked_as_the_protocol_says() -> None:
    samples = loaded()
    assert [sample.language for sample in samples] == ["python", "python", "java", "typescript", "csharp"]
    first = samples[0]
    assert (first.id, first.name, first.scenario) == ("project_cc_python/1", "shop/receipt.py", "none")
    assert first.before.endswith("    return ")
    assert (first.wanted, first.after[:2]) == ("total_price(basket.items, basket.discount)", "\n\n")
    assert {(sample.format, sample.max_new_tokens, sample.stop) for sample in samples} == {("psm", 50, "statement")}


def test_each_setting_has_its_snippets_best_first() -> None:
    assert all(not sample.snippets for sample in loaded("none"))
    first = loaded("bm25")[0]
    assert [snippet.path for snippet in first.snippets] == ["shop/basket.py", "shop/prices.py", "shop/ship.py"]
    assert first.snippets[0].text == "class Basket:\n    items: list"
    assert (first.snippets[0].start_line, first.snippets[0].end_line) == (1, 2)
    assert [snippet.path for snippet in loaded("reference")[0].snippets] == ["shop/prices.py"]


def test_snippets_stand_in_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = loaded("bm25")
    with_snippets = run_with(monkeypatch, CrossCodeEval(DATA, "bm25"), [""] * 5).results
    without = run_with(monkeypatch, CrossCodeEval(DATA), [""] * 5).results
    assert len(samples) == 5
    for one, other in zip(with_snippets, without, strict=True):
        assert one.output.prompt_tokens > other.output.prompt_tokens


def test_own_retrieval_finds_what_the_repository_defines(tmp_path: Path) -> None:
    shop = tmp_path / "lumo-shop-0a1b2c3" / "shop"
    shop.mkdir(parents=True)
    (shop / "prices.py").write_text(
        "def total_price(items, discount):\n    return sum(item.price for item in items) - discount\n"
    )
    (shop / "receipt.py").write_text("SOLUTION = 'total_price(basket.items, basket.discount)'\n")
    (shop / "weather.py").write_text("def rain(clouds):\n    return clouds > 3\n")
    found = CrossCodeEval(DATA, "own", repositories=tmp_path).load(0, 0)
    assert [sample.id for sample in found.samples] == ["project_cc_python/1", "project_cc_python/2"]
    paths = [snippet.path for snippet in found.samples[0].snippets]
    assert "shop/prices.py" in paths
    assert "shop/receipt.py" not in paths
    assert found.notes == ([f"3 of 5 places not run: 3 of 4 repositories are not in {tmp_path.name}"])


def test_data_may_be_a_folder_of_languages_one_of_them_or_a_file(tmp_path: Path) -> None:
    assert [sample.language for sample in loaded(data=DATA.parent)] == [sample.language for sample in loaded()]
    assert {sample.language for sample in loaded(data=DATA / "java")} == {"java"}
    assert {sample.language for sample in loaded(data=DATA / "csharp" / "line_completion.jsonl")} == {"csharp"}
    shutil.copytree(DATA / "python", tmp_path / "python")
    (tmp_path / "python" / "line_completion.jsonl").unlink()
    assert len(loaded(data=tmp_path)) == 2


def test_what_is_missing_says_where_to_get_it(tmp_path: Path) -> None:
    for data in (tmp_path, tmp_path / "no such folder"):
        with pytest.raises(DataError, match=r"cceval.*crosscodeeval_data") as told:
            loaded("bm25", data)
        assert "Apache-2.0" in str(told.value)
    with pytest.raises(DataError, match="needs --repositories DIR"):
        CrossCodeEval(DATA, "own")
    with pytest.raises(DataError, match="has none of the 4 repositories, such as lumo-cash-0a1b2c3"):
        CrossCodeEval(DATA, "own", repositories=tmp_path).load(0, 0)
    with pytest.raises(DataError, match="takes none, bm25, reference, own"):
        CrossCodeEval(DATA, "best")


def test_malformed_lines_are_told_with_their_numbers(tmp_path: Path) -> None:
    good = (DATA / "python" / "line_completion_rg1_bm25.jsonl").read_text().splitlines()
    row = json.loads(good[0])
    other = {**row, "metadata": {**row["metadata"], "file": "a.cob"}}
    bare = {key: value for key, value in row.items() if key != "crossfile_context"}
    file = tmp_path / "line_completion_rg1_bm25.jsonl"
    lines = [*good, "{", json.dumps(other), json.dumps(bare)]
    more = [json.dumps({**row, "metadata": {**row["metadata"], "task_id": f"x/{n}"}}) for n in range(3)]
    file.write_text("\n".join([*lines, *more]) + "\n")
    found = CrossCodeEval(file, "bm25").load(0, 0)
    assert len(found.samples) == 5
    assert [problem.partition(": ")[0] for problem in found.problems] == [f"{file.name}, line {n}" for n in (3, 4, 5)]
    assert "crossfile_context is missing" in found.problems[2]


def test_snippets_without_a_score_keep_their_order_and_a_place_may_have_none(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (DATA / "python" / "line_completion_rg1_bm25.jsonl").read_text().splitlines()]
    for chunk in rows[0]["crossfile_context"]["list"]:
        chunk["score"] = None
    rows[1]["crossfile_context"] = {}
    file = tmp_path / "line_completion_rg1_bm25.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = loaded("bm25", file)
    assert [snippet.path for snippet in first.snippets] == ["shop/prices.py", "shop/basket.py", "shop/ship.py"]
    assert second.snippets == ()


def test_a_limit_takes_of_each_language() -> None:
    drawn = CrossCodeEval(DATA).load(4, 1).samples
    assert [sample.language for sample in drawn] == ["python", "java", "typescript", "csharp"]


def test_comments_are_dropped_as_in_the_papers_script() -> None:
    assert without_comments("a = 1  # one\nb = 2") == "a = 1  \nb = 2"
    assert without_comments("f(x); // call") == "f(x); "
    assert without_comments('get("http://x")') == 'get("http:'
    sample = loaded()[2]
    scores = CrossCodeEval(DATA).score(sample, Output(("  prices.totalOf(basket);  ",)))
    assert scores["exact"] == 1.0
    assert identifier_match("a.b", "a.b", "java") == (1.0, 1.0)

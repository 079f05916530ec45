"""aiXcoder's thirteen scenarios: the published files, the scores, and the holes of a checkout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aix_lsp.evaluation.aix_fim import AixFim, holes_of_checkout, scenario_of
from aix_lsp.evaluation.aix_fim_holes import SCENARIOS, scenario_holes
from aix_lsp.evaluation.benchmark import DataError, Output

DATA = Path(__file__).parents[1] / "fixtures" / "evaluation"
FILES = sorted(DATA.glob("aiXcoder_extended_*.jsonl"))

JAVA = """class Orders {
    /** What an order costs. */
    @Override
    public int total(int price) throws Missing {
        if (price < 0) {
            return 0;
        } else if (price > 9) {
            return 9;
        }
        for (int tax : taxes) {
            price += tax;
        }
        try {
            save();
        } catch (Missing error) {
            throw error;
        }
        switch (price) {
            case 1: save();
        }
        while (open()) wait();
        return price;
    }
}
"""
CPP = """template <class T>
int Orders::total(T price) const {
    for (auto tax : taxes) {
        price += tax;
    }
    return price;
}
Orders::Orders() : taxes(0) { save(); }
"""
SCRIPT = """export async function total(price) {
  for (const tax of taxes) price += tax;
  const name = 'é';
  return price;
}
"""
PYTHON = '''class Orders:
    @cached
    def total(self, price):
        """What an order costs, in €."""
        # with its taxes
        if price < 0:
            return 0
        elif price > 9:
            return 9
        for tax in self.taxes:
            price += tax
        match price:
            case 1:
                save()
        return price
'''


def texts(text: str, grammar: str) -> dict[str, list[str]]:
    return {
        scenario: [text[start:end] for start, end in spans] for scenario, spans in scenario_holes(text, grammar).items()
    }


def test_java_has_all_but_a_body_without_comment() -> None:
    found = texts(JAVA, "java")
    assert set(found) == set(SCENARIOS) - {"method body"}
    assert found["method signature"] == ["@Override\n    public int total(int price) throws Missing"]
    assert found["body with comment"] == [JAVA[JAVA.index("if (price < 0)") : JAVA.index("\n    }\n}")]]
    assert found["if"][0].startswith("if (price < 0)")
    assert found["if"][0].endswith("return 9;\n        }")
    assert len(found["if"]) == 1  # the `else if` is no statement of its own
    assert found["while"] == ["while (open()) wait();"]
    # six statements: two, two and two
    assert found["body top"][0].endswith("price += tax;\n        }")
    assert found["body mid"][0].startswith("try {")
    assert found["body bottom"] == ["while (open()) wait();\n        return price;"]
    assert "return price;" in found["single line"]


def test_cpp_leaves_out_signatures_with_initializers() -> None:
    found = texts(CPP, "cpp")
    assert found["method signature"] == ["int Orders::total(T price) const"]
    assert found["method body"] == [CPP[CPP.index("for (") : CPP.index("\n}\nOrders")], "save();"]
    assert found["for"] == ["for (auto tax : taxes) {\n        price += tax;\n    }"]


def test_javascript_counts_characters_and_not_bytes() -> None:
    found = texts(SCRIPT, "javascript")
    assert found["method signature"] == ["async function total(price)"]
    assert found["single line"] == ["for (const tax of taxes) price += tax;", "const name = 'é';", "return price;"]
    assert (found["body top"], found["body mid"], found["body bottom"]) == tuple(
        [line] for line in found["single line"]
    )


def test_a_python_body_begins_behind_its_docstring_and_match_is_a_switch() -> None:
    found = texts(PYTHON, "python")
    assert found["method signature"] == ["def total(self, price):"]
    assert found["body with comment"][0].startswith("# with its taxes\n        if price < 0:")
    assert "method body" not in found
    assert found["switch"] == ["match price:\n            case 1:\n                save()"]
    assert found["if"][0].endswith("return 9")


def test_an_empty_hole_is_the_end_of_a_statements_line() -> None:
    ends = [start for start, end in scenario_holes(PYTHON, "python")["empty"] if start == end]
    assert ends
    assert all(PYTHON[end] == "\n" and PYTHON[end - 1] not in " \n" for end in ends)


def test_code_that_cannot_be_read_and_other_grammars_have_no_holes() -> None:
    assert scenario_holes("def f(:\n    return (\n", "python").get("method body") is None
    assert scenario_holes("func f() { g() }", "go") == {}


def test_the_published_files_have_thirteen_scenarios_in_four_languages() -> None:
    samples = AixFim(FILES).load(0, 0).samples
    assert {sample.scenario for sample in samples} == set(SCENARIOS)
    assert {(sample.language, sample.name) for sample in samples} == {
        ("java", "test.java"),
        ("cpp", "test.cpp"),
        ("javascript", "test.js"),
        ("python", "test.py"),
    }
    # the same number in two files names two samples
    assert {"java/0", "cpp/0", "javascript/0", "python/0"} <= {sample.id for sample in samples}


def test_a_folder_stands_for_the_files_in_it() -> None:
    assert len(AixFim([DATA]).load(0, 0).samples) == len(AixFim(FILES).load(0, 0).samples) == 13


@pytest.mark.parametrize(
    ("told", "scenario"),
    [
        ("if_statement", "if"),
        ("ForStatement", "for"),
        ("Method body top", "body top"),
        ("method_with_comment", "body with comment"),
        ("switch case", "switch"),
        ("METHOD_BODY", "method body"),
        ("single_line", "single line"),
        ("random", "random"),
        ("multiple_lines", "multiple_lines"),
    ],
)
def test_task_types_are_known_however_they_are_spelled(told: str, scenario: str) -> None:
    assert scenario_of(told) == scenario


def test_scores_worked_out_by_hand() -> None:
    benchmark = AixFim(FILES)
    samples = {sample.id: sample for sample in benchmark.load(0, 0).samples}
    line, empty, last = samples["python/3"], samples["python/4"], samples["java/2"]
    assert benchmark.score(line, Output((line.wanted + "\n",))) == {
        "exact": 1,
        "bleu4": 100,
        "codebleu": 100,
        "length_ratio": 1,
    }
    # "total = price * count - tax" for "... + tax", seven tokens: 6 of 7, 4 of 6, 3 of 5 and 2 of 4 n-grams match
    ngrams = 100 * (6 / 7 * 4 / 6 * 3 / 5 * 2 / 4) ** (1 / 4)
    scores = benchmark.score(line, Output(("total = price * count - tax",)))
    assert scores["exact"] == 0
    assert scores["bleu4"] == pytest.approx(ngrams)
    # no keyword, so the weighted n-grams are the same; the trees and what `total` comes from do not differ
    assert scores["codebleu"] == pytest.approx((ngrams + ngrams + 100 + 100) / 4)
    assert scores["length_ratio"] == 1
    # as published: 95.0 % right and CodeBLEU 48.7 is 0.95 * 50 + 0.05 * 25
    nothing = {"exact": 1, "bleu4": 100, "codebleu": 50, "length_ratio": None}
    assert benchmark.score(empty, Output(("\n",))) == nothing
    assert benchmark.score(empty, Output(("pass",))) == {**nothing, "exact": 0, "bleu4": 0, "codebleu": 25}
    # nothing for "return total;": no n-gram, no subtree; what is wanted has no data flow, which counts as full
    assert benchmark.score(last, Output(("",))) == {"exact": 0, "bleu4": 0, "codebleu": 25, "length_ratio": 0}


def test_malformed_lines_and_unknown_languages_are_told(tmp_path: Path) -> None:
    lines = FILES[0].read_text(encoding="utf-8").splitlines()
    path = tmp_path / "data_cplus.jsonl"
    path.write_text("\n".join([lines[0], "[]", *lines[1:], json.dumps({"task_id": 9})]), encoding="utf-8")
    loaded = AixFim([path]).load(0, 0)
    assert len(loaded.samples) == 3
    assert loaded.problems == [
        "data_cplus.jsonl, line 2: no JSON object; passed over",
        "data_cplus.jsonl, line 5: pre_mask_code is missing; passed over",
    ]
    nameless = tmp_path / "data.jsonl"
    nameless.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match="neither the file's name nor a field language names one of java"):
        AixFim([nameless]).load(0, 0)
    with pytest.raises(DataError, match="the hub has no copy of the data of aix-fim; get aiXcoder's thirteen"):
        AixFim([Path("hub")]).load(0, 0)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "orders"
    folder.mkdir()
    for name, text in (("Orders.java", JAVA), ("orders.cpp", CPP), ("orders.js", SCRIPT), ("orders.py", PYTHON)):
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "notes.md").write_text("def total(): ...\n", encoding="utf-8")
    return folder


def test_holes_of_a_checkout_are_put_together_to_the_file_again(checkout: Path) -> None:
    loaded = AixFim([], [checkout]).load(0, 3)
    assert {sample.language for sample in loaded.samples} == {"java", "cpp", "javascript", "python"}
    for sample in loaded.samples:
        assert sample.before + sample.wanted + sample.after == (checkout / sample.name).read_text(encoding="utf-8")
    assert loaded.notes[0].startswith("holes of orders (")
    assert len({sample.id for sample in loaded.samples}) == len(loaded.samples)


def test_the_same_seed_draws_the_same_holes_and_no_more_than_asked(checkout: Path) -> None:
    some = holes_of_checkout(checkout, 3, most=1)
    assert some == holes_of_checkout(checkout, 3, most=1)
    groups = [(sample.language, sample.scenario) for sample in some]
    assert len(groups) == len(set(groups))
    java = [scenario for language, scenario in groups if language == "java"]
    assert java == [scenario for scenario in SCENARIOS if scenario in java]
    others = [holes_of_checkout(checkout, seed, most=1) for seed in range(4, 12)]
    assert any(other != some for other in others)
    assert len(AixFim([], [checkout]).load(7, 0).samples) == 7


def test_a_folder_without_functions_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no holes: .* has no function in java, cpp, javascript, python"):
        AixFim([], [tmp_path]).load(0, 0)
    with pytest.raises(DataError, match="is no folder; --repository takes a checkout"):
        AixFim([], [tmp_path / "nothing"]).load(0, 0)

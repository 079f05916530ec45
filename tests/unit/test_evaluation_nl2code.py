"""HumanEval, MBPP and MultiPL-E on problems written for this project in their formats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aix_lsp.evaluation import nl2code, toolchains
from aix_lsp.evaluation.benchmark import DataError, Output, Sample
from aix_lsp.evaluation.nl2code import Nl2Code, passes
from aix_lsp.evaluation.sandbox import Sandbox
from aix_lsp.evaluation.summary import summarize
from aix_lsp.evaluation.toolchains import run_program, why_not
from tests.unit.scripted_benchmark import run_with

DATA = Path(__file__).parents[1] / "fixtures" / "evaluation"
HUMAN_EVAL = DATA / "HumanEval.jsonl"
SANDBOX = Sandbox.find()
isolated = pytest.mark.skipif(SANDBOX is None, reason="nothing isolates programs here")


def samples(name: str, **options: float) -> list[Sample]:
    return list(Nl2Code([DATA / name], **options).load(0, 0).samples)  # type: ignore[arg-type]


def sandbox_for(language: str) -> Sandbox:
    """Asked for by the test itself: to try a toolchain takes seconds, which would else be every collection's."""
    if SANDBOX is None:
        pytest.skip("no sandbox")
    if reason := why_not(language, SANDBOX):
        pytest.skip(reason)
    return SANDBOX


@isolated
def test_pass_at_1_is_the_share_of_greedy_answers_that_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    replies = [
        "    return max(low, min(value, high))\n",
        # a large vowel is none: one of three assertions fails
        "    return sum(letter in 'aeiou' for letter in text)\n",
        # what stands behind the function is cut off
        "    return [sum(numbers[: n + 1]) for n in range(len(numbers))]\nprint(undefined)\n",
    ]
    benchmark = Nl2Code([HUMAN_EVAL])
    data = run_with(monkeypatch, benchmark, replies)
    assert [result.scores for result in data.results] == [{"pass_at_1": 1.0}, {"pass_at_1": 0.0}, {"pass_at_1": 1.0}]
    assert "print" not in data.results[2].output.text
    assert summarize(data.results, benchmark.metrics).overall.metrics["pass_at_1"].mean == pytest.approx(2 / 3)
    assert data.config["notes"][0].startswith("programs: ")


@isolated
def test_pass_at_k_is_unbiased_over_drawn_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    right, wrong = "    return max(low, min(value, high))\n", "    return low\n"
    benchmark = Nl2Code([HUMAN_EVAL], samples=10, temperature=0.8)
    assert [metric.name for metric in benchmark.metrics] == ["pass_at_1", "pass_at_10"]
    data = run_with(monkeypatch, benchmark, [right, wrong, wrong, right, *[wrong] * 6, *["    pass\n"] * 20])
    # 2 of 10 passed: pass@1 is 1 - 8/10, and any draw of all ten has one that passes
    assert data.results[0].scores == {"pass_at_1": pytest.approx(0.2), "pass_at_10": 1.0}
    assert data.results[1].scores == {"pass_at_1": 0.0, "pass_at_10": 0.0}
    assert str(data.results[1].scores["pass_at_1"]) == "0.0"
    assert len(data.results[0].output.texts) == 10


@isolated
def test_prompts_are_asked_left_to_right_up_to_the_problems_stop_words() -> None:
    sample = samples("HumanEval.jsonl", samples=2, temperature=0.5)[0]
    assert (sample.format, sample.stop, sample.after, sample.max_new_tokens) == ("l2r", "function", "", 512)
    assert sample.before.startswith("def clamp(")
    assert (sample.extra["draws"], sample.extra["temperature"], sample.extra["top_p"]) == (2, 0.5, 0.95)
    js = samples("humaneval-js.jsonl")[0]
    assert (js.id, js.language, js.scenario) == ("js/HumanEval_900_clamp", "javascript", "MultiPL-E HumanEval")
    assert "\nconsole.log" in js.extra["stop_tokens"]
    assert "draws" not in js.extra


@isolated
def test_mbpp_shows_its_first_assertion_and_runs_its_test_split() -> None:
    benchmark = Nl2Code([DATA / "mbpp.jsonl"])
    loaded = benchmark.load(0, 0)
    assert [sample.id for sample in loaded.samples] == ["MBPP/11", "MBPP/12"]
    assert "1 others not run" in loaded.notes[1]
    assert loaded.samples[1].before == (
        '"""\nWrite a function to repeat each letter of a word.\nassert stutter(\'ab\') == \'aabb\'\n"""\n'
    )
    area = "def ring_area(outer, inner):\n    return math.pi * (outer ** 2 - inner ** 2)"
    assert benchmark.score(loaded.samples[0], Output((area,))) == {"pass_at_1": 1.0}
    assert benchmark.score(loaded.samples[1], Output(("def stutter(word): return 'aabb'",))) == {"pass_at_1": 0.0}


@isolated
def test_the_sanitized_list_is_read_with_its_imports() -> None:
    (sample,) = samples("sanitized-mbpp.json")
    assert (sample.id, sample.scenario) == ("MBPP-sanitized/14", "MBPP sanitized")
    assert SANDBOX is not None
    assert passes(sample, "def is_leap(year):\n    return calendar.isleap(year)", SANDBOX)
    assert not passes(sample, "def is_leap(year):\n    return year % 4 == 0", SANDBOX)


def test_a_javascript_problem_runs_in_node() -> None:
    sandbox = sandbox_for("js")
    (sample,) = samples("humaneval-js.jsonl")
    assert passes(sample, "  return Math.max(low, Math.min(value, high));\n}", sandbox)
    assert not passes(sample, "  return value;\n}", sandbox)
    assert not passes(sample, "  return (", sandbox)


def test_a_java_problem_is_compiled_with_its_tuples() -> None:
    sandbox = sandbox_for("java")
    (sample,) = samples("mbpp-java.jsonl")
    assert passes(sample, "        return Pair.with(number, number * 2);", sandbox)
    assert not passes(sample, "        return Pair.with(number, number * 3);", sandbox)


@pytest.mark.parametrize(
    ("language", "wrong"),
    [
        ("cpp", "#include <cassert>\nint main() { assert(false); }"),
        ("rs", "fn main() { assert!(false); }"),
        ("sh", "set -e\nfalse"),
    ],
)
def test_programs_of_other_languages_pass_and_fail(language: str, wrong: str) -> None:
    assert run_program(language, wrong, sandbox_for(language)).status == "failed"


@isolated
def test_a_language_that_cannot_run_here_is_told_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    row = json.loads((DATA / "humaneval-js.jsonl").read_text())
    file = tmp_path / "several.jsonl"
    rows = [row, {**row, "language": "lua"}, {**row, "language": "go"}]
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    reasons = {"js": "", "lua": "this project knows no way to run it", "go": "go not installed"}
    monkeypatch.setattr(nl2code, "why_not", lambda language, sandbox: reasons[language])
    loaded = Nl2Code([file]).load(0, 0)
    assert [sample.id for sample in loaded.samples] == ["js/HumanEval_900_clamp"]
    assert loaded.notes[1:] == [
        "lua: not run (this project knows no way to run it): 1 problems",
        "go: not run (go not installed): 1 problems",
    ]
    file.write_text(json.dumps(rows[2]) + "\n")
    with pytest.raises(DataError, match=r"go: not run \(go not installed\)"):
        Nl2Code([file]).load(0, 0)


@isolated
def test_a_command_that_is_not_there_is_why_a_language_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SANDBOX is not None
    toolchains._tried.cache_clear()
    monkeypatch.setattr(toolchains.shutil, "which", lambda name: None)
    try:
        assert why_not("ts", SANDBOX) == "tsc and node not installed"
        assert why_not("cobol", SANDBOX) == "this project knows no way to run it"
    finally:
        toolchains._tried.cache_clear()


def test_without_a_sandbox_nothing_is_run_and_the_reason_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sandbox, "find", staticmethod(lambda force=False: None))
    monkeypatch.setattr(nl2code, "why_none", lambda: "bubblewrap is not installed")
    with pytest.raises(DataError, match=r"nl2code: not run: nothing isolates.*bubblewrap is not installed.*--force"):
        Nl2Code([HUMAN_EVAL]).load(0, 0)


@isolated
def test_what_is_no_such_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="HumanEval-Infilling, for fim-lines"):
        Nl2Code([DATA / "HumanEval-Infilling.jsonl"]).load(0, 0)
    with pytest.raises(DataError, match=r"is not there; get HumanEval .*MIT.*MBPP.*CC BY 4.0"):
        Nl2Code([tmp_path / "none.jsonl"]).load(0, 0)
    with pytest.raises(DataError, match="give a temperature"):
        Nl2Code([HUMAN_EVAL], samples=5)


@isolated
def test_malformed_lines_are_told_with_their_numbers(tmp_path: Path) -> None:
    row = json.loads((DATA / "mbpp.jsonl").read_text().splitlines()[1])
    human_eval = json.loads(HUMAN_EVAL.read_text().splitlines()[0])
    wrong = [
        ({**row, "task_id": True}, "task_id is no number"),
        ({**row, "task_id": 21, "code": 9}, "code is no text"),
        ({**row, "task_id": 22, "test_list": []}, "test_list is empty"),
        ({**row, "task_id": 23, "test_list": "assert True"}, "test_list is no list of texts"),
        ({**row, "task_id": 24, "test_imports": "import math"}, "test_imports is no list of texts"),
        ({**row, "task_id": 25, "test_setup_code": ["x = 1"]}, "test_setup_code is no text"),
        ({**human_eval, "task_id": "x", "canonical_solution": ["    return 1"]}, "canonical_solution is no text"),
    ]
    rows = [{**row, "task_id": number} for number in range(30, 38)] + [each for each, _ in wrong]
    file = tmp_path / "mixed.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    loaded = Nl2Code([file]).load(0, 0)
    assert [sample.id for sample in loaded.samples] == [f"MBPP/{number}" for number in range(30, 38)]
    assert list(loaded.problems) == [
        f"mixed.jsonl, line {number}: {why}; passed over" for number, (_, why) in enumerate(wrong, 9)
    ]
    file.write_text("{}\n")
    with pytest.raises(DataError, match=r"entry_point, canonical_solution, test or task_id, text, code, test_list or"):
        Nl2Code([file]).load(0, 0)

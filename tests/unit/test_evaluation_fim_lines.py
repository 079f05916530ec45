"""SantaCoder's single lines and HumanEval-Infilling: what is read, what is asked, and what an answer is worth."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from aix_lsp.evaluation import fim_lines
from aix_lsp.evaluation.benchmark import DataError, Output, Sample
from aix_lsp.evaluation.fim_lines import FimLines, program_of
from aix_lsp.evaluation.sandbox import Sandbox

DATA = Path(__file__).parents[1] / "fixtures" / "evaluation"
INFILLING = DATA / "HumanEval-Infilling.jsonl"
SANTACODER = DATA / "santacoder-fim-task.jsonl"


@pytest.fixture(autouse=True)
def _no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of these need none, and looking for one takes time."""
    monkeypatch.setattr(Sandbox, "find", staticmethod(lambda force=False: None))
    monkeypatch.setattr(fim_lines, "not_run", lambda: "functional tests: not run (none here)")


def samples(*paths: Path, kind: str = "auto") -> list[Sample]:
    return list(FimLines(paths, kind).load(0, 0).samples)


def test_the_kind_is_told_by_each_line() -> None:
    assert [sample.scenario for sample in samples(INFILLING, SANTACODER)] == [
        "single-line",
        "single-line",
        "multi-line",
        "random-span",
        "random-span-light",
        "santacoder",
        "santacoder",
        "santacoder",
    ]


def test_samples_stand_where_the_data_says() -> None:
    first, *_ = samples(INFILLING)
    assert (first.id, first.language, first.name) == ("SingleLineInfilling/Orders/0/L0", "python", "test.py")
    assert first.before.endswith('"""\n')
    assert (first.wanted, first.stop) == ("    if count < 0:\n", "line")
    assert first.after.startswith("        raise")
    python, script, java = samples(SANTACODER)
    assert [(one.language, one.name) for one in (python, script, java)] == [
        ("python", "test.py"),
        ("javascript", "test.js"),
        ("java", "Test.java"),
    ]
    assert python.id == "py/Orders_0_total_price/L7"


def test_lines_end_at_their_line_and_longer_holes_at_the_models_own_end() -> None:
    stops = {sample.scenario: sample.stop for sample in samples(INFILLING, SANTACODER)}
    assert stops == {
        "single-line": "line",
        "multi-line": "end",
        "random-span": "end",
        "random-span-light": "end",
        "santacoder": "line",
    }


def test_the_protocol_names_the_kinds_and_how_answers_end() -> None:
    benchmark = FimLines([INFILLING])
    benchmark.load(0, 0)
    assert "multi-line, random-span, random-span-light, single-line" in benchmark.protocol
    assert "its first line or where holes are longer all that the model writes" in benchmark.protocol


def test_exact_match_is_but_for_white_space_around() -> None:
    benchmark = FimLines([SANTACODER])
    sample = benchmark.load(0, 0).samples[0]  # "    total = price * count + tax\n"
    assert benchmark.score(sample, Output(("    total = price * count + tax",))) == {"exact": 1, "edit_similarity": 100}
    # 27 characters both, 26 of them in common: 2 * 26 / 54
    other = benchmark.score(sample, Output(("    total = price * count - tax",)))
    assert other["exact"] == 0
    assert other["edit_similarity"] == pytest.approx(100 * 52 / 54)


def test_a_cut_line_gets_its_end_back_in_the_program() -> None:
    line, *_ = samples(INFILLING)
    program = program_of(line, "    if count < 0:")
    assert "    if count < 0:\n        raise ValueError" in program
    assert program.endswith("\ncheck(total_price)")
    span = samples(INFILLING)[3]
    assert "total = price * count + tax\n    return total\n" in program_of(span, "* count + tax\n    return")


def test_gzipped_data_is_the_same_data(tmp_path: Path) -> None:
    packed = tmp_path / "HumanEval-SingleLineInfilling.jsonl.gz"
    packed.write_bytes(gzip.compress(INFILLING.read_bytes()))
    assert samples(packed) == samples(INFILLING)


def test_parquet_as_the_hub_has_it_is_the_same_data(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [json.loads(line) for line in SANTACODER.read_text().splitlines()]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "train.parquet")
    assert samples(tmp_path / "train.parquet") == samples(SANTACODER)


def test_malformed_lines_are_told_with_their_numbers_and_passed_over(tmp_path: Path) -> None:
    lines = INFILLING.read_text(encoding="utf-8").splitlines()
    broken = [lines[0], "{not JSON", lines[1], json.dumps({**json.loads(lines[2]), "suffix": 7}), *lines[3:], lines[0]]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(broken), encoding="utf-8")
    loaded = FimLines([path]).load(0, 0)
    assert len(loaded.samples) == 4
    assert loaded.problems == [
        "data.jsonl, line 2: no JSON object; passed over",
        "data.jsonl, line 4: suffix is no text; passed over",
        "data.jsonl, line 7: SingleLineInfilling/Orders/0/L0 came before; passed over",
    ]


def test_a_random_span_may_be_blank_and_a_line_may_not(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in INFILLING.read_text(encoding="utf-8").splitlines()]
    rows[0]["canonical_solution"] = rows[3]["canonical_solution"] = "\n    "
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    loaded = FimLines([path]).load(0, 0)
    assert [sample.id for sample in loaded.samples] == [row["task_id"] for row in rows[1:]]
    assert loaded.problems == ["data.jsonl, line 1: there is nothing to fill in; passed over"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"text": "nothing"}\n', "expected are lines of JSON with task_id, entry_point, prompt"),
        (b"import os\n", "no JSON object"),
        (b"", "expected are lines of JSON"),
        (b"\x1f\x8bnot gzip", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS"),
    ],
)
def test_another_file_is_told_in_one_line_with_what_was_expected(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "other.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=told) as raised:
        FimLines([path]).load(0, 0)
    assert "\n" not in str(raised.value)


def test_missing_data_says_where_to_get_it_and_in_which_licence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not there; get HumanEval-Infilling .*MIT.*human-eval-infilling.*OpenRAIL"):
        FimLines([tmp_path / "nothing.jsonl"]).load(0, 0)


def test_a_file_given_twice_is_refused() -> None:
    again = INFILLING.parent / "." / ".." / "evaluation" / INFILLING.name
    with pytest.raises(DataError, match="give each file once"):
        FimLines([INFILLING, again]).load(0, 0)


def test_a_kind_that_is_asked_for_passes_over_the_others() -> None:
    loaded = FimLines([SANTACODER], "santacoder").load(0, 0)
    assert len(loaded.samples) == 3
    with pytest.raises(DataError, match="it is of santacoder, not of single-line"):
        FimLines([SANTACODER], "single-line").load(0, 0)
    with pytest.raises(DataError, match="--kind takes auto, santacoder"):
        FimLines([SANTACODER], "lines")


def test_a_limit_draws_evenly_and_the_same_for_the_same_seed() -> None:
    drawn = FimLines([INFILLING, SANTACODER]).load(5, 1).samples
    assert [sample.id for sample in drawn] == [
        sample.id for sample in FimLines([INFILLING, SANTACODER]).load(5, 1).samples
    ]
    # JavaScript and Java have one each, Python the rest, each of another kind
    assert sorted(sample.language for sample in drawn) == ["java", "javascript", "python", "python", "python"]
    assert len({(sample.language, sample.scenario) for sample in drawn}) == 5


def test_without_a_sandbox_tests_are_not_run_and_that_is_said() -> None:
    benchmark = FimLines([INFILLING])
    loaded = benchmark.load(0, 0)
    assert loaded.notes == ["functional tests: not run (none here)"]
    assert [metric.name for metric in benchmark.metrics] == ["exact", "edit_similarity"]
    assert "passed" not in benchmark.score(loaded.samples[0], Output(("",)))


def test_data_without_tests_says_nothing_of_them() -> None:
    assert FimLines([SANTACODER]).load(0, 0).notes == []

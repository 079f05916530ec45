"""CrossCodeEval and the tests of written functions, with the embedded model."""

from __future__ import annotations

from pathlib import Path

import pytest

from aix_lsp.cli.eval_benchmark import answered
from aix_lsp.evaluation.asked import Asked
from aix_lsp.evaluation.crosscodeeval import CrossCodeEval
from aix_lsp.evaluation.nl2code import Nl2Code
from aix_lsp.evaluation.run_folder import read_run
from aix_lsp.evaluation.sandbox import Sandbox

DATA = Path(__file__).parents[1] / "fixtures" / "evaluation"


def test_crosscodeeval_with_published_snippets() -> None:
    data = answered(CrossCodeEval(DATA, "bm25"), Asked(threads=1), out=None)
    assert [result.sample.language for result in data.results] == ["python", "python", "java", "typescript", "csharp"]
    assert all(not result.output.error for result in data.results)
    assert all(0 <= score <= 100 for result in data.results for score in result.scores.values() if score is not None)
    assert set(data.results[0].scores) == {"exact", "edit_similarity", "identifier_exact", "identifier_f1"}


@pytest.mark.skipif(Sandbox.find() is None, reason="nothing isolates programs here")
def test_functions_are_written_run_and_kept(tmp_path: Path) -> None:
    benchmark = Nl2Code([DATA / "HumanEval.jsonl"], samples=2, temperature=0.4)
    answered(benchmark, Asked(limit=1, threads=1), out=tmp_path / "run")
    (result,) = read_run(tmp_path / "run").results
    assert len(result.output.texts) == 2
    assert result.scores["pass_at_1"] in (0.0, 0.5, 1.0)

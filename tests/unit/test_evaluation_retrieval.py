"""The metrics of retrieval, with values worked out by hand on a small project."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from aix_lsp.evaluation.cases import Case
from aix_lsp.evaluation.report import chart_of, data_of, table_of
from aix_lsp.evaluation.retrieval import (
    CEILING,
    CROSSCODEEVAL,
    NO_RETRIEVAL,
    OKAPI,
    SIMILAR,
    WITH_DEFINITION,
    Result,
    Score,
    WordIndex,
    cut,
    evaluate,
    score,
)
from aix_lsp.evaluation.statistics import mean_of, ratio_of
from aix_lsp.types import Snippet

CASE = Case(
    path="main.py",
    line_number=3,
    language="python",
    before="a\nb\n",
    line="first = UserStore().load_user(7)",
    after="\n",
    name="UserStore",
    files=frozenset({"store.py"}),
    wanted=frozenset({"UserStore", "load_user"}),
    absent=frozenset({"load_user"}),
)


def snippet(path: str, text: str, start: int = 1) -> Snippet:
    return Snippet(path, start, start + text.count("\n"), 1.0, "similar", text)


def test_a_score_by_hand() -> None:
    found = [snippet("use.py", "x = UserStore()"), *[snippet("b.py", "pass")] * 2, snippet("store.py", "users = 1")]
    result = score(CASE, found)
    assert result.found == 0.5
    assert result.found_absent == 0.0
    assert (result.top_three, result.among_all) == (False, True)
    assert result.characters == 15 + 4 + 4 + 9
    # x = UserStore() and the line share " = UserStore()", 14 characters: 2 * 14 / (15 + 32)
    assert result.similarity == pytest.approx(100 * 28 / 47)


def test_nothing_found_scores_nothing() -> None:
    assert score(CASE, []) == Score(0.0, 0.0, False, False, 0.0, 0)


def test_part_of_a_word_is_not_the_word() -> None:
    assert score(CASE, [snippet("a.py", "UserStores load_users")]).found == 0.0


def test_the_published_schemes_quote_the_match_and_what_follows_it() -> None:
    # two chunks of ten lines each: the first has the words of the lines above, the second follows
    text = "".join(f"alpha_{i} = beta\n" for i in range(10)) + "".join(f"gamma_{i} = 1\n" for i in range(10))
    filler = {f"f{i}.py": f"other_{i} = {i}\n" for i in range(4)}
    index = WordIndex({"a.py": text, **filler})
    case = Case("main.py", 2, "python", "alpha_3 + alpha_4\n", "x", "", "x", *[frozenset({"x"})] * 3)
    (okapi,) = index.okapi(case)
    (following,) = index.crosscodeeval(case)
    assert (okapi.path, okapi.start_line, okapi.end_line) == ("a.py", 1, 10)
    assert (following.path, following.start_line, following.end_line) == ("a.py", 11, 20)


def test_cutting_takes_whole_lines_from_the_end() -> None:
    both = [snippet("a.py", "aaa\nbbb"), snippet("b.py", "cc\ndd\nee", 5)]
    assert cut(both, 100) == both
    first, second = cut(both, 7 + 5)
    assert first == both[0]
    assert (second.text, second.start_line, second.end_line) == ("cc\ndd", 5, 6)
    assert cut(both, 8) == both[:1]
    assert cut(both, 2) == []


def test_means_and_standard_errors_by_hand() -> None:
    # the sample's deviation of 1, 2, 3 is 1; divided by the root of 3
    mean = mean_of([1.0, 2.0, 3.0])
    assert (mean.value, mean.count) == (2.0, 3)
    assert mean.error == pytest.approx(3**-0.5)
    assert mean_of([4.0]).error == 0.0
    assert mean_of([]).count == 0


def test_ratios_have_a_lower_bound_by_paired_bootstrap() -> None:
    same = ratio_of([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert same is not None
    assert (same.value, same.lower) == (2.0, pytest.approx(2.0))  # every case doubles: no doubt at all
    mixed = ratio_of([1.0, 0.0] * 50, [0.5] * 100)
    assert mixed is not None
    # mean 0.5 with a standard error of 0.05, over 0.5: the lower end lies near 1 - 1.96 * 0.1
    assert mixed.value == 1.0
    assert mixed.lower == pytest.approx(0.8, abs=0.06)
    assert ratio_of([1.0], [0.0]) is None


def test_a_small_checkout_from_end_to_end(tmp_path: Path) -> None:
    body = "".join(f"        step_{i} = {i}\n" for i in range(20))
    store = f"class UserStore:\n    def __init__(self):\n{body}\n    def load_user(self, key):\n        return key\n"
    (tmp_path / "store.py").write_text(store)
    for i in range(6):
        (tmp_path / f"filler_{i}.py").write_text(f"filler_{i} = {i}\n" * 30)
    (tmp_path / "main.py").write_text("from store import UserStore\n" + "pass\n" * 60 + "opened = UserStore()\n")
    (result,) = evaluate(tmp_path, count=10)
    assert (result.repository, result.language) == (tmp_path.name, "python")
    found = {scheme: entry.found for scheme, entry in result.scores.items()}
    assert found[NO_RETRIEVAL] == found[CROSSCODEEVAL] == found[OKAPI] == 0.0  # nothing above says it
    assert found[SIMILAR] == found[WITH_DEFINITION] == found[CEILING] == 1.0
    assert result.scores[WITH_DEFINITION].among_all


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match="has no line that uses a name of another file"):
        evaluate(tmp_path, count=3)


def test_the_report_has_means_ratios_and_a_picture() -> None:
    def result(repository: str, base: float, ours: float) -> Result:
        scores = {
            NO_RETRIEVAL: Score(0.0, None, False, False, 0.0, 0),
            CROSSCODEEVAL: Score(base, None, False, False, 50.0, 100),
            SIMILAR: Score(ours, 1.0, True, True, 60.0, 150),
        }
        return Result(repository, "python", scores)

    data = data_of([result("one", 0.25, 0.5), result("two", 0.25, 1.0)])
    assert (data["cases"], data["languages"]) == (2, ["python"])
    ours = data["schemes"][SIMILAR]
    assert ours["found"] == {"value": 0.75, "error": 0.25, "count": 2}
    assert ours["found_ratio"]["value"] == 3.0
    assert ours["found_ratio"]["lower"] == 2.0
    assert ours["characters_ratio"]["value"] == 1.5
    assert ours["definition_in_top_three"]["value"] == 1.0
    assert data["schemes"][NO_RETRIEVAL]["found_absent"]["count"] == 0
    assert data["repositories"]["two"]["schemes"][SIMILAR]["found"]["value"] == 1.0
    assert table_of(data).row_count == 3
    picture = ElementTree.fromstring(chart_of(data))
    bars = [float(bar.get("width", "0")) for bar in picture.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert bars == [0.0, 100.0, 300.0]

"""Reports of evaluations as HTML: what they say, and what they do with what models write."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from aix_lsp.evaluation import html_compare, html_report
from aix_lsp.evaluation.benchmark import Metric
from aix_lsp.evaluation.comparison import compare
from aix_lsp.evaluation.html_marks import LITTLE_ALIKE, MOST, side_by_side
from aix_lsp.evaluation.html_page import milliseconds, value_of, with_interval
from aix_lsp.evaluation.html_plots import Bar, bars, differences, histogram, rounded_up
from aix_lsp.evaluation.html_run import names_of
from aix_lsp.evaluation.html_samples import drawn_at_random, surrounded, worst
from aix_lsp.evaluation.run_folder import RunData
from aix_lsp.evaluation.statistics import Interval
from aix_lsp.evaluation.summary import summarize
from tests.unit.evaluation_runs import HOSTILE, METRICS, again, large, result, run_of, summary_of

VOID = {"meta", "img", "br", "link", "input"}


class Tags(HTMLParser):
    """The elements of a page; raises where they are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def page_of(run: RunData) -> str:
    return html_report.report(run, summary_of(run))


def hostile() -> RunData:
    """A run in which everything that comes from elsewhere would like to be part of the page."""
    words = dict.fromkeys(("name", "language", "scenario", "before", "after", "finish"), HOSTILE)
    asked = dict.fromkeys(("model", "protocol", "benchmark", "uses", "started", "data", "weights"), HOSTILE)
    results = (
        result(HOSTILE, HOSTILE, HOSTILE + "x", texts=(HOSTILE + "x", HOSTILE), **words),
        result("failed", error=HOSTILE),
    )
    by = {"name": HOSTILE, "device": HOSTILE, "format": HOSTILE}
    more = {"notes": [HOSTILE], "problems": [HOSTILE], "answered_by": by, "versions": {HOSTILE: HOSTILE}}
    return run_of(*results, **asked, **more, **{HOSTILE: HOSTILE})


def assert_harmless(page: str) -> None:
    tags = {tag for tag, _ in Tags(page).seen}
    assert tags.isdisjoint({"script", "img", "iframe", "object", "link", "a", "form", "input", "image", "use"})
    assert not [
        key for _, attributes in Tags(page).seen for key in attributes if key.startswith("on") or key in ("src", "href")
    ]
    assert "default-src 'none'" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page)
    assert page.encode()


def test_a_report_first_says_what_was_measured_by_what_and_how_much_of_it() -> None:
    run = large()
    page = page_of(run)
    order = [
        "the model alone, with the prompt and engine that serve completions",
        "What was taken out is written anew, greedily.",
        "local (cpu, float32), 4 samples at once",
        "140 answered of 144 asked for",
        "2026-03-01 12:00",
        "functional tests: not run (no sandbox)",
        "line 12 of data.jsonl is no JSON",
        "<h2>All samples",
        "<h2>By language",
        "<h2>By scenario",
        "<h2>Lengths",
        "<h2>Latency",
        "<h2>Endings and errors",
        "<h2>The worst answers",
        "<h2>Answers drawn at random",
    ]
    places = [page.index(words) for words in order]
    assert places == sorted(places)


def test_a_run_of_the_whole_service_says_so() -> None:
    page = page_of(run_of(result(), uses="the whole service", label="small, with retrieval"))
    assert "What answered is the whole service." in page
    assert "the model alone" not in page
    assert "small, with retrieval" in page


def test_what_was_not_asked_yet_is_told() -> None:
    page = page_of(run_of(result(), samples=12))
    assert "11 samples not asked yet: the run is not finished" in page


def test_nothing_hostile_becomes_part_of_a_report() -> None:
    page = page_of(hostile())
    assert_harmless(page)
    assert "&lt;/script&gt;&lt;/pre&gt;&lt;/title&gt;&lt;img src=x onerror=alert(1)&gt;" in page


def test_nothing_hostile_becomes_part_of_a_comparison() -> None:
    first = hostile()
    second = run_of(result(HOSTILE, HOSTILE, HOSTILE, 1.0), model="other" + HOSTILE)
    page = html_compare.report(first, second, compare(first, second, METRICS))
    assert_harmless(page)
    assert "Right in other" in page


def test_every_plot_has_a_title_and_a_description_and_no_identifier_comes_twice() -> None:
    page = page_of(large())
    seen = Tags(page).seen
    plots = [attributes for tag, attributes in seen if tag == "svg"]
    ids = [attributes["id"] for _, attributes in seen if "id" in attributes]
    assert len(plots) == 8  # 2 measures by language and by scenario, lengths, 2 latencies, endings
    assert len(ids) == len(set(ids)) == 2 * len(plots)
    for plot in plots:
        assert plot["role"] == "img"
        assert {plot["aria-labelledby"], plot["aria-describedby"]} <= set(ids)
    assert page.count("<caption>") >= 7


def test_a_run_without_results_has_a_report_without_figures() -> None:
    page = page_of(run_of(samples=5, notes=[]))
    assert "no sample was answered, so there are no figures" in page
    assert "<svg" not in page
    Tags(page)


@pytest.mark.parametrize(
    "results",
    [
        (result(),),
        (result(score=None),),
        (result(error="the server was away", score=None),),
        (result(wanted="", text=""),),
        (result(text="x" * 100_000, milliseconds=0.0, first_token_ms=0.0),),
        (result(milliseconds=float("inf"), first_token_ms=1e300),),
        (result(score=float("nan")), result("a/2", score=float("inf"))),
        (result(language="", scenario="", finish=""),),
    ],
    ids=["one", "no score", "an error", "nothing wanted", "far too long", "infinite times", "no numbers", "no names"],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_odd_results_have_a_report_of_finite_figures(results: tuple[object, ...]) -> None:
    page = page_of(run_of(*results))  # type: ignore[arg-type]
    numbers = [
        value
        for tag, attributes in Tags(page).seen
        if tag in ("rect", "line", "circle", "text", "svg")
        for key, value in attributes.items()
        if key in ("x", "y", "x1", "x2", "y1", "y2", "width", "height", "cx", "cy")
    ]
    for number in numbers:
        assert number is not None
        assert re.fullmatch(r"-?\d+(\.\d+)?%?", number), number
    assert len(page) < 200_000


def test_a_run_of_a_hundred_long_answers_stays_small_and_says_what_is_left_out() -> None:
    results = [result(f"a/{n}", "y<1\n" * 2_000, "z<1\n" * 2_000) for n in range(100)]
    page = page_of(run_of(*results))
    assert len(page) < 600_000
    assert "left out, to keep this page small." in page
    assert "more characters" in page


def test_a_run_of_any_number_of_groups_and_notes_stays_small_and_says_what_is_left_out() -> None:
    results = [result(f"a/{n}", language=f"l{n}") for n in range(45)]
    run = run_of(*results, notes=[f"note {n}" for n in range(500)])
    summary = summarize(run.results, METRICS[:1])
    page = html_report.report(run, summary)
    assert len(page) < 400_000
    assert "and 5 more rows" in page
    assert "and 480 more, which run.json has" in page
    compared = html_compare.report(run, run, compare(run, run, METRICS[:1]))
    assert len(compared) < 400_000
    assert "and 5 more rows" in compared


def test_the_worst_come_first_and_right_answers_are_none_of_them() -> None:
    results = [
        result("right", score=1.0),
        result("near"),
        result("far"),
        result("failed", error="away"),
        result("unscored", score=None),
    ]
    results[2] = replace(results[2], scores={"exact": 0.0, "similarity": 3.0})
    assert [each.sample.id for each in worst(results, METRICS)] == ["far", "near"]
    lower = [Metric("similarity", "errors", "points", "lower")]
    assert worst(results, lower)[-1].sample.id == "far"
    assert worst(results, [Metric("prefix", "length", "characters", "")]) == []


def test_samples_at_random_are_the_same_for_the_same_seed_and_none_of_the_worst() -> None:
    run = large()
    bad = worst(run.results, METRICS)
    drawn = drawn_at_random(run.results, 7, bad)
    assert drawn == drawn_at_random(run.results, 7, bad)
    assert drawn != drawn_at_random(run.results, 8, bad)
    assert {each.sample.id for each in drawn}.isdisjoint(each.sample.id for each in bad)


def test_texts_around_the_place_come_back_from_the_benchmark() -> None:
    run = run_of(result("a/1", before="", after=""), result("gone", before="", after=""))
    again_known = surrounded(run, [result("a/1", before="def f():\n", after="# end\n").sample])
    assert [each.sample.before for each in again_known.results] == ["def f():\n", ""]
    page = page_of(again_known)
    assert "def f():" in page
    assert page.count("the place, in shop/a.py") == 1


def test_marks_are_on_what_differs_and_on_no_white_space_around() -> None:
    wanted, written = side_by_side("    total = price * 2\n", "total = cost * 2\r\nmore")
    assert wanted == "<pre>\n    total = <del>price</del> * 2\n</pre>"
    assert written == "<pre>\ntotal = <ins>cost</ins> * 2<ins>↵</ins>\n<ins>more</ins></pre>"
    for text in ("", " \n", "same\n"):
        same = side_by_side(text, text)
        assert "<ins>" not in same[1]
        assert same[0] == f"<pre>\n{text}</pre>"


def test_indentation_is_marked_where_it_is_all_that_differs() -> None:
    wanted, written = side_by_side("if a:\n    b()\n    c()", "if a:\n    b()\n        c()")
    assert "<del>↵\n    </del>c()" in wanted
    assert "<ins>↵\n        </ins>c()" in written


def test_texts_that_have_hardly_anything_in_common_are_not_marked_all_over() -> None:
    wanted, written = side_by_side("for name in names:\n    print(name)", "x = False\n" * 20)
    assert "<ins>" not in written
    assert "<del>" not in wanted
    assert LITTLE_ALIKE in written
    assert "<del>y</del>" in side_by_side("y", "")[0]


def test_signs_without_end_are_compared_in_no_time_and_cut_with_words() -> None:
    wanted, written = side_by_side("(" * 50_000, ")(" * 50_000)
    assert wanted.count("(") <= MOST
    assert f"and {50_000 - MOST:,} more characters" in wanted
    assert "<ins>" in written


def test_a_comparison_says_the_verdict_the_interval_and_the_flips_of_both_ways() -> None:
    first = large()
    second = again(first, 0.5)
    found = compare(first, second, METRICS)
    page = html_compare.report(first, second, found)
    Tags(page)
    assert "small-tuned is better than model-0" in page
    assert "▲ better" in page
    assert "no difference seen" in page
    assert "of twenty comparisons of equal runs" in page
    gained = sum(flip.gained for flip in found.flips)
    assert f"Right in small-tuned only: {gained} samples" in page
    assert f"Right in model-0 only: {len(found.flips) - gained} sample" in page
    assert re.search(r"<th scope=\"row\">format</th>.*?auto.*?psm", page)


def test_equal_runs_show_no_difference_and_no_flips() -> None:
    run = large()
    page = html_compare.report(run, run, compare(run, run, METRICS))
    assert "no difference is seen between model-0 (second) and model-0 (first)" in page
    assert "better" not in page.split("</style>")[1]
    assert "None: Exact match is the same for every sample" in page
    assert "asked for with the same settings" in page


def test_runs_without_a_common_sample_are_told_apart() -> None:
    first, second = run_of(result("a/1")), run_of(result("b/1"))
    page = html_compare.report(first, second, compare(first, second, METRICS))
    Tags(page)
    assert "1 sample in small (first) only: a/1" in page
    assert "1 sample in small (second) only: b/1" in page
    assert "<svg" not in page


def test_figures_have_their_units_and_what_is_none_has_a_dash() -> None:
    assert value_of(Metric("a", "a"), 0.4321) == "43.2 %"
    assert value_of(Metric("a", "a"), 0.05, sign=True) == "+5.0 pp"
    assert value_of(Metric("a", "a", "points"), 43.21) == "43.2"
    assert value_of(Metric("a", "a", "ratio"), 1.234) == "1.23"
    assert value_of(Metric("a", "a"), None) == value_of(Metric("a", "a"), float("nan")) == "–"
    assert [milliseconds(value) for value in (87.25, 432.1, 1_430, 61_000)] == ["87.2 ms", "432 ms", "1.43 s", "61.0 s"]


def test_what_rounds_to_nothing_has_no_minus() -> None:
    f1 = Metric("f1", "F1")
    assert value_of(f1, -1e-17) == "0.0 %"
    assert with_interval(f1, Interval(0.2, -1e-17, 0.4, 5)) == "20.0 % (0.0 to 40.0)"
    assert with_interval(f1, Interval(0.5, 0.5, 0.5, 1), sign=True) == "+50.0 pp"
    assert with_interval(f1, Interval(0.0, 0.0, 0.0, 5), sign=True) == "+0.0 pp (+0.0 to +0.0)"


def test_runs_of_one_model_are_called_by_what_was_asked_differently() -> None:
    one = run_of(result(), copy_prior="auto").config
    other = run_of(result(), copy_prior="off", data="0", format="psm").config
    assert names_of(one, other) == ("small (format auto, copy prior auto)", "small (format psm, copy prior off)")
    assert names_of(one, {**one, "data": "0"}) == ("small (first)", "small (second)")
    assert names_of(one, {**one, "model": "large"}) == ("small", "large")


def test_endings_are_told_in_words() -> None:
    page = page_of(run_of(result("a/1", finish="length"), result("a/2", finish="held back by the gate")))
    assert "at the limit of tokens" in page
    assert "held back by the gate" in page


def test_axes_end_at_round_numbers() -> None:
    assert [rounded_up(value) for value in (0.0, 3.1, 20.0, 20.1, 180.0)] == [1, 5, 20, 25, 200]
    assert rounded_up(0.62, percent=True) == 1.0
    assert rounded_up(float("inf")) == 1.0


def test_what_is_written_as_nothing_fills_no_bar() -> None:
    drawn = bars("BLEU-4", "", [Bar("block", 0.001, 0.0, 0.004, "0.0")])
    assert "0.005" not in drawn
    assert "0.75" in drawn


def test_plots_of_nothing_are_drawn_and_say_so() -> None:
    for drawn in (bars("a", "", []), differences("a", "", []), histogram("a", "", [], [])):
        Tags(drawn)
    assert "nothing was counted" in histogram("a", "", [0, 0], ["0", "1", "2"])
    assert "python: –" in bars("a", "", [Bar("python", None, 0, 0, "–")])


def test_samples_that_are_all_alike_have_no_interval() -> None:
    run = run_of(result(score=1.0))
    page = html_report.report(run, summarize(run.results, METRICS))
    assert "100.0 to 100.0" not in page
    assert "no interval: all alike" in page
    assert 'class="whisker"' not in page

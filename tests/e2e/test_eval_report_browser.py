"""Reports of evaluations in a real browser, without a screen: narrow, wide, in the dark, printed, and under attack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from aix_lsp.evaluation import html_report
from aix_lsp.evaluation.run_folder import RunData, opened
from tests.e2e.browser import FOUND, MISSING, Browser, browser
from tests.e2e.in_process import Call
from tests.unit.evaluation_runs import HOSTILE, METRICS, again, large, result, run_of, summary_of

pytestmark = pytest.mark.skipif(FOUND is None, reason=MISSING)

LIGHT_PAGE, DARK_PAGE = (0xF6, 0xF7, 0xF9), (0x12, 0x15, 0x1B)
BARS = {False: (0x35, 0x63, 0xE9), True: (0x7C, 0x9C, 0xFF)}
OUTSIDE = """[...document.querySelectorAll('svg text, svg rect, svg line, svg circle')].filter(it => {
  const box = it.getBoundingClientRect(), plot = it.closest('svg').getBoundingClientRect();
  return box.left < plot.left - 3 || box.right > plot.right + 3
    || box.top < plot.top - 3 || box.bottom > plot.bottom + 3;
}).map(it => it.outerHTML)"""
"""What is drawn outside of its plot."""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened_tab:
        yield opened_tab


def written(run: RunData, path: Path) -> Path:
    path.write_text(html_report.report(run, summary_of(run)), encoding="utf-8")
    return path


def kept(run: RunData, folder: Path) -> Path:
    """A run as the commands leave it."""
    config: dict[str, Any] = {**run.config, "metrics": [asdict(metric) for metric in METRICS]}
    with opened(folder, config) as store:
        for number, each in enumerate(run.results):
            store.add(number, each)
    return folder


def assert_alone(tab: Browser, page: Path) -> None:
    """Nothing but the file was asked for, and nothing was complained about."""
    assert tab.requested() == [page.as_uri()]
    assert tab.complaints() == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_a_report_fits_the_page_and_its_plots_are_drawn(tab: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    page = written(large(), tmp_path / "report.html")
    tab.open(page, width=width, dark=dark)
    assert_alone(tab, page)
    assert tab.value("document.documentElement.scrollWidth") == width
    assert tab.value("document.querySelectorAll('svg').length") == 8
    assert tab.value("[...document.querySelectorAll('svg')].every(it => it.getBoundingClientRect().width > 250)")
    assert tab.value(OUTSIDE) == []
    picture = tmp_path / "seen.png"
    tab.picture(picture)
    with Image.open(picture) as image:
        drawn = image.convert("RGB")
        assert drawn.getpixel((3, drawn.size[1] - 3)) == (DARK_PAGE if dark else LIGHT_PAGE)
        colours = drawn.getcolors(1 << 22)
        assert colours is not None
        assert sum(count for count, colour in colours if colour == BARS[dark]) > 10_000


def test_samples_fold_away_and_open(tab: Browser, tmp_path: Path) -> None:
    page = written(large(), tmp_path / "report.html")
    tab.open(page)
    closed = "document.querySelectorAll('details')[1]"
    is_seen = f"{closed}.querySelector('pre').checkVisibility()"
    assert tab.value("document.querySelector('details').open")
    assert not tab.value(f"{closed}.open")
    assert not tab.value(is_seen)
    tab.value(f"{closed}.querySelector('summary').click()")
    assert tab.value(f"{closed}.open")
    assert tab.value(is_seen)
    assert tab.value(f"[...{closed}.querySelectorAll('ins, del')].length") > 0
    assert_alone(tab, page)


def test_nothing_that_a_model_wrote_runs_or_is_fetched(tab: Browser, tmp_path: Path) -> None:
    words = dict.fromkeys(("name", "language", "scenario", "before", "after", "finish"), HOSTILE)
    run = run_of(
        result(HOSTILE, HOSTILE, HOSTILE + "x", **words),
        result("b", error=HOSTILE),
        **dict.fromkeys(("model", "protocol", "uses", "benchmark"), HOSTILE),
        notes=[HOSTILE],
        problems=[HOSTILE],
    )
    page = written(run, tmp_path / "report.html")
    for width in (400, 1400):
        tab.open(page, width=width)
        assert_alone(tab, page)
        assert tab.value("document.querySelectorAll('script, img, iframe, a, link').length") == 0
        assert tab.value("document.documentElement.scrollWidth") == width
    shown = tab.value("document.querySelector('details del, details pre').closest('div').textContent")
    assert "</script></pre></title><img src=x onerror=alert(1)>" in shown


def test_a_printed_report_is_light_unfolded_and_leaves_no_table_cut_off(tab: Browser, tmp_path: Path) -> None:
    page = written(large(), tmp_path / "report.html")
    tab.open(page, dark=True, media="print")
    assert tab.value("getComputedStyle(document.body).color") == "rgb(29, 36, 48)"
    assert tab.value(
        "[...document.querySelectorAll('.scroll')].every(it => getComputedStyle(it).overflowX === 'visible')"
    )
    assert tab.value("[...document.querySelectorAll('details pre')].every(it => it.checkVisibility())")
    assert_alone(tab, page)


def test_the_comparison_that_the_command_writes_is_a_page_of_its_own(tab: Browser, tmp_path: Path, call: Call) -> None:
    run = large()
    first, second = kept(run, tmp_path / "a"), kept(again(run, 0.5), tmp_path / "b")
    page = tmp_path / "compared.html"
    done = call("eval", "compare", first, second, "--out", page)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 120
    for width in (400, 1400):
        tab.open(page, width=width)
        assert_alone(tab, page)
        assert tab.value("document.documentElement.scrollWidth") == width
        assert tab.value("document.querySelectorAll('svg').length") == 6
        assert tab.value(OUTSIDE) == []
    assert tab.value("document.querySelectorAll('.chip.better').length") > 0
    assert tab.value("document.querySelectorAll('details').length") > 10

"""The pages about remembered requests: nothing that is quoted in them becomes part of their form."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from aix_lsp.completion import trace_html, trace_markdown
from aix_lsp.completion.trace_markdown import fence, span, waterfall
from aix_lsp.types import CompletionResult, Span
from tests.unit.traces import HOSTILE, log_of, offered, silent, traced

SPECIAL = st.text(alphabet="`~|<>&*_[]\\ \na#-", max_size=30)


def rendered(markdown: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(markdown))


class Tags(HTMLParser):
    """Counts elements, and collects what text stands in them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes
        self.ids += [value or "" for name, value in attributes if name == "id"]

    def handle_data(self, data: str) -> None:
        self.text += data


@given(SPECIAL)
def test_a_block_of_code_is_read_back_as_it_was(text: str) -> None:
    (token,) = MarkdownIt("commonmark").parse(fence(text, "python"))
    assert token.type == "fence"
    assert token.content == (text if text.endswith("\n") else f"{text}\n")


@given(SPECIAL)
def test_a_span_of_code_is_read_back_on_one_line(text: str) -> None:
    (_, inline, _) = MarkdownIt("commonmark").parse(f"x{span(text)}x")
    code = [child.content for child in inline.children or () if child.type == "code_inline"]
    wanted = re.sub(r"\s+", " ", text).strip()
    assert code == ([wanted] if wanted else [])


@pytest.mark.parametrize("language", ["python", "c++", "", "`evil`", "a b"])
def test_only_a_plain_language_names_a_block(language: str) -> None:
    first = fence("x", language).split("\n")[0]
    assert first in ("```", f"```{language}")
    assert "evil" not in first


def test_a_hostile_source_changes_nothing_of_the_markdown_page() -> None:
    plain = log_of(offered("b"), silent("why not", failed=True))
    hostile = log_of(offered(HOSTILE), silent(HOSTILE, failed=True))
    pages = [rendered(trace_markdown.page(list(log), list(log))) for log in (plain, hostile)]
    shapes = [re.findall(r"</?(?:h\d|table|tr|ul|li|pre|img|script|b)\b", page) for page in pages]
    assert shapes[0] == shapes[1]
    assert "<img" not in pages[1]


def test_the_markdown_page_says_everything() -> None:
    log = log_of(offered("total(x)", spans=(Span("cache", 0, 1), Span("decode", 1, 90))), silent())
    log.outcome("one", "accepted")
    page = trace_markdown.page(list(log), list(log))
    for said in (
        "| 1 |",
        "## 2: `shop/a.py:1`",
        "total(x)",
        "drop the rest of the line",
        "code follows the cursor on its line",
        "score 3.50, edited lately",
        "`b` 0.50",
        "<s>b = 1",
        "cut: prefix: 3 lines cut",
        "| snippet `shop/b.py:1-2` | 5 |",
        "accepted",
        "generated for this request",
        "0.75",
        "ended where the offer was complete",
    ):
        assert said in page, said


def test_an_empty_page_says_so() -> None:
    assert "No request is remembered" in trace_markdown.page([], [])
    assert "No request is remembered" in trace_html.page([], "process 1")


def test_bars_stand_where_their_time_was() -> None:
    lines = waterfall([Span("a", 0, 50), Span("bc", 50, 100), Span("d", 100, 100)]).split("\n")
    assert [line.split("  ")[0].strip() for line in lines] == ["a", "bc", "d"]
    assert lines[0].count("█") == lines[1].count("█") == 20
    assert lines[0].index("█") + 20 == lines[1].index("█")
    assert lines[2].count("█") == 1
    assert waterfall([]) == "no times are known"


@pytest.mark.parametrize("hostile", [HOSTILE, "</style><script>x</script>", "\"'><iframe>", "<!--"])
def test_the_html_page_holds_no_element_of_what_it_quotes(hostile: str) -> None:
    def page(text: str) -> Tags:
        changes = (text,)
        result = offered(text, raw=text, changes=changes, model=text)
        log = [traced(result, name=f"{text}.py"), traced(silent(text, failed=True), 2, name=f"{text}.py")]
        return Tags(trace_html.page(log, text))

    assert page(hostile).tags == page("plain").tags
    assert "script" not in page(hostile).tags
    assert page(hostile).ids == ["r2", "r1", "d2", "d1"]
    assert hostile.replace("\x1b", "␛") in page(hostile).text


def test_the_html_page_fetches_nothing() -> None:
    page = trace_html.page(list(log_of(offered(), silent())), "process 1")
    attributes = dict(Tags(page).attributes)
    assert not {"src", "href", "action"} & attributes.keys()
    assert "url(" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    "result", [offered(spans=()), CompletionResult(), silent(""), offered(prompt=None, snippets=())]
)
def test_a_record_with_little_in_it_makes_a_page(result: CompletionResult) -> None:
    log = log_of(result)
    assert "request 1" in Tags(trace_html.page(list(log), "process 1")).text
    assert "## 1" in trace_markdown.page(list(log), list(log))


def test_pages_hold_no_character_that_steers_a_terminal_or_turns_lines_around() -> None:
    hostile = "a\x1b[31m\x07\x9b5m\u202eb\u2066c\x7f\tend\n"
    log = log_of(offered(hostile), silent(f"reason {hostile}"))
    for text in (trace_markdown.page(list(log), list(log)), trace_html.page(list(log), hostile)):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        assert "a␛[31m␇" in text
        assert "\tend" in text


def test_requests_that_were_given_up_are_told() -> None:
    log = log_of(offered())
    said = "7 more overtaken by newer ones or cancelled since the start"
    assert said in trace_markdown.page(list(log), [], given_up=7)
    assert said in trace_markdown.page([], [], given_up=7)
    assert said in trace_html.page(list(log), "", given_up=7)

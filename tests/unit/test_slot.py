"""Which names are expected at a place, and which definition is quoted for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.languages import language_of
from aix_lsp.retrieval.definitions import DefinitionIndex
from aix_lsp.retrieval.index import RetrievalIndex
from aix_lsp.retrieval.names import Candidate, NameRanking, NameUse, expected, names_around
from aix_lsp.retrieval.ranking import is_secondary
from aix_lsp.retrieval.slot import LINES, QUOTED, definition_snippets
from aix_lsp.syntax_imports import _PATTERNS, _SIGNS, _matches, import_statements, imports_at_a_glance
from aix_lsp.types import DocumentSnapshot, Snippet

STORE = "class UserStore:\n    def load_user(self, user_id):\n        return self.table[user_id]\n"
CART = "class Cart:\n    def add(self, item): ...\n"


def at(marked: str, name: str = "main.py") -> tuple[DocumentSnapshot, int]:
    return DocumentSnapshot(f"file:///{name}", marked.replace("|", "", 1), "", 1, name), marked.index("|")


def slot(files: dict[str, str], marked: str) -> Snippet | None:
    """The definition that is quoted for a place, if any."""
    index = RetrievalIndex()
    for path, text in files.items():
        index.update(path, text)
    document, offset = at(marked)
    found = index.query(document, offset, limit=1, read=files.get)
    meant = [snippet for snippet in found if snippet.kind == "definition"]
    assert meant == found[len(found) - len(meant) :]
    assert len(meant) <= QUOTED
    return meant[0] if meant else None


def names(marked: str, name: str = "main.py", *, suffix: bool = True) -> dict[str, NameUse]:
    document, offset = at(marked, name)
    return names_around(document, offset, language_of(name), suffix=suffix)


def order(files: dict[str, str], marked: str, name: str = "main.py") -> list[tuple[str, str]]:
    index = DefinitionIndex()
    for path, text in files.items():
        index.update(path, text)
    found = NameRanking(index, name, language_of(name), {}).order(names(marked, name))
    return [(item.name, item.place.path) for item in found]


def test_distances_to_the_nearest_uses_and_the_import_are_known() -> None:
    found = names("from store import UserStore, Cart\n\nfirst(alpha)\nalpha()\nnow|\n\nCart()\n")
    assert (found["alpha"].above, found["alpha"].below, found["alpha"].imported) == (1, None, None)
    assert found["first"].above == 2
    assert found["now"].above == 0
    assert (found["Cart"].above, found["Cart"].below) == (None, 2)
    assert found["UserStore"].above is None
    statement = found["UserStore"].imported
    assert statement is not None
    assert statement.text == "from store import UserStore, Cart"


def test_without_the_suffix_nothing_behind_the_cursor_counts() -> None:
    assert "Cart" not in names("a()\n|\nCart()\n", suffix=False)


def test_the_cursors_line_comes_first_then_what_was_imported_and_never_used() -> None:
    files = {"store.py": STORE, "cart.py": CART, "order.py": "class Order: ...\n", "tax.py": "class Tax: ...\n"}
    text = "from store import UserStore\nfrom cart import Cart\nfrom tax import Tax\n\nTax()\nOrder|\n\n\nCart()\n"
    assert [name for name, _ in order(files, text)] == ["Order", "UserStore", "Cart", "Tax"]


def test_the_imports_module_tells_which_of_two_definitions_is_meant() -> None:
    files = {"shop/cart.py": CART, "old/basket.py": CART}
    assert order(files, "from old.basket import Cart\n|")[0] == ("Cart", "old/basket.py")
    assert order(files, "from shop.cart import Cart\n|")[0] == ("Cart", "shop/cart.py")


def test_without_an_import_the_nearer_file_is_meant() -> None:
    files = {"a/b/cart.py": CART, "x/y/cart.py": CART}
    assert order(files, "Cart|", "x/y/main.py") == [("Cart", "x/y/cart.py")]


def test_names_of_other_languages_and_of_the_file_itself_are_not_meant() -> None:
    files = {"cart.py": CART}
    assert order(files, "Cart|", "main.go") == []
    assert order({**files, "main.py": CART}, "Cart|") == []


def test_typescript_and_javascript_share_their_names() -> None:
    assert order({"cart.ts": "export class Cart {}\n"}, "Cart|", "main.js") == [("Cart", "cart.ts")]


def test_shares_of_expected_names_sum_to_one() -> None:
    (place,) = order({"cart.py": CART}, "Cart|")
    index = DefinitionIndex()
    index.update("cart.py", CART)
    at_ = index.find(["Cart"])["Cart"][0]
    assert place == ("Cart", at_.path)
    shares = expected([Candidate("a", at_, 1.0), Candidate("b", at_, 1.0), Candidate("c", at_, -50.0)], 2)
    assert shares == pytest.approx({"a": 0.5, "b": 0.5})
    assert expected([], 3) == {}


def test_the_first_lines_of_the_imported_name_are_quoted() -> None:
    body = "".join(f"    field_{i} = {i}\n" for i in range(30))
    files = {"store.py": "x_y = 1\n" * 9 + "class UserStore:\n" + body}
    snippet = slot(files, "from store import UserStore\n|\nend()\n")
    assert snippet is not None
    assert snippet.text.split("\n")[:2] == ["class UserStore:", "    field_0 = 0"]
    assert (snippet.path, snippet.start_line, snippet.end_line) == ("store.py", 10, 9 + LINES)
    assert snippet.terms == (("UserStore", 1.0),)


def test_two_definitions_are_quoted_but_never_the_same_lines_twice() -> None:
    index = DefinitionIndex()
    files = {"store.py": STORE, "cart.py": CART, "order.py": "class Order: ...\n"}
    for path, text in files.items():
        index.update(path, text)
    document, offset = at("from store import UserStore, load_user\nfrom cart import Cart\nfrom order import Order\n|")
    names = names_around(document, offset, language_of("main.py"))
    candidates = NameRanking(index, "main.py", language_of("main.py"), {}).order(names)
    candidates.sort(key=lambda item: item.name not in ("UserStore", "load_user"))
    found = definition_snippets(
        candidates,
        lines_of=lambda path, first, last: files[path].split("\n")[first - 1 : last],
        fits=lambda path, line, lines: path != "cart.py",
    )
    assert [(item.path, item.start_line, item.end_line) for item in found] == [("store.py", 1, 3), ("order.py", 1, 1)]


def test_a_name_that_is_imported_joins_the_query() -> None:
    files = {f"filler_{i}.py": f"gamma_{'x' * i} = delta\n" for i in range(6)}
    files |= {"use.py": "store = UserStore()\n", "other.py": "alpha_beta = 1\n", "store.py": STORE}
    index = RetrievalIndex()
    for path, text in files.items():
        index.update(path, text)
    text = "from store import UserStore\n" + "print(alpha_beta)\n" * 15 + "|"
    document, offset = at(text)
    found = index.query(document, offset, definitions=False, read=files.get)
    assert {"store.py", "use.py"} <= {snippet.path for snippet in found}


def test_lines_that_a_similar_snippet_shows_already_are_not_quoted_again() -> None:
    assert slot({"store.py": STORE}, "from store import UserStore\nstore = UserStore|") is None


def test_a_definition_that_moved_since_is_not_quoted() -> None:
    files = {"store.py": STORE, "b.py": "alpha_beta = 1\n"}
    index = RetrievalIndex()
    for path, text in files.items():
        index.update(path, text)
    files["store.py"] = "# nothing here any more\n" * 9
    document, offset = at("from store import UserStore\nalpha_beta|")
    found = index.query(document, offset, read=files.get)
    assert [(snippet.kind, snippet.path) for snippet in found] == [("similar", "b.py")]


@pytest.mark.parametrize(
    ("name", "text", "expected_names", "lines"),
    [
        (
            "a.py",
            "from a.b import (\n    C,\n    D as E,\n)\nimport os\n",
            [("C", "D", "E"), ("os",)],
            [(1, 4), (5, 5)],
        ),
        ("a.ts", "import { A, B } from './x'\nimport C from 'y'\n", [("A", "B"), ("C",)], [(1, 1), (2, 2)]),
        ("A.java", "import a.b.C;\nimport static a.D.e;\n", [("C",), ("e",)], [(1, 1), (2, 2)]),
        ("a.go", 'package a\n\nimport (\n\t"x/y"\n\tz "q/r"\n)\n', [("x/y",), ("z",)], [(4, 4), (5, 5)]),
        ("a.rs", "use a::{b, c::D};\n", [("b", "D")], [(1, 1)]),
        ("a.cs", "using A.B;\n", [("B",)], [(1, 1)]),
        ("a.c", '#include "x/y.h"\n#include <z.h>\n', [("x/y.h",)], [(1, 1)]),
    ],
)
def test_import_statements(
    name: str, text: str, expected_names: list[tuple[str, ...]], lines: list[tuple[int, int]]
) -> None:
    for find in (import_statements, imports_at_a_glance):
        found = find(text, language_of(name).grammar or "")
        assert [item.names for item in found] == expected_names
        assert [(item.start_line, item.end_line) for item in found] == lines


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.py",
            "x = 1\nfrom .a import (b,  # why\n    c)\n\ndef f():\n  import d.e as g, \\\n    h\n  importing = 2\n",
        ),
        ("a.py", "\ufefffrom a import b\r\nimport c\rimport d\n"),
        (
            "a.ts",
            "import type { A } from './x';\nimport './side'\nimport * as b from \"y\"\nimport.meta.env\nimport('z')\n",
        ),
        (
            "a.js",
            "const { a, b: c } = require('x'), d = require('y');\n  const e = require('f');\nvar g = require('h').i;\n",
        ),
        ("a.tsx", "import a, {\n  B,\n  C as D,\n} from 'x'\nimport e = require('f')\nlet important = 1\n"),
        ("A.java", "package p;\n\nimport a.b.C;\nimport static d.E.*;\n\nclass F {}\n"),
        ("a.go", 'package a\n\nimport "x/y"\nimport (\n\tz "q/r" // (why)\n\t_ "s"\n)\n\nvar b = 1\n'),
        ("a.rs", "pub(crate) use a::{\n    b,\n    c::D as E,\n};\nextern crate f;\nfn g() {\n    use h::i;\n}\n"),
        ("a.cpp", '#include "a/b.h"\n# include <c>\nusing d::E;\nusing namespace f;\nint used = 1;\n'),
        (
            "a.cs",
            "global using A.B;\nusing C = D.E;\nnamespace F { class G { void H() { using (var x = Y()) {} } } }\n",
        ),
        ("a.txt", "import a\n"),
    ],
)
def test_a_glance_finds_the_imports_that_a_whole_parse_finds(name: str, text: str) -> None:
    grammar = language_of(name).grammar or ""
    parsed, glanced = import_statements(text, grammar), imports_at_a_glance(text, grammar)
    assert [(item.names, item.start_line, item.end_line) for item in glanced] == [
        (item.names, item.start_line, item.end_line) for item in parsed
    ]


@pytest.mark.parametrize(
    ("path", "aside"),
    [
        ("src/app.py", False),
        ("tests/unit/conftest.py", True),
        ("src/test_app.py", True),
        ("pkg/server_test.go", True),
        ("src/app.test.ts", True),
        ("src/__tests__/app.ts", True),
        ("src/main/java/a/CartTest.java", True),
        ("src/main/java/a/Latest.java", False),
        ("vendor/github.com/x/y.go", True),
        ("third_party/z.c", True),
        ("src/contest.py", False),
        ("latest/a.py", False),
    ],
)
def test_tests_and_others_code_stand_aside(path: str, aside: bool) -> None:
    assert is_secondary(path) is aside


def test_chunks_of_tests_rank_lower_unless_a_test_asks() -> None:
    files = {"tests/a.py": "alpha_beta(gamma_delta)\n", "src/b.py": "alpha_beta(other_word, more_words)\n"}
    index = RetrievalIndex()
    for path, text in files.items():
        index.update(path, text)
    for name, first in (("src/main.py", "src/b.py"), ("tests/b.py", "tests/a.py")):
        document, offset = at("alpha_beta|", name)
        assert index.query(document, offset, read=files.get)[0].path == first


def test_the_crosscodeeval_scheme_quotes_what_follows_the_match() -> None:
    body = "".join(f"first_{'x' * i}()\n" for i in range(10)) + "".join(f"then_{'y' * i}()\n" for i in range(4))
    files = {"a.py": body}
    index = RetrievalIndex()
    index.update("a.py", body)
    document, offset = at("first_xxx()\n|")
    (snippet,) = index.query(document, offset, scheme="crosscodeeval", read=files.get)
    assert (snippet.kind, snippet.start_line, snippet.end_line) == ("similar", 11, 14)
    document, offset = at("then_yyy()\n|")
    (last,) = index.query(document, offset, scheme="crosscodeeval", read=files.get)
    assert (last.start_line, last.end_line) == (11, 14)


def test_the_crosscodeeval_scheme_finds_words_whatever_their_case_and_looks_past_blank_lines() -> None:
    files = {"a.py": "makeWidget(Alpha)\n" + "".join(f"other_{'x' * i}()\n" for i in range(12))}
    index = RetrievalIndex()
    index.update("a.py", files["a.py"])
    document, offset = at("makeWidget(Alpha)\n" + "\n" * 12 + "|")
    (snippet,) = index.query(document, offset, scheme="crosscodeeval", read=files.get)
    assert (snippet.start_line, snippet.end_line) == (11, 13)
    document, offset = at("makeWidget(Alpha)\n" + "value = 1\n" * 10 + "|")
    assert index.query(document, offset, scheme="crosscodeeval", read=files.get) == []


def test_the_crosscodeeval_scheme_quotes_no_text_twice() -> None:
    body = "first_name()\n" * 10 + "then_other()\n"
    files = dict.fromkeys(("a.py", "b.py", "c.py"), body) | {"d.py": "first_name()\n" * 10 + "last_of()\n"}
    files |= {f"filler_{i}.py": f"filler_{i}()\n" for i in range(9)}
    index = RetrievalIndex()
    for path, text in files.items():
        index.update(path, text)
    document, offset = at("first_name()\n|")
    found = index.query(document, offset, limit=3, scheme="crosscodeeval", read=files.get)
    assert sorted(snippet.text for snippet in found) == ["last_of()", "then_other()"]


def test_copies_of_a_definition_are_quoted_once() -> None:
    files = {"a.py": STORE, "b.py": STORE, "c.py": CART, "d.py": CART}
    index = RetrievalIndex()
    for path, text in files.items():
        index.update(path, text)
    document, offset = at("from a import UserStore\nfrom c import Cart\n\nUserStore(Cart(|")
    found = index.query(document, offset, limit=1, read=files.get)
    texts = [snippet.text for snippet in found]
    assert len(texts) == len(set(texts))
    assert {snippet.text.split("(")[0].split(":")[0] for snippet in found} == {"class UserStore", "class Cart"}


def test_three_quotes_match_for_different_reasons() -> None:
    files = {f"same_{i}.py": f"open_ledger(book_{'x' * (i + 1)}, page_{'y' * (i + 1)})\n" for i in range(5)}
    files["other.py"] = "close_journal(volume)\n"
    files |= {f"filler_{i}.py": f"filler_{'z' * i}()\n" for i in range(20)}
    index = RetrievalIndex()
    for path, text in files.items():
        index.update(path, text)
    document, offset = at("close_journal(some)\nopen_ledger(|")
    found = index.query(document, offset, limit=2, definitions=False, read=files.get)
    assert sorted(snippet.path.split("_")[0].split(".")[0] for snippet in found) == ["other", "same"]


def test_where_nothing_stands_below_the_quote_goes_on_a_little() -> None:
    lines = [f"{letter * 4}()" for letter in "abcdefghijkl"] + ["", "last_one()"]
    files = {"a.py": "\n".join(lines)}
    index = RetrievalIndex()
    index.update("a.py", files["a.py"])
    for marked, first, last in (
        ("eeee()\n|", 3, 12),
        ("eeee()\n|\n\n", 3, 12),
        ("bbbb()\n|", 2, 11),
        ("eeee()\n|\nbelow()\n", 1, 10),
        ("last_one()\n|", 11, 14),
    ):
        document, offset = at(marked)
        (snippet,) = index.query(document, offset, limit=1, definitions=False, read=files.get)
        assert (snippet.start_line, snippet.end_line) == (first, last)
        assert snippet.text == "\n".join(lines[first - 1 : last])


_WORDS = st.sampled_from(
    [
        *("import ", "from a ", "use b;", "extern crate c;", "#include <d>", "using e;"),
        *("x = 1", "(", ")", '"', " ", "\\", "\n"),
    ]
)


@given(pieces=st.lists(_WORDS, max_size=12), grammar=st.sampled_from(sorted(_SIGNS)))
def test_only_lines_that_can_hold_an_import_are_tried_and_none_is_missed(pieces: list[str], grammar: str) -> None:
    text, pattern = "".join(pieces), _PATTERNS[grammar]
    found = [match.span() for match in _matches(pattern, text, _SIGNS[grammar])]
    assert found == [match.span() for match in pattern.finditer(text)]

"""Retrieval for a place in a document: what is searched for, what is quoted, and what is not."""

from collections.abc import Callable

import pytest

from aix_lsp.languages import language_of
from aix_lsp.retrieval.build import build_segment
from aix_lsp.retrieval.definitions import build_definitions
from aix_lsp.retrieval.index import RetrievalIndex
from aix_lsp.retrieval.query import header_around, query_terms
from aix_lsp.retrieval.segment import PackedSegment
from aix_lsp.types import DocumentSnapshot, Snippet

STORE = "class UserStore:\n    def load_user(self, user_id):\n        return self.table[user_id]\n"
MATH = "def transpose(matrix):\n    return list(zip(*matrix))\n"


def document(text: str, name: str = "main.py", language_id: str = "python", **cells: str) -> DocumentSnapshot:
    return DocumentSnapshot(f"file:///{name}", text, language_id, 1, name, None, **cells)


def at(marked: str, **other: str) -> tuple[DocumentSnapshot, int]:
    return document(marked.replace("|", "", 1), **other), marked.index("|")


def workspace(files: dict[str, str]) -> tuple[RetrievalIndex, Callable[..., list[Snippet]]]:
    """An index over these files, and a query that reads from them as they are then."""
    index = RetrievalIndex()
    for path, text in files.items():
        index.update(path, text)

    def find(marked: str, limit: int = 3, **other: str) -> list[Snippet]:
        place, offset = at(marked, **other)
        return index.query(place, offset, limit=limit, definitions=False, read=files.get)

    return index, find


def test_lines_of_another_file_that_share_names_are_found() -> None:
    _, find = workspace({"store.py": "\n\n" + STORE, "mathematics.py": MATH})
    (snippet,) = find("store = UserStore()\nuser = store.load_|\n")
    assert (snippet.path, snippet.start_line, snippet.end_line) == ("store.py", 3, 5)
    assert snippet.text == STORE.rstrip("\n")
    assert snippet.kind == "similar"
    assert snippet.score > 0
    assert {"userstore", "user"} <= {term for term, _ in snippet.terms}
    assert list(snippet.terms) == sorted(snippet.terms, key=lambda part: -part[1])


def test_the_documents_own_file_is_never_quoted() -> None:
    _, find = workspace({"main.py": STORE, "other.py": MATH})
    assert find("UserStore().load_user(|") == []


def test_files_to_leave_out_can_be_named() -> None:
    index, _ = workspace({"main.py": STORE, "store.py": STORE + "x = 1\n"})
    place, offset = at("UserStore().load_user(|")
    files = {"main.py": STORE, "store.py": STORE + "x = 1\n"}
    found = index.query(place, offset, exclude={"store.py"}, definitions=False, read=files.get)
    assert [snippet.path for snippet in found] == ["main.py"]


def test_an_empty_workspace_and_a_query_without_a_match_give_nothing() -> None:
    _, find = workspace({})
    assert find("UserStore|") == []
    _, find = workspace({"mathematics.py": MATH})
    assert find("UserStore|") == []
    assert find("|") == []
    assert find("matrix|", limit=0) == []


def test_an_update_is_seen_by_the_next_query_and_a_removed_file_never_again() -> None:
    files = {"mathematics.py": MATH}
    index, find = workspace(files)
    assert find("UserStore|") == []
    files["store.py"] = STORE
    index.update("store.py", STORE)
    assert [snippet.path for snippet in find("UserStore|")] == ["store.py"]
    index.remove("store.py")
    assert find("UserStore|") == []
    assert index.paths() == {"mathematics.py"}
    index.remove_many(["mathematics.py", "nothing.py"])
    assert len(index) == 0


def test_the_file_name_counts() -> None:
    _, find = workspace(
        {"invoice_printer.py": "def run(self):\n    emit(self)\n", "b.py": "def walk(self):\n    emit(self)\n"}
    )
    assert find("from app import InvoicePrinter\nemit(|")[0].path == "invoice_printer.py"


def test_near_lines_weigh_more_than_far_ones_and_lines_below_count() -> None:
    place, offset = at("far()\n\nnear()\n|\nbelow()\nlower()\n")
    weights = query_terms(place, offset, language_of("a.py"))
    assert weights == pytest.approx({"near": 1.0, "far": 0.7, "below": 1.0, "lower": 0.7})


def test_the_cursors_line_is_the_nearest_on_both_sides() -> None:
    place, offset = at("above()\nleft(|right)\nbelow()\n")
    weights = query_terms(place, offset, language_of("a.py"))
    assert weights == pytest.approx({"left": 1.0, "right": 1.0, "above": 0.7, "below": 0.7})


def test_ten_lines_before_and_five_behind_are_asked_for() -> None:
    before = "".join(f"b{'x' * i}()\n" for i in range(1, 16))
    after = "".join(f"a{'x' * i}()\n" for i in range(1, 10))
    place, offset = at(f"{before}|\n{after}")
    terms = set(query_terms(place, offset, language_of("a.py")))
    assert terms == {f"b{'x' * i}" for i in range(6, 16)} | {f"a{'x' * i}" for i in range(1, 6)}
    fewer = set(query_terms(place, offset, language_of("a.py"), query_lines=2))
    assert {term for term in fewer if term[0] == "b"} == {f"b{'x' * i}" for i in (14, 15)}


def test_the_signature_around_the_cursor_weighs_a_little() -> None:
    body = "".join("    step()\n" for _ in range(12))
    place, offset = at(f"def convert(ledger):\n{body}    |\n")
    weights = query_terms(place, offset, language_of("a.py"))
    assert weights["convert"] == weights["ledger"] == pytest.approx(0.3)


def test_other_cells_of_a_notebook_belong_to_the_query() -> None:
    place, offset = at("|", before="frame = load()", after="plot(frame)")
    assert set(query_terms(place, offset, language_of("a.py"))) == {"frame", "load", "plot"}


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("function foo(a) {\n  const x = |", "function foo(a) {"),
        ("def foo(a)\n  if a\n    b\n    |", "def foo(a)"),
        ("class A {\n  void m(int a) {\n    if (a) {\n      |", "void m(int a) {"),
        ("class A {\r\n  void m(int a) {\r\n    x();\r\n  }\r\n  |", "class A {"),
        ("function f() {\n|", "function f() {"),
        ("function f() {\n  a();\n}\n|", ""),
        ("fun f(a: Int) {\n    a\n|", "fun f(a: Int) {"),
        ("def f(\n    a: int,\n    b: int,\n) -> int:\n    |", "def f( a: int, b: int, ) -> int:"),
        ("class A\n{\n    void M(int a)\n    {\n        |", "void M(int a) {"),
        ("class A {\n  m() {\n    call({\n      |", "m() {"),
        ("class A:\n    @d\n    def f(self,\n          a):\n        |\n", "def f(self, a):"),
        ("class A:\n    def f(self):\n        x = 1\n    |\n", "class A:"),
        ("def f():\n    # why\n    return |\n", "def f():"),
        ("def f(\n    a,\n    |", "def f("),
        ("const f = (a) => {\n  return |\n}\n", "const f = (a) => {"),
        ("class A {\n  void m(int a) throws X {\n    |\n  }\n}\n", "void m(int a) throws X {"),
        ("package p\nfunc (t *T) M(a int) error {\n\tx := |\n}\n", "func (t *T) M(a int) error {"),
        ("impl<T> Tr for S<T> {\n  fn q(&self) -> i32 {\n    |\n  }\n}\n", "fn q(&self) -> i32 {"),
        ("static int\nf(int a)\n{\n  |\n}\n", "f(int a) {"),
        ("from a import (\n    b,\n    |", ""),
        ("|", ""),
    ],
)
def test_header_around(marked: str, expected: str) -> None:
    assert header_around(marked.replace("|", ""), marked.index("|")) == expected


@pytest.mark.parametrize("lines", [0, 1, 30, 160, 170, 180, 700])
@pytest.mark.parametrize("end", ["", "    x", "x"])
def test_a_header_far_above_is_found_too(lines: int, end: str) -> None:
    text = "import a\n\n\ndef total(\n    order,\n    rate,\n):\n" + "    amount = order.amount\n" * lines + end
    expected = "" if end == "x" else "def total( order, rate, ):"
    assert header_around(text, len(text)) == expected


def test_copies_of_the_same_lines_are_quoted_once() -> None:
    _, find = workspace(
        {"a.py": STORE, "b.py": STORE, "c.py": STORE.replace("table", "users_table_cache"), "d.py": MATH}
    )
    found = find("UserStore().load_user(|")
    assert [snippet.path for snippet in found] == ["a.py", "c.py"]


def test_what_the_document_itself_holds_is_not_quoted() -> None:
    _, find = workspace({"copy.py": STORE, "use.py": "store = UserStore()\nstore.load_user(7)\nprint(store)\n"})
    assert [snippet.path for snippet in find(f"{STORE}\n\nUserStore().load_user(|")] == ["use.py"]


def test_lines_that_changed_since_they_were_indexed_are_not_quoted() -> None:
    files = {"store.py": STORE}
    _, find = workspace(files)
    files["store.py"] = "# nothing\n" * 5
    assert find("UserStore().load_user(|") == []
    files["store.py"] = STORE[:20]
    assert find("UserStore().load_user(|") == []
    del files["store.py"]
    assert find("UserStore().load_user(|") == []


def test_lines_that_moved_a_little_are_quoted_as_they_are_now() -> None:
    files = {"store.py": STORE}
    _, find = workspace(files)
    files["store.py"] = "# new\n" + STORE
    (snippet,) = find("UserStore().load_user(|\nend()\n")
    assert snippet.text == "\n".join(files["store.py"].split("\n")[:3])


def test_the_best_come_first_and_no_more_than_asked_for() -> None:
    files = {f"s{i}.py": STORE.replace("table", f"table_{'x' * i} = part_{'y' * i} = z{'z' * i}") for i in range(8)}
    _, find = workspace(files)
    for limit in (1, 3, 5):
        found = find("UserStore().load_user(|", limit=limit)
        assert len(found) == limit
        assert [s.score for s in found] == sorted((s.score for s in found), reverse=True)


def test_carriage_returns_and_astral_characters() -> None:
    _, find = workspace({"store.py": ("# 😀 é\n" + STORE).replace("\n", "\r\n"), "old.py": MATH.replace("\n", "\r")})
    (snippet,) = find("# 😀\r\nUserStore().load_user(|\r\n")
    assert snippet.text == "# 😀 é\n" + STORE.rstrip("\n")
    (snippet,) = find("transpose(|")
    assert (snippet.start_line, snippet.end_line) == (1, 2)


def test_a_bulk_build_finds_what_single_updates_find() -> None:
    files = {f"f{i}.py": STORE.replace("User", name) * 5 for i, name in enumerate(("User", "Order", "Cart"))}
    files["empty.py"] = "\n"
    files["script"] = "load_user\n"
    index, find = workspace(files)
    expected = find("OrderStore().load_|")
    bulk = RetrievalIndex()
    bulk.load(PackedSegment.from_bytes(build_segment(files.items()).to_bytes()))
    bulk.definitions.load(build_definitions(files.items()))
    place, offset = at("OrderStore().load_|")
    assert bulk.query(place, offset, definitions=False, read=files.get) == expected
    assert expected
    assert len(bulk) == len(index)


def test_files_changed_during_a_bulk_build_keep_their_newer_text() -> None:
    files = {"store.py": STORE, "mathematics.py": MATH}
    index, find = workspace(files)
    mark = index.mark()
    segment = build_segment(dict(files).items())
    files["store.py"] = "class Basket:\n    def empty(self): ...\n"
    index.update("store.py", files["store.py"])
    index.load(segment, since=mark)
    assert [snippet.path for snippet in find("Basket|")] == ["store.py"]
    assert find("load_user|") == []


def test_packing_changes_nothing_that_is_found() -> None:
    files = {f"f{i}.py": STORE.replace("User", f"User{chr(65 + i)}") for i in range(20)}
    index, find = workspace(files)
    for path in list(files)[:5]:
        index.remove(path)
    before = find("UserHStore().load_|")
    index.pack()
    assert find("UserHStore().load_|") == before
    assert len(index) == 15
    assert not index.packing_due
    assert index.nbytes > 0


def test_an_edited_file_is_indexed_anew_even_where_most_of_it_stays() -> None:
    text = "".join(f"first_{'x' * i}()\n" for i in range(40))
    files = {"a.py": text}
    index, find = workspace(files)
    for word in ("alpha", "beta", "gamma"):
        files["a.py"] = text.replace("first_xxxxxxxxxxxx()", f"{word}()")
        index.update("a.py", files["a.py"])
        assert find(f"{word}|")[0].text.count(word) == 1
    assert find("alpha|") == []
    index.update("a.py", text, "javascript")
    assert len(index) == 4


def test_the_number_of_lines_in_a_chunk_is_a_setting() -> None:
    index = RetrievalIndex(chunk_lines=2)
    index.update("a.py", "aa\nbb\n\ncc\n")
    assert len(index) == 2
    assert build_segment([("a.py", "aa\nbb\n\ncc\n")], chunk_lines=2).end_lines.tolist() == [2, 4]


def test_recently_edited_files_count_a_little_more() -> None:
    files = {"a.py": "alpha_beta(gamma)\n", "b.py": "alpha_beta(delta)\n", "c.py": "alpha_beta(alpha_beta)\n"}
    files |= {f"filler_{i}.py": f"filler_{'z' * i}()\n" for i in range(9)}
    index = RetrievalIndex()
    for path, text in files.items():
        index.update(path, text)
    place, offset = at("alpha_beta(|\nend()\n")
    for recent, first in (((), "c.py"), (("b.py",), "b.py"), (("main.py",), "c.py")):
        assert index.query(place, offset, recent=recent, definitions=False, read=files.get)[0].path == first


def test_a_serial_is_never_given_again() -> None:
    assert len({RetrievalIndex().serial for _ in range(100)}) == 100

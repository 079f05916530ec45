"""Where names are defined: kept up to date file by file, in bulk, and as bytes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.retrieval import definitions
from aix_lsp.retrieval.definitions import LARGEST_PARSED, DefinitionIndex, DefinitionPlace, build_definitions
from aix_lsp.retrieval.definitions_packed import PackedDefinitions
from aix_lsp.retrieval.index import RetrievalIndex

STORE = "class UserStore:\n    def load_user(self, user_id):\n        return self.table[user_id]\n\n\nLIMIT = 3\n"


def index_of(files: dict[str, str]) -> DefinitionIndex:
    index = DefinitionIndex()
    for path, text in files.items():
        index.update(path, text)
    return index


def test_names_lead_to_lines_and_kinds() -> None:
    found = index_of({"store.py": STORE}).find(["UserStore", "load_user", "LIMIT", "user_id", "nothing"])
    assert found == {
        "UserStore": [DefinitionPlace("store.py", 1, 3, "class")],
        "load_user": [DefinitionPlace("store.py", 2, 3, "method")],
        "LIMIT": [DefinitionPlace("store.py", 6, 6, "variable")],
    }


def test_a_long_file_is_read_when_asked_for_and_its_old_definitions_count_until_then() -> None:
    index = index_of({"store.py": STORE})
    filling = "value = compute(other)\n" * 2_000
    index.update_soon("store.py", STORE.replace("UserStore", "Basket") + filling)
    assert index.waiting
    assert (index.find(["UserStore"]).keys(), index.find(["Basket"])) == ({"UserStore"}, {})
    index.read_waiting()
    assert not index.waiting
    assert (index.find(["UserStore"]), index.find(["Basket"]).keys()) == ({}, {"Basket"})
    index.update_soon("short.py", "def spare(): ...\n")
    assert index.find(["spare"])
    for path in ("gone.py", "changed.py"):
        index.update_soon(path, "def left(): ...\n" + filling)
    index.remove("gone.py")
    index.update("changed.py", "def kept(): ...\n")
    index.read_waiting()
    assert index.find(["left", "kept"]).keys() == {"kept"}


def test_packing_the_workspace_reads_long_files() -> None:
    index = RetrievalIndex()
    index.update("store.py", STORE + "value = compute(other)\n" * 2_000)
    assert index.packing_due
    index.pack()
    assert not index.packing_due
    assert index.definitions.find(["UserStore"])


def test_files_that_come_and_go_for_weeks_leave_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, "_REMEMBERED_CHANGES", 8)
    index = index_of({"stays.py": "def lasting():\n    pass\n"})
    for number in range(50):
        index.update(f"made_{number}.py", "def passing():\n    pass\n")
        index.remove(f"made_{number}.py")
    assert len(index._moments) <= 8
    assert not index.find(["passing"])
    assert index.find(["lasting"])


def test_few_files_that_define_much_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, "_PACK_AT_ROWS", 20)
    index = DefinitionIndex()
    index.update("a.py", "x = 1\n" + "".join(f"def f_{number}():\n    pass\n" for number in range(19)))
    assert len(index) == 20
    assert not index.packing_due
    index.update("b.py", "y = 1\n")
    assert index.packing_due
    index.pack()
    assert not index.packing_due
    assert len(index) == 21
    index.remove("a.py")
    assert index.find(["f_18"]) == {}
    assert index.find(["y"])


def test_case_matters() -> None:
    assert index_of({"store.py": STORE}).find(["userstore", "limit"]) == {}


def test_an_update_replaces_and_a_removal_forgets() -> None:
    index = index_of({"store.py": STORE, "b.py": "def spare(): ...\n", "c.py": "def third(): ...\n"})
    index.update("store.py", "class Basket: ...\n")
    assert index.find(["UserStore"]) == {}
    assert index.find(["Basket"]) == {"Basket": [DefinitionPlace("store.py", 1, 1, "class")]}
    index.remove("b.py")
    assert index.paths() == {"store.py", "c.py"}
    index.remove_many(["c.py", "store.py", "never there.py"])
    assert index.paths() == set()
    assert index.find(["Basket", "spare", "third"]) == {}


def test_files_without_a_grammar_and_very_long_ones_define_nothing() -> None:
    index = index_of({"notes.txt": STORE, "long.py": "x = 1\n" * (LARGEST_PARSED // 6 + 1)})
    assert len(index) == 0
    index.update("script", STORE, "python")
    assert index.paths() == {"script"}


def test_a_name_that_is_defined_everywhere_is_left_out() -> None:
    index = index_of({f"m{i}.py": "def run(): ...\n" for i in range(5)})
    assert len(index.find(["run"])["run"]) == 5
    assert index.find(["run"], most=4) == {}


def test_a_bulk_replaces_everything_but_files_that_changed_meanwhile() -> None:
    index = index_of({"old.py": "def old(): ...\n"})
    mark = index.mark()
    bulk = build_definitions([("store.py", STORE), ("b.py", "def spare(): ...\n"), ("gone.py", "def gone(): ...\n")])
    index.update("store.py", "class Basket: ...\n")
    index.remove("gone.py")
    index.load(bulk, since=mark)
    assert index.paths() == {"store.py", "b.py"}
    assert set(index.find(["old", "UserStore", "gone", "Basket", "spare"])) == {"Basket", "spare"}


def test_bytes_hold_everything_but_text() -> None:
    index = index_of({"store.py": STORE, "b.py": "def spare(): ...\n"})
    index.pack()
    index.update("b.py", "def other(): ...\n")
    data = index.to_bytes()
    again = DefinitionIndex.from_bytes(data)
    names = ["UserStore", "load_user", "spare", "other"]
    assert again.find(names) == index.find(names)
    assert again.paths() == {"store.py", "b.py"}
    assert b"UserStore" not in data
    assert b"load_user" not in data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"other" + data, "version"),
        (lambda data: data[:-1], "damaged"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "damaged"),
        (lambda data: b"", "version"),
    ],
)
def test_damaged_bytes_are_refused_in_one_line(change: Callable[[bytes], bytes], message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        PackedDefinitions.from_bytes(change(index_of({"store.py": STORE}).to_bytes()))
    assert "\n" not in str(raised.value)


@pytest.fixture
def threads_that_take_turns_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("threads_that_take_turns_often")
def test_questions_are_answered_while_another_thread_reads_and_packs() -> None:
    index = DefinitionIndex()
    paths = [f"m{number}.py" for number in range(12)]
    texts = ["def alpha(): ...\n" + filler for filler in ("# a line\n" * 1_000, "# another\n" * 1_000)]
    for path in paths:
        index.update(path, texts[0])
    asking = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while not asking.is_set():
                index.read_waiting()
                index.pack()
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for turn in range(120):
            for path in paths:
                index.update_soon(path, texts[turn % 2])
            for _ in range(20):
                found = [place.path for place in index.find(["alpha"])["alpha"]]
                assert sorted(found) == sorted(paths)
    finally:
        asking.set()
        worker.join()
    assert failed == []


_NAMES = ("alpha", "beta", "gamma")
_ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["update", "remove", "pack", "bytes"]),
        st.sampled_from(["a.py", "b.py", "c.py"]),
        st.lists(st.sampled_from(_NAMES), max_size=3),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(_ACTIONS)
def test_after_any_changes_it_knows_the_files_as_they_are(
    actions: list[tuple[str, str, list[str]]],
) -> None:
    files: dict[str, str] = {}
    index = DefinitionIndex()
    for action, path, names in actions:
        if action == "update":
            files[path] = "".join(f"def {name}(): ...\n" for name in names)
            index.update(path, files[path])
        elif action == "remove":
            files.pop(path, None)
            index.remove(path)
        elif action == "pack":
            index.pack()
        else:
            index = DefinitionIndex.from_bytes(index.to_bytes())
    fresh = index_of(files)
    found, expected = index.find(_NAMES), fresh.find(_NAMES)
    assert {name: sorted(places) for name, places in found.items()} == {
        name: sorted(places) for name, places in expected.items()
    }
    assert index.paths() == fresh.paths()

"""Files of a project come in an order that keeps related ones together, and each of them once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.training.corpus.ordering import ODDS, dependencies, order
from aix_lsp.training.corpus.records import SourceFile

NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3).map("/".join)
METHODS = st.sampled_from([None, *ODDS])


def python(path: str, text: str, project: str = "shop") -> SourceFile:
    return SourceFile(project, path, "python", text)


@st.composite
def projects(draw: st.DrawFn) -> list[SourceFile]:
    """Python files that import one another at will, cycles too."""
    paths = draw(st.lists(NAMES, unique=True, max_size=24))
    files = []
    for path in paths:
        imported = draw(st.lists(st.sampled_from(paths), max_size=3))
        lines = [f"from {name.replace('/', '.')} import thing_{name[-1]}" for name in imported]
        files.append(python(f"{path}.py", "\n".join([*lines, f"def thing_{path[-1]}(): pass", ""])))
    return files


@settings(max_examples=25, deadline=None)
@given(projects(), st.integers(0, 5), METHODS, st.randoms(use_true_random=False))
def test_every_file_stands_in_the_order_once_however_they_were_given(files, seed, method, shuffler):
    ordered = order(files, seed, method)
    assert sorted(ordered, key=lambda file: file.path) == sorted(files, key=lambda file: file.path)
    shuffled = list(files)
    shuffler.shuffle(shuffled)
    assert order(shuffled, seed, method) == ordered


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 30), st.integers(0, 1000), st.data())
def test_dependencies_come_before_what_depends_on_them(count, seed, data):
    """Files import only files of a lower number, so there is no cycle and the order is held without exception."""
    needs = [data.draw(st.sets(st.integers(0, place - 1), max_size=3)) if place else set() for place in range(count)]
    files = []
    for place, needed in enumerate(needs):
        lines = [f"from shop.part_{other} import work_{other}" for other in sorted(needed)]
        files.append(python(f"shop/part_{place}.py", "\n".join([*lines, f"def work_{place}(): pass", ""])))
    assert [set(found) for found in dependencies(files)] == needs
    stands = {file.path: place for place, file in enumerate(order(files, seed, "graph"))}
    for place, needed in enumerate(needs):
        assert all(stands[f"shop/part_{other}.py"] < stands[f"shop/part_{place}.py"] for other in needed)


def test_a_name_of_several_files_is_taken_from_the_one_that_the_import_names():
    files = [
        python("a/store.py", "def load(): pass\n"),
        python("b/store.py", "def load(): pass\n"),
        python("b/cache.py", "def load(): pass\n"),
        python("b/use.py", "from .store import load\n"),
        python("a/use.py", "from a.store import load\n"),
    ]
    assert dependencies(files) == [[], [], [], [1], [0]]


def test_other_languages_depend_by_imports_and_by_calls():
    files = [
        SourceFile("p", "src/gauge.ts", "typescript", "export class Gauge {}\n"),
        SourceFile("p", "src/poll.ts", "typescript", 'import { Gauge } from "./gauge";\nnew Gauge();\n'),
        SourceFile("p", "lib/util.h", "c", "int clamp_level(int level);\n"),
        SourceFile("p", "lib/util.c", "c", "int clamp_level(int level) { return level; }\n"),
        SourceFile("p", "lib/main.c", "c", '#include "util.h"\nint main(void) { return clamp_level(3); }\n'),
        SourceFile("p", "app/Store.java", "java", "package app; public class Store {}\n"),
        SourceFile("p", "app/use/Shop.java", "java", "package app.use; import app.Store; class Shop { Store s; }\n"),
    ]
    found = dependencies(files)
    assert found[1] == [0]
    assert 3 in found[4]
    assert found[6] == [5]


def test_similar_files_stand_together():
    recipes = "flour sugar butter oven bake dough knead yeast"
    ships = "harbour anchor sail mast rudder tide captain deck"
    files = [
        python(f"{place % 5}/file_{place}.py", f"words = '{(recipes if place % 2 else ships)} {place}'\n" * 5)
        for place in range(40)
    ]
    kinds = ["flour" in file.text for file in order(files, 3, "similarity")]
    changes = sum(before != after for before, after in pairwise(kinds))
    assert changes <= 3


def test_files_of_a_folder_stand_together_by_path():
    files = [python(f"{folder}/{name}.py", "x = 1\n") for folder in "abcd" for name in "wxyz"]
    folders = [file.path[0] for file in order(files, 1, "paths")]
    assert sum(before != after for before, after in pairwise(folders)) == 3


def test_the_order_changes_with_the_seed_and_the_project():
    files = [python(f"{place}.py", f"x = {place}\n") for place in range(12)]
    orders = {tuple(file.path for file in order(files, seed)) for seed in range(8)}
    assert len(orders) > 4
    other = [python(file.path, file.text, "farm") for file in files]
    assert any(
        [file.path for file in order(files, seed)] != [file.path for file in order(other, seed)] for seed in range(3)
    )


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="no such order: best"):
        order([], 0, "best")

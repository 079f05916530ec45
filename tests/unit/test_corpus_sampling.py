"""A part of a large project: runs of neighbours, within the size that was asked for."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.corpus.sampling import runs


def files(*sizes: int, project: str = "p") -> list[SourceFile]:
    return [SourceFile(project, f"f{place:04}.py", "python", "x" * size) for place, size in enumerate(sizes)]


@given(st.lists(st.integers(0, 50), max_size=120), st.integers(0, 2000), st.integers(0, 5), st.randoms())
def test_files_are_taken_once_within_the_size_in_the_order_of_their_paths(
    sizes: list[int], most: int, seed: int, shuffler: object
) -> None:
    given_files = files(*sizes)
    chosen = runs(given_files, most, seed)
    assert chosen == [file for file in given_files if file in chosen]
    assert len(set(chosen)) == len(chosen)
    total = sum(len(file.text) for file in chosen)
    if sum(sizes) <= most:
        assert chosen == given_files
    else:
        assert total <= most or len(chosen) == 1
        assert chosen
    shuffler.shuffle(given_files)  # type: ignore[attr-defined]
    assert sorted(runs(given_files, most, seed), key=lambda file: file.path) == chosen


def test_neighbours_stay_together() -> None:
    chosen = [int(file.path[1:5]) for file in runs(files(*[10] * 480), 960, seed=3)]
    assert len(chosen) == 96
    breaks = sum(right != left + 1 for left, right in pairwise(chosen))
    assert breaks < 96 / 24


def test_the_choice_changes_with_the_seed_and_the_project() -> None:
    first = [file.path for file in runs(files(*[10] * 480), 960, seed=3)]
    assert first != [file.path for file in runs(files(*[10] * 480), 960, seed=4)]
    assert first != [file.path for file in runs(files(*[10] * 480, project="q"), 960, seed=3)]


def test_a_project_of_one_file_that_is_too_large_keeps_it() -> None:
    assert runs(files(100), 10, seed=0) == files(100)
    assert runs([], 10, seed=0) == []

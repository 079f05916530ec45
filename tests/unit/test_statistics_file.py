"""The file of counts stays small however long servers run."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.completion.statistics import read_totals, sum_of
from aix_lsp.completion.statistics_file import Row, StatisticsFile, read_rows
from aix_lsp.private import locked_beside

TODAY = date.today().isoformat()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "statistics.jsonl"


def rows_of(path: Path) -> dict[tuple[str, str], Counter[str]]:
    found: dict[tuple[str, str], Counter[str]] = {}
    for row in read_rows(path):
        found.setdefault((row.day, row.language), Counter()).update(row.counts)
    return found


def test_a_large_file_is_summed_up_by_day_and_language(path: Path) -> None:
    file = StatisticsFile(path, most_bytes=2_000)
    for number in range(1_000):
        file.append([Row(TODAY, f"language {number % 3}", {"offered": 2, f"model_ms.{number % 5}": 1})])
        assert path.stat().st_size <= 2_100
    assert read_totals(path) == {"offered": 2_000}
    assert set(rows_of(path)) == {(TODAY, f"language {number}") for number in range(3)}
    assert rows_of(path)[TODAY, "language 0"]["model_ms.1"] == 67
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir() if each.name.endswith(".part")] == []


def test_days_of_long_ago_become_months(path: Path) -> None:
    file = StatisticsFile(path, most_bytes=100)
    yesterday = (date.today() - timedelta(days=1)).isoformat()
    for day in ("2001-01-30", "2001-01-31", "2001-02-01", yesterday, TODAY, "no day"):
        file.append([Row(day, "python", {"offered": 1})])
    file.append([Row(TODAY, "python", {"offered": 1})] * 10)
    assert {day: counts["offered"] for (day, _), counts in rows_of(path).items()} == {
        "2001-01": 2,
        "2001-02": 1,
        yesterday: 1,
        TODAY: 11,
        "no day": 1,
    }


def test_a_file_of_many_languages_is_not_written_anew_with_every_line(path: Path) -> None:
    file = StatisticsFile(path, most_bytes=1_000)
    languages = [Row(TODAY, f"language {number}", {"offered": 1}) for number in range(100)]
    file.append(languages)
    written = set()
    for row in languages:
        file.append([row])
        written.add(os.stat(path).st_ino)  # noqa: PTH116
    assert len(written) <= 2
    assert read_totals(path) == {"offered": 200}


def test_what_another_version_counts_is_kept_and_what_is_damaged_goes(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(
        json.dumps({"day": TODAY, "language": "go", "offered": 1, "invented_later": 3, "share": 0.5, "no": True}) + "\n"
        'half a li\n[1]\n{"offered": "many"}\n'
    )
    StatisticsFile(path, most_bytes=10).append([Row(TODAY, "go", {"offered": 1})])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {"day": TODAY, "language": "go", "offered": 2, "invented_later": 3} in lines


@settings(max_examples=30)
@given(
    rows=st.lists(
        st.tuples(
            st.dates(date(2020, 1, 1)).map(date.isoformat) | st.just(TODAY),
            st.sampled_from(["python", "go", "", "\ud800", "a\nb"]),
            st.dictionaries(st.sampled_from(["offered", "accepted", "cached_ms.-3"]), st.integers(1, 1_000)),
        ),
        max_size=40,
    )
)
def test_summing_up_changes_no_sum(
    rows: list[tuple[str, str, dict[str, int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("state")
    plain, small = folder / "plain.jsonl", folder / "small.jsonl"
    for path, most in ((plain, 1 << 30), (small, 200)):
        file = StatisticsFile(path, most_bytes=most)
        for row in rows:
            file.append([Row(*row)])
    assert sum_of(read_rows(small)) == sum_of(read_rows(plain))


def test_servers_that_sum_up_at_the_same_time_lose_nothing(path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from aix_lsp.completion.statistics_file import Row, StatisticsFile\n"
        "file = StatisticsFile(pathlib.Path(sys.argv[1]), most_bytes=500)\n"
        "for number in range(200):\n"
        "    file.append([Row('2026-01-02', f'language {number % 7}', {'offered': 1})])\n"
    )
    servers = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(3)]
    assert [server.wait(60) for server in servers] == [0, 0, 0]
    assert read_totals(path) == {"offered": 600}


def test_a_file_that_another_process_keeps_locked_is_not_waited_for_without_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aix_lsp.completion.statistics_file._LOCKED_S", 0.05)
    path.parent.mkdir()
    with locked_beside(path), pytest.raises(BlockingIOError):
        StatisticsFile(path).append([Row(TODAY, "go", {"offered": 1})])


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are another matter there")
def test_a_full_disk_leaves_the_lines_as_they_were(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aix_lsp.completion.statistics_file.replaced_file", full)
    file = StatisticsFile(path, most_bytes=10)
    for _ in range(3):
        file.append([Row(TODAY, "go", {"offered": 1})])
    assert read_totals(path) == {"offered": 3}
    assert len(path.read_text().splitlines()) == 3

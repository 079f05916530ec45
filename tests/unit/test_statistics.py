"""The file of counts, and what is read from it."""

from __future__ import annotations

import json
import math
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.cli.stats import first_day, run
from aix_lsp.completion.statistics import (
    Statistics,
    bucket_of,
    latencies,
    percentile,
    read_totals,
    sum_of,
    summary,
)
from aix_lsp.completion.statistics_file import Row, read_rows

BUCKET = 10 ** (1 / 16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "statistics.jsonl"


def test_counts_are_kept_in_a_private_file_and_can_be_added_up(path: Path) -> None:
    for _ in range(2):
        statistics = Statistics(path, today=lambda: "2026-01-02")
        statistics.count("python", "offered")
        statistics.count("python", "accepted_characters", 11)
        statistics.answered("python", "model", 120.0)
        statistics.save()
        statistics.save()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    row = {"day": "2026-01-02", "language": "python", "offered": 1, "accepted_characters": 11, "model_ms.34": 1}
    assert rows == [row] * 2
    assert read_totals(path) == {"offered": 2, "accepted_characters": 22}
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_each_day_and_language_has_a_line(path: Path) -> None:
    days = iter(["2026-01-02", "2026-01-03", "2026-01-03"])
    statistics = Statistics(path, today=lambda: next(days))
    for language in ("python", "python", "go"):
        statistics.count(language, "offered")
    statistics.save()
    assert {(row.day, row.language) for row in read_rows(path)} == {
        ("2026-01-02", "python"),
        ("2026-01-03", "python"),
        ("2026-01-03", "go"),
    }


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (b'{"day": "2026-01-02", "language": "python", "offered": 3}', {"offered": 3}),
        (b'{"offered": 1, "something_newer": 5}', {"offered": 1}),
        (b'{"offered": true, "accepted": "2", "typed_through": 1.5, "kept_30": -4}', {}),
        (
            b'{"model_ms.12": 4, "cached_ms.-3": 1, "model_ms.x": 7, "model_ms.99999": 1}',
            {"model_ms.12": 4, "cached_ms.-3": 1},
        ),
        (b'{"day": 7, "language": null, "offered": 1}', {"offered": 1}),
        (b'{"offe\xff', {}),
        (b"[]", {}),
        (b"[" * 100_000, {}),
        (b'{"offered": ' + b"9" * 5000 + b"}", {}),
        (b"", {}),
    ],
)
def test_old_newer_and_damaged_lines_cost_nothing_else(tmp_path: Path, line: bytes, counts: dict[str, int]) -> None:
    file = tmp_path / "statistics.jsonl"
    file.write_bytes(b'{"offered": 1}\n' + line + b'\n{"offered": 1}\n')
    assert sum_of(read_rows(file)) == {**counts, "offered": 2 + counts.get("offered", 0)}


def test_no_file_has_no_counts(tmp_path: Path) -> None:
    assert read_totals(tmp_path / "none") == {}
    assert read_totals(tmp_path) == {}


def test_after_half_a_line_a_new_one_is_begun(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"offered": 5}\n{"offe')
    statistics = Statistics(path)
    statistics.count("python", "offered")
    statistics.save()
    assert read_totals(path) == {"offered": 6}


def test_what_is_counted_while_another_thread_writes_is_not_lost(path: Path) -> None:
    statistics = Statistics(path)
    statistics.count("python", "offered")
    taken = statistics.take_unsaved()
    statistics.count("python", "offered")
    statistics.write(taken)
    statistics.save()
    assert read_totals(path) == {"offered": 2}


def test_servers_that_write_at_the_same_time_lose_nothing(path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from aix_lsp.completion.statistics import Statistics\n"
        "statistics = Statistics(pathlib.Path(sys.argv[1]))\n"
        "for number in range(300):\n"
        "    statistics.count(f'language {number % 7}', 'offered')\n"
        "    statistics.answered('python', 'model', number)\n"
        "    statistics.save()\n"
    )
    servers = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(3)]
    assert [server.wait(60) for server in servers] == [0, 0, 0]
    assert read_totals(path) == {"offered": 900}
    assert sum(latencies(sum_of(read_rows(path)), "model").values()) == 900


def test_statistics_can_be_switched_off_at_any_time(path: Path) -> None:
    statistics = Statistics(path)
    statistics.count("python", "offered")
    statistics.keep_in(None)
    statistics.count("python", "offered")
    statistics.answered("python", "cached", 1)
    statistics.save()
    statistics.keep_in(path)
    statistics.save()
    assert not path.exists()
    assert statistics.totals["offered"] == 2


def test_what_was_counted_and_taken_back_is_not_written(path: Path) -> None:
    statistics = Statistics(path)
    statistics.count("python", "typed_through")
    statistics.count("python", "typed_through", -1)
    statistics.save()
    assert sum_of(read_rows(path)) == {}


def test_a_disk_that_refuses_costs_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    statistics = Statistics(tmp_path / "file" / "statistics.jsonl")
    statistics.count("python", "offered")
    statistics.save()
    assert "statistics could not be saved" in caplog.text


# times


@pytest.mark.parametrize(
    ("milliseconds", "bucket"),
    [(0.0, -16), (-1.0, -16), (math.nan, -16), (0.05, -16), (1.0, 0), (1.01, 1), (10.0, 16), (1e9, 80), (math.inf, 80)],
)
def test_times_have_log_spaced_buckets(milliseconds: float, bucket: int) -> None:
    assert bucket_of(milliseconds) == bucket


@given(st.lists(st.floats(0.2, 90_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_percentile_is_right_within_a_bucket(times: list[float], share: float) -> None:
    buckets: dict[int, int] = {}
    for time in times:
        buckets[bucket_of(time)] = buckets.get(bucket_of(time), 0) + 1
    exact = sorted(times)[math.ceil(share * len(times)) - 1]
    found = percentile(buckets, share)
    assert found is not None
    assert exact / BUCKET * 0.999 <= found <= exact * BUCKET * 1.001


def test_without_answers_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None
    assert percentile({3: 0}, 0.5) is None


def test_a_summary_says_nothing_of_what_was_not_counted() -> None:
    empty = summary({})
    assert empty["shown"] == 0
    assert empty["accepted_share"] is empty["kept_30_share"] is None
    assert empty["latency_ms"]["model"] == {"answers": 0, "p50": None, "p90": None, "p99": None}


def test_a_summary_has_shares_of_what_could_be_seen() -> None:
    counts = {"offered": 8, "accepted": 4, "looked_30": 3, "kept_30": 2, "model_ms.32": 10, "cached_ms.0": 5}
    found = summary(counts)
    assert (found["accepted_share"], found["kept_30_share"]) == (0.5, 0.6667)
    assert found["latency_ms"]["model"]["answers"] == 10
    assert 86 < found["latency_ms"]["model"]["p50"] < 100
    assert found["latency_ms"]["cached"]["p99"] <= 1


# the command


@pytest.mark.parametrize(
    ("days", "first"), [(1, "2026-03-01"), (2, "2026-02-28"), (60, "2026-01-01"), (10**9, "0001-01-01")]
)
def test_days_are_counted_back_from_today(days: int, first: str) -> None:
    assert first_day(days, today="2026-03-01") == first


@pytest.fixture
def filled(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    today = first_day(1)
    for day, language, offered in (
        ("2020-01-01", "python", 100),
        (today, "python", 10),
        (today, "go", 1),
        ("", "", 1000),
    ):
        statistics = Statistics(path, today=lambda day=day: day)  # type: ignore[misc]
        statistics.count(language, "offered", offered)
        statistics.answered(language, "model", 50)
        statistics.save()
    monkeypatch.setattr("aix_lsp.cli.stats.statistics_file", lambda: path)
    return path


@pytest.mark.parametrize(
    ("days", "language", "shown"),
    [(None, None, 1111), (1, None, 11), (None, "python", 110), (1, "go", 1), (1, "java", 0)],
)
def test_the_command_counts_by_days_and_language(
    filled: Path, capsys: pytest.CaptureFixture[str], days: int | None, language: str | None, shown: int
) -> None:
    run(as_json=True, days=days, language=language)
    data = json.loads(capsys.readouterr().out)
    assert data["total"]["shown"] == shown
    assert sum(part["shown"] for part in data["languages"].values()) == shown
    assert sum(part["shown"] for part in data["days"].values()) == shown


def test_the_table_has_a_line_for_each_language_and_day(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(as_json=False, days=None, language=None)
    told = capsys.readouterr().out
    for part in ("all", "python", "go", "(none)", "2020-01-01", "p50/p90/p99", str(filled)):
        assert part in told


def test_no_data_is_said_in_one_line(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(as_json=False, days=3, language="java")
    told = capsys.readouterr().out
    assert told.startswith("nothing has been counted for java since ")
    assert told.count("\n") == 1


def test_rows_remember_where_they_belong(filled: Path) -> None:
    assert next(iter(read_rows(filled))) == Row("2020-01-01", "python", {"offered": 100, "model_ms.28": 1})


def test_a_language_with_an_escape_sequence_in_its_name_reaches_no_terminal(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("aix_lsp.cli.stats.statistics_file", lambda: path)
    statistics = Statistics(path)
    statistics.count("\x1b]0;owned\x07\x9b\ud800", "offered")
    statistics.save()
    for as_json in (False, True):
        run(as_json=as_json, days=None, language=None)
        told = capsys.readouterr().out
        assert "owned" in told
        assert told.isascii() or not as_json
        assert not set("\x1b\x07\x9b") & set(told)

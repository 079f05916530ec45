"""What of a text, a setting, a record may stand in a report for a bug."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest

from aix_lsp.cli import bundle, bundle_parts, bundle_servers
from aix_lsp.cli.bundle_words import own_words, without_names
from aix_lsp.cli.doctor import Finding
from aix_lsp.cli.failure import UsageError
from aix_lsp.completion.trace import record
from aix_lsp.configuration import Configuration
from aix_lsp.logs_file import LogFile
from tests.unit.traces import HOSTILE, offered, request, silent


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("status: ready, aix-mini is ready (cpu, float32)", "status: ready, aix-mini is ready (cpu, float32)"),
        ("the folder /home/me/Fnord Quux/engine could not be indexed", "the folder (path) (path) could not be indexed"),
        (r"C:\Users\me\engine.py and ~/engine", "(path) and (path)"),
        ("the server at https://me:pw@models.fnord.org:8000/v1 is away", "the server at (path) is away"),
        ("total_fnord = 12; 1234567890123456", "… = 12; …"),
        ("Schlüssel 漢字 \u202e", "… … \u202e"),
    ],
)
def test_words_that_the_program_does_not_say_itself_are_replaced(said: str, told: str) -> None:
    assert own_words(said) == told


def test_what_the_system_says_is_told_without_users_and_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.node", lambda: "fnordbox.example.org")
    monkeypatch.setattr(getpass, "getuser", lambda: "quux")
    text = f"{Path.home()}/lib of QUUX at fnordbox, fnordbox.example.org; quuxes"
    assert without_names(text) == "~/lib of <user> at <host>, <host>; quuxes"


def test_of_settings_that_are_typed_freely_only_that_they_are_set() -> None:
    configuration = Configuration()
    values = {
        "remote.url": "https://fnord.example",
        "remote.token": "fnord",
        "model.name": "./fnord",
        "log.level": "info",
    }
    problems = configuration.set_layer("environment", {**values, "fnord.quux": 1, "workspace.ignore": ["fnord"]})
    told = bundle_parts.settings(configuration, problems)
    assert "fnord" not in json.dumps(told)
    options = told["options"]
    assert {options[name]["value"] for name in ("remote.url", "model.name")} == {"(set)"}
    assert options["remote.token"] == {"value": "(hidden)", "from": "environment"}
    assert options["workspace.ignore"]["value"] == "(1 items)"
    assert options["log.level"]["value"] == "info"
    assert options["completion.max_lines"]["from"] == "default"
    configuration.set_layer("environment", {"model.name": "aixcoder-7b"})
    assert bundle_parts.settings(configuration, ())["options"]["model.name"]["value"] == "aixcoder-7b"


def test_of_a_request_figures_and_nothing_that_was_written() -> None:
    asked = request(f"fnord = '{HOSTILE}'|", name="fnord/quux.py")
    for result in (offered("fnord()"), silent("fnord: quux", failed=True)):
        told = json.dumps(bundle_servers.request(record(1, 0.0, asked, result)))
        assert "fnord" not in told
        assert "quux" not in told
        assert "script" not in told
    assert bundle_servers.language("python") == "python"
    assert bundle_servers.language("fnord") == "other"


def test_findings_about_the_machine_are_told_as_they_are_unless_something_is_wrong() -> None:
    found = [
        Finding("gpu", "ok", "FnordForce 9000"),
        Finding("torch", "fail", "no /home/fnord/x.so"),
        Finding("x", "ok", "fnord"),
    ]
    assert [one["detail"] for one in bundle_parts.findings(found)] == ["FnordForce 9000", "no (path)", "…"]


def test_a_log_that_somebody_has_edited_tells_no_more(tmp_path: Path) -> None:
    hostile = {
        "time": "fnord",
        "level": "fnord",
        "logger": "fnord",
        "request": "fnord",
        "event": ["fnord"],
        "run": "fnord",
    }
    good = {
        "time": "2026-11-22T00:02:19.939Z",
        "level": "debug",
        "request": "c0711fbd-1",
        "event": "generated",
        "tokens": 3,
    }
    file = LogFile(tmp_path / "a.jsonl")
    for one in (hostile, {"fnord": 1}, good):
        file.append(json.dumps(one).encode() + b"\n")
    lines = [json.loads(line) for line in bundle_parts.log_lines([file.path, tmp_path / "none"])]
    assert "fnord" not in json.dumps(lines)
    assert lines[-1] == {**good, "logger": ""}
    (problem,) = bundle_parts.log_lines([tmp_path])
    assert "problem" in problem


def test_a_token_that_got_in_after_all_stops_the_report() -> None:
    bundle.refuse_leaks({"a.json": b"nothing"}, ["", "x", "s3cret"])
    with pytest.raises(bundle.Leak, match=r"a\.json would have held") as caught:
        bundle.refuse_leaks({"a.json": b"a s3cret"}, ["s3cret"])
    assert "s3cret" not in str(caught.value)
    with pytest.raises(bundle.Leak):
        bundle.refuse_leaks({"a.json": json.dumps({"a": 'C:\\me "x"'}).encode()}, ['C:\\me "x"'])


def test_a_token_that_is_a_word_of_the_program_does_not_stop_the_report() -> None:
    bundle.refuse_leaks(
        {"settings.json": b'{"remote.token": "(hidden)", "choice": "none"}'}, ["none", "token", "EMPTY"]
    )


def test_a_record_that_no_text_can_hold_does_not_stop_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"level": "info", "event": "\\ud800 ready"}\n')
    monkeypatch.setattr("aix_lsp.cli.log.log_files", lambda: [file])
    monkeypatch.setattr("aix_lsp.cli.doctor.examine", lambda *_, **__: iter(()))
    monkeypatch.setattr(bundle, "servers", dict)
    (line,) = bundle.collect(tmp_path, {})["log.jsonl"].splitlines()
    assert json.loads(line)["event"] == "? ready"


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_collected(tmp_path: Path) -> None:
    def write(file: Path) -> None:
        bundle.run(file=file, as_json=False, workspace=tmp_path / "none", model=None, load=False, assignments=())

    with pytest.raises(UsageError, match="away is no folder"):
        write(tmp_path / "away" / "a.zip")
    with pytest.raises(UsageError, match="exists already"):
        write(tmp_path)

"""What the audit finds in this checkout, and that it finds what is wrong: planted failures."""

from __future__ import annotations

import shutil
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.audit import __main__ as command
from tests.audit import constraints, extension, licences, packages, vulnerabilities
from tests.audit.packages import Declared
from tests.package.rows import NotHere

ASKED = "pip-audit -r constraints.txt"


def test_the_document_of_licences_is_up_to_date() -> None:
    text = licences.DOCUMENT.read_text("utf-8")
    assert "licences of" in licences.up_to_date(text)
    licence = packages.pins((packages.ROOT / "constraints.txt").read_text("utf-8"))["pygls"]
    with pytest.raises(AssertionError, match=r"pygls: python -m tests.audit --write"):
        licences.up_to_date(text.replace(f"| pygls | {licence} | Apache-2.0 |", f"| pygls | {licence} | GPL-3.0 |"))
    with pytest.raises(AssertionError, match="other packages"):
        licences.up_to_date(text.replace("| pygls |", "| pygls2 |"))


def test_the_extension_is_built_from_what_has_a_checksum_and_a_permissive_licence() -> None:
    assert "all for building" in extension.checksums(extension.locked())
    bundled = extension.bundled()
    assert "vscode-languageclient" in bundled
    assert "MIT" in extension.licences(bundled)
    with pytest.raises(AssertionError, match=r"semver \(GPL-3\.0\)"):
        extension.licences({**bundled, "semver": {"license": "GPL-3.0"}})
    with pytest.raises(AssertionError, match="node_modules/a"):
        extension.checksums({"node_modules/a": {"integrity": "sha1-x"}})


def test_a_package_that_is_bundled_with_another_ones_copy_of_it_is_that_copy() -> None:
    locked: dict[str, dict[str, Any]] = {
        "node_modules/vscode-languageclient": {"dependencies": {"semver": "^7"}},
        "node_modules/vscode-languageclient/node_modules/semver": {"version": "7"},
        "node_modules/semver": {"version": "6"},
    }
    assert extension.bundled(locked)["semver"]["version"] == "7"


@pytest.mark.parametrize("line", ["pygls>=2", "pygls", "pygls==2.1.1\npygls==2.1.1", "-e ."])
def test_what_pins_nothing_or_twice_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"constraints\.txt"):
        packages.pins(line)


def test_a_declared_package_needs_a_pin_that_fits() -> None:
    wanted = Declared({"": (Requirement("pygls>=2.1.1,<2.2"),), "flash": (Requirement("flash-attn>=2.7"),)})
    assert "flash-attn" in constraints.covers_declared({"pygls": "2.1.1"}, wanted)
    with pytest.raises(AssertionError, match="not pinned: pygls"):
        constraints.covers_declared({}, wanted)
    with pytest.raises(AssertionError, match=r"pygls==2\.2\.0 is not"):
        constraints.covers_declared({"pygls": "2.2.0"}, wanted)


def test_what_is_installed_is_what_is_pinned_and_nothing_else_is() -> None:
    wanted, present = Declared({"": (Requirement("pygls"),)}), packages.installed()
    needed = packages.wanted_by([Requirement("pygls")], present)
    assert {"pygls", "lsprotocol", "attrs"} <= needed
    pinned = {name: packages.public(one.version) for name, one in present.items() if name in needed}
    assert "packages" in constraints.covers_installed(pinned, wanted, present)
    with pytest.raises(AssertionError, match="not pinned: lsprotocol=="):
        constraints.covers_installed(
            {name: pin for name, pin in pinned.items() if name != "lsprotocol"}, wanted, present
        )
    with pytest.raises(AssertionError, match=r"pygls .*, not 0\.1"):
        constraints.covers_installed({**pinned, "pygls": "0.1"}, wanted, present)
    with pytest.raises(AssertionError, match="nobody needs: left-pad"):
        constraints.nothing_else({**pinned, "left-pad": "1"}, wanted, present)


def metadata(*fields: tuple[str, str]) -> Message:
    message = Message()
    for name, value in fields:
        message[name] = value
    return message


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "MIT"), ("License", "other")], "MIT"),
        ([("License", "Apache 2.0")], "Apache-2.0"),
        ([("License", "UNKNOWN"), ("Classifier", "License :: OSI Approved :: MIT License")], "MIT"),
        ([("License", "Long\ntext"), ("Classifier", "License :: OSI Approved :: BSD License")], "BSD-3-Clause"),
        ([("Classifier", "License :: OSI Approved"), ("Classifier", "Typing :: Typed")], ""),
    ],
)
def test_a_licence_is_what_the_metadata_say(fields: list[tuple[str, str]], licence: str) -> None:
    assert licences.licence_of(metadata(*fields)) == licence


def test_a_package_without_a_licence_and_unexpected_copyleft_are_named() -> None:
    with pytest.raises(AssertionError, match="no licence: a"):
        licences.all_have_one({"a": "", "b": "MIT"}, {"a": "1", "b": "1"})
    with pytest.raises(AssertionError, match=r"b \(LGPL-2.1-only\)"):
        licences.accounted_for({"certifi": "MPL-2.0", "b": "LGPL-2.1-only"})


def test_a_database_that_looked_at_nothing_held_nothing() -> None:
    unknown = {"name": "a", "skip_reason": "not found"}
    known = {"name": "b", "version": "1", "vulns": []}
    with pytest.raises(NotHere, match="for osv knows 0 of 1 packages; on another machine: pip-audit"):
        vulnerabilities.judged("osv", [unknown], ASKED)
    told = vulnerabilities.judged("osv", [unknown, known, known], ASKED)
    assert told == "2 packages, none has a known one; not known to it: a"
    with pytest.raises(AssertionError, match="b 1: CVE-1"):
        vulnerabilities.judged("osv", [unknown, {**known, "vulns": [{"id": "CVE-1"}]}], ASKED)
    with pytest.raises(NotHere):
        vulnerabilities.judged_npm({"statusCode": 405})
    with pytest.raises(AssertionError, match=r"semver \(high\)"):
        vulnerabilities.judged_npm({"vulnerabilities": {"semver": {"severity": "high"}}})


def test_only_a_database_that_does_not_answer_passes_for_one() -> None:
    away = "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='api.osv.dev', port=443): Max retries"
    assert isinstance(vulnerabilities.why_nothing("osv", f"Traceback\n{away}\n", ASKED), NotHere)
    refused = "usage: pip-audit\npip-audit: error: argument -s: invalid choice: 'osw'\n"
    for said in (refused, "KeyError: 'vulns'", ""):
        assert isinstance(vulnerabilities.why_nothing("osv", said, ASKED), AssertionError)


def test_the_command_fails_for_a_pin_that_nobody_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(packages.ROOT / "constraints.txt", tmp_path)
    with (tmp_path / "constraints.txt").open("a") as file:
        file.write("left-pad==1.3.0\n")
    monkeypatch.setattr(constraints, "ROOT", tmp_path)
    monkeypatch.setattr(licences, "rows", lambda: iter(()))
    assert command.main(["--offline"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("audit: ")
    (line,) = [line for line in told if "constraints: nothing else" in line]
    assert line.startswith("  broken ")
    assert "nobody needs: left-pad" in line

"""Licences, which folders are projects, and which projects are chosen."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.training.corpus.licences import detect, identifiers, kind, of_name, of_notice, of_text
from aix_lsp.training.corpus.projects import SourcesError, find_projects, scores, select
from aix_lsp.training.corpus.records import Project

MIT = """MIT License

Copyright (c) 2024 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction.

The above copyright notice and this permission notice shall be included in all copies or substantial portions.
"""
BSD = """Redistribution and use in source and binary forms, with or without modification, are permitted:
1. Redistributions of source code must retain the above copyright notice, this list of conditions.
2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions.
"""
BSD3 = (
    BSD
    + "3. The names of contributors may not be used to\n   endorse or promote products derived from this software.\n"
)
APACHE = "                                 Apache License\n                           Version 2.0, January 2004\n"
GPL3 = "                    GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007\n"
LGPL3 = "                   GNU LESSER GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007\n"
WHEEL = "Metadata-Version: 2.4\nName: thing\nVersion: 1\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", "permissive"),
        ("mit", "permissive"),
        ("Apache-2.0 WITH LLVM-exception", "permissive"),
        ("MIT OR GPL-3.0-only", "permissive"),
        ("MIT AND GPL-3.0-only", "copyleft"),
        ("MIT AND LicenseRef-Ours", "unknown"),
        ("GPL-2.0-only OR LicenseRef-Ours", "copyleft"),
        ("(MIT OR GPL-2.0+) AND BSD-3-Clause", "permissive"),
        ("MIT OR Apache-2.0 AND GPL-3.0-only", "permissive"),
        ("(MIT OR Apache-2.0) AND GPL-3.0-only", "copyleft"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "copyleft"),
        ("LGPL-2.1-or-later", "copyleft"),
        ("MPL-2.0", "copyleft"),
        ("EPL-2.0", "copyleft"),
        ("CDDL-1.0", "copyleft"),
        ("EUPL-1.2", "copyleft"),
        ("CC-BY-SA-4.0", "copyleft"),
        ("OSL-3.0", "copyleft"),
        ("AGPL-3.0", "copyleft"),
        ("SSPL-1.0", "copyleft"),
        ("CC-BY-NC-4.0", "copyleft"),
        ("UNLICENSED", "unknown"),
        ("", "unknown"),
        ("MIT OR", "unknown"),
        ("(MIT", "unknown"),
        ("MIT Apache-2.0", "unknown"),
        ("see the file, please", "unknown"),
    ],
)
def test_what_an_expression_asks_for(expression: str, expected: str) -> None:
    assert kind(expression) == expected


RANK = {"copyleft": 0, "unknown": 1, "permissive": 2}
LEAVES = st.sampled_from(
    ["MIT", "GPL-3.0-only", "LicenseRef-Ours", "Zlib", "MPL-2.0", "Apache-2.0 WITH LLVM-exception"]
)
TREES = st.recursive(LEAVES, lambda inner: st.tuples(st.sampled_from(["AND", "OR"]), inner, inner), max_leaves=8)


def spelled(tree: object) -> str:
    return tree if isinstance(tree, str) else f"({spelled(tree[1])} {tree[0]} {spelled(tree[2])})"  # type: ignore[index]


def judged(tree: object) -> str:
    if isinstance(tree, str):
        return kind(tree)
    sides = {judged(tree[1]), judged(tree[2])}  # type: ignore[index]
    order = ["copyleft", "unknown", "permissive"] if tree[0] == "AND" else ["permissive", "copyleft", "unknown"]  # type: ignore[index]
    return next(each for each in order if each in sides)


@given(TREES)
def test_an_expression_in_brackets_is_judged_from_its_leaves_up(tree: object) -> None:
    assert kind(spelled(tree)) == judged(tree)


@given(st.text(alphabet="MITGPL-3.0ANDORWITH() +", max_size=40))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    assert kind(text) in RANK
    assert isinstance(identifiers(text), list)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MIT License", "MIT"),
        ("The MIT License (MIT)", "MIT"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("Apache Software License", "Apache-2.0"),
        ("Apache 2.0", "Apache-2.0"),
        ("3-Clause BSD License", "BSD-3-Clause"),
        ("New BSD", "BSD-3-Clause"),
        ("BSD License", "LicenseRef-BSD"),
        ("ISC License (ISCL)", "ISC"),
        ("BSD or Apache License, Version 2.0", "LicenseRef-BSD OR Apache-2.0"),
        ("GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later"),
        ("GNU Lesser General Public License v2.1", "LGPL-2.1-only"),
        ("GPL", "LicenseRef-GPL"),
        ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
        ("GNU Affero General Public License v3", "AGPL-3.0-only"),
        ("Eclipse Public License 2.0", "EPL-2.0"),
        ("Python Software Foundation License", "PSF-2.0"),
        ("Public Domain", "LicenseRef-Public-Domain"),
        ("ours", ""),
        ("", ""),
    ],
)
def test_names_of_licences(name: str, expected: str) -> None:
    assert of_name(name) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MIT, "MIT"),
        (MIT.replace("\n", "\r\n * "), "MIT"),
        (MIT.replace("permission notice shall be included", "notice is nice"), "MIT-0"),
        (MIT + "The Software shall be used for Good, not Evil.", "JSON"),
        (BSD, "BSD-2-Clause"),
        (BSD3, "BSD-3-Clause"),
        (BSD3 + "All advertising materials mentioning features or use of this software", "BSD-4-Clause"),
        (APACHE, "Apache-2.0"),
        (GPL3, "GPL-3.0-only"),
        (LGPL3, "LGPL-3.0-only"),
        (MIT + "\n" * 30 + "This also bundles what is under\n" + GPL3, "MIT"),
        ("Some words that are no licence at all, but long enough to be held against all of them. " * 3, ""),
        ("", ""),
    ],
)
def test_texts_of_licences(text: str, expected: str) -> None:
    assert of_text(text) == expected


def test_a_text_that_was_slightly_changed_is_still_known() -> None:
    changed = MIT.replace("hereby granted", "hereby given").replace("any person", "any one person")
    assert of_text(changed) == "MIT"
    assert of_text(changed, fuzzy=False) == ""


def test_notices_at_the_head_of_a_file() -> None:
    assert of_notice("// SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note\n") == (
        "GPL-2.0 WITH Linux-syscall-note"
    )
    assert of_notice("/* SPDX-License-Identifier: MIT */\n") == "MIT"
    assert of_notice("# Licensed under the Apache License, Version 2.0 (the License)\n") == "Apache-2.0"
    assert kind(of_notice("# under the terms of the GNU General Public\n# License as published by\n")) == "copyleft"
    assert of_notice("import license\n") == ""


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"LICENSE": MIT}, "MIT"),
        ({"COPYING": GPL3}, "GPL-3.0-only"),
        ({"COPYING": GPL3, "COPYING.LESSER": LGPL3}, "LGPL-3.0-only"),
        ({"LICENSE-MIT": MIT, "LICENSE-APACHE": APACHE}, "Apache-2.0 OR MIT"),
        ({"LICENSE": MIT, "LICENSE.third-party": GPL3}, "MIT"),
        ({"licence.md": BSD3}, "BSD-3-Clause"),
        ({"LICENSE": "SPDX-License-Identifier: Apache-2.0 OR MIT\n"}, "Apache-2.0 OR MIT"),
        ({"license.py": "# " + MIT, "a.py": "", "b.py": ""}, ""),
        ({"pyproject.toml": '[project]\nlicense = "MIT OR Apache-2.0"\n'}, "MIT OR Apache-2.0"),
        ({"pyproject.toml": '[project]\nlicense = {text = "BSD 3-Clause"}\n'}, "BSD-3-Clause"),
        ({"pyproject.toml": '[project]\nlicense = {file = "LICENSE"}\n', "LICENSE": APACHE}, "Apache-2.0"),
        ({"pyproject.toml": '[tool.poetry]\nlicense = "LGPL-3.0-or-later"\n'}, "LGPL-3.0-or-later"),
        ({"pyproject.toml": '[project]\nclassifiers = ["License :: OSI Approved :: MIT License"]\n'}, "MIT"),
        ({"pyproject.toml": '[project]\nclassifiers = ["License :: OSI Approved"]\n'}, ""),
        ({"pyproject.toml": "[project\n", "LICENSE": MIT}, "MIT"),
        ({"PKG-INFO": WHEEL + "License-Expression: BSD-3-Clause AND MIT\n"}, "BSD-3-Clause AND MIT"),
        ({"t-1.dist-info/METADATA": WHEEL + "License: MIT\n"}, "MIT"),
        ({"t-1.dist-info/METADATA": WHEEL, "t-1.dist-info/licenses/LICENSE": MIT}, "MIT"),
        ({"PKG-INFO": WHEEL + "License: UNKNOWN\nClassifier: License :: OSI Approved :: ISC License (ISCL)\n"}, "ISC"),
        ({"PKG-INFO": WHEEL + "License: BSD\n", "LICENSE": BSD3}, "BSD-3-Clause"),
        ({"setup.cfg": "[metadata]\nlicense = Apache License 2.0\n"}, "Apache-2.0"),
        ({"package.json": '{"license": "ISC"}'}, "ISC"),
        ({"package.json": '{"license": {"type": "MIT", "url": "x"}}'}, "MIT"),
        ({"package.json": '{"licenses": [{"type": "MIT"}, {"type": "GPL-2.0"}]}'}, "MIT OR GPL-2.0"),
        ({"package.json": '{"license": "UNLICENSED"}'}, ""),
        ({"package.json": '{"license": "SEE LICENSE IN LICENSE"}', "LICENSE": MIT}, "MIT"),
        ({"package.json": "[1, 2"}, ""),
        ({"Cargo.toml": '[package]\nlicense = "MIT/Apache-2.0"\n'}, "MIT OR Apache-2.0"),
        ({"Cargo.toml": '[workspace.package]\nlicense = "MPL-2.0"\n'}, "MPL-2.0"),
        (
            {
                "pom.xml": '<project xmlns="http://maven.apache.org/POM/4.0.0"><licenses><license>'
                "<name>The Apache License, Version 2.0</name></license></licenses></project>"
            },
            "Apache-2.0",
        ),
        ({"pom.xml": '<!DOCTYPE a [<!ENTITY b "c">]><project>&b;</project>'}, ""),
        ({"a.nuspec": '<package><metadata><license type="expression">MIT</license></metadata></package>'}, "MIT"),
        ({"a.csproj": "<Project><PackageLicenseExpression>MS-PL</PackageLicenseExpression></Project>"}, "MS-PL"),
        ({"src/main.rs": "// SPDX-License-Identifier: MIT OR Apache-2.0\n"}, "MIT OR Apache-2.0"),
        ({"a.c": "/* SPDX-License-Identifier: MIT */", "b.c": "", "c.c": ""}, ""),
        ({"a.c": "/* SPDX-License-Identifier: GPL-2.0 */", "b.c": "", "c.c": ""}, "GPL-2.0"),
        # What a manifest says does not outweigh a licence beside it that keeps code out.
        ({"package.json": '{"license": "MIT"}', "LICENSE": GPL3}, "MIT AND GPL-3.0-only"),
        ({"package.json": '{"license": "GPL-3.0-or-later"}', "LICENSE": GPL3}, "GPL-3.0-or-later"),
        ({"package.json": '{"license": "MIT"}', "Cargo.toml": '[package]\nlicense = "Zlib"\n'}, "Zlib AND MIT"),
        ({}, ""),
    ],
)
def test_the_licence_of_a_project(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    assert detect(write(tmp_path, files)) == expected


def test_this_projects_own_licence_is_known() -> None:
    assert detect(Path(__file__).parents[2]) == "Apache-2.0"


def names(projects: list[Project]) -> list[str]:
    return [project.name for project in projects]


@pytest.mark.parametrize(
    "sign", ["main.py", "LICENSE", "pyproject.toml", "go.mod", "app.csproj", ".hg/x", "a-1.dist-info/METADATA"]
)
def test_a_folder_with_a_sign_at_its_top_is_one_project(tmp_path: Path, sign: str) -> None:
    write(tmp_path / "whole", {sign: "", "one/a.py": "", "two/b.py": ""})
    assert names(find_projects([tmp_path / "whole"])) == ["whole"]


def test_a_folder_of_folders_is_a_project_each(tmp_path: Path) -> None:
    write(
        tmp_path, {"one/a.py": "", "two/deep/b.py": "", ".hidden/c.py": "", "node_modules/d/d.js": "", "notes.txt": ""}
    )
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert names(find_projects([tmp_path])) == ["one", "two"]
    assert names(find_projects([tmp_path / "one", tmp_path, tmp_path / "one"])) == ["one", "two"]


def test_a_project_is_called_as_its_manifest_says(tmp_path: Path) -> None:
    write(tmp_path / "x", {"pyproject.toml": '[project]\nname = "Thing"\n'})
    write(tmp_path / "y", {"package.json": json.dumps({"name": "@scope/thing"})})
    write(tmp_path / "z", {"t-1.dist-info/METADATA": WHEEL})
    write(tmp_path / "w", {"pyproject.toml": "[project]\nname = 3\n", "Cargo.toml": '[package]\nname = "crate"\n'})
    assert names(find_projects([tmp_path / each for each in "xyzw"])) == ["Thing", "@scope-thing", "thing", "crate"]


def test_folders_of_one_name_are_told_apart_by_the_folder_above(tmp_path: Path) -> None:
    write(tmp_path, {"one/src/a.py": "", "two/src/b.py": ""})
    assert names(find_projects([tmp_path / "one/src", tmp_path / "two/src"])) == ["one-src", "two-src"]


def test_a_source_that_is_no_folder_is_told_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": ""})
    with pytest.raises(SourcesError, match="not there"):
        find_projects([tmp_path / "gone"])
    with pytest.raises(SourcesError, match="not a folder"):
        find_projects([tmp_path / "a.py"])


def test_tests_and_stars_are_counted(tmp_path: Path) -> None:
    files = {"a.py": "", "tests/test_a.py": "", "b_test.go": "", "vendor/test_c.py": "", "external/client.py": ""}
    write(tmp_path / "p", files)
    (project,) = find_projects([tmp_path / "p"], {"p": 7})
    assert (project.tests, project.stars, project.commits) == (2, 7, 0)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_commits_are_counted(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        settings = ["-c", "user.name=a", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *settings, *arguments], cwd=tmp_path, check=True, capture_output=True)

    write(tmp_path, {"a.py": ""})
    git("init")
    assert find_projects([tmp_path])[0].commits == 0
    for message in "ab":
        git("commit", "--allow-empty", "-m", message)
    assert find_projects([tmp_path])[0].commits == 2


def test_without_git_there_are_no_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a.py": "", ".git/HEAD": "ref: refs/heads/main\n"})
    monkeypatch.setenv("PATH", "")
    assert find_projects([tmp_path])[0].commits == 0


def make(
    root: Path, name: str, files: dict[str, str] | None = None, *, licence: str = "MIT", commits: int = 0, **more: int
) -> Project:
    folder = root / f"{name}-{commits}"
    write(folder, {"a.py": f"print('{name}, which is a project like none of all the others here')\n"} | (files or {}))
    return Project(name, folder, licence, commits, more.get("tests", 0), more.get("stars"))


def test_copyleft_is_never_and_unknown_only_selected_when_allowed(tmp_path: Path) -> None:
    projects = [make(tmp_path, "a"), make(tmp_path, "b", licence=""), make(tmp_path, "c", licence="GPL-3.0-only")]
    kept, dropped = select(projects, allow_unknown=False)
    assert names(kept) == ["a"]
    assert [(each.what, each.reason) for each in dropped] == [
        ("b", "unknown licence"),
        ("c", "copyleft or restricting licence"),
    ]
    assert names(select(projects, allow_unknown=True)[0]) == ["a", "b"]


def test_of_two_projects_with_one_name_the_better_stays(tmp_path: Path) -> None:
    kept, dropped = select([make(tmp_path, "a_b"), make(tmp_path, "A-B", commits=5)], allow_unknown=False)
    assert names(kept) == ["A-B"]
    assert [(each.what, each.detail) for each in dropped] == [("a_b", "A-B")]


BODY = {
    f"m{number}.py": f"def function_{number}():\n    return {number} * 123456789012345678901234567890\n"
    for number in range(10)
}


def test_of_two_copies_the_better_stays(tmp_path: Path) -> None:
    less = make(tmp_path, "less", BODY)
    more = make(tmp_path, "more", BODY, commits=5)
    other = make(tmp_path, "other", {path: text + "# mine\n" for path, text in BODY.items()})
    kept, dropped = select([less, other, more], allow_unknown=False)
    assert names(kept) == ["other", "more"]
    assert [(each.what, each.reason, each.detail) for each in dropped] == [("less", "copy of another project", "more")]


def test_a_part_of_a_much_larger_project_gives_way_to_it(tmp_path: Path) -> None:
    part = make(tmp_path, "part", {"m0.py": BODY["m0.py"], "a.py": ""}, commits=100)
    whole = make(tmp_path, "whole", BODY)
    kept, dropped = select([part, whole], allow_unknown=False)
    assert names(kept) == ["whole"]
    assert [each.what for each in dropped] == ["part"]


def test_small_and_bundled_files_make_no_copies(tmp_path: Path) -> None:
    shared = {"__init__.py": "", "setup.py": "import setuptools\n"} | {
        f"vendor/{path}": text for path, text in BODY.items()
    }
    kept, _ = select([make(tmp_path, "a", shared), make(tmp_path, "b", shared)], allow_unknown=False)
    assert names(kept) == ["a", "b"]


def test_a_project_without_source_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "docs", {"readme.md": "words\n", "node_modules/x/y.js": "z()\n"})
    kept, dropped = select([Project("docs", tmp_path / "docs", "MIT")], allow_unknown=False)
    assert (kept, [each.reason for each in dropped]) == ([], ["no source file"])


def test_the_lowest_tenth_is_left_out(tmp_path: Path) -> None:
    projects = [make(tmp_path, f"p{number}", commits=(number * 7) % 20) for number in range(20)]
    kept, dropped = select(projects, allow_unknown=False)
    assert [each.what for each in dropped] == ["p0", "p3"]
    assert kept == [each for each in projects if each.name not in ("p0", "p3")]
    assert len(select(projects, allow_unknown=False, lowest=0)[0]) == 20


def test_few_projects_and_equal_scores_lose_nobody(tmp_path: Path) -> None:
    few = [make(tmp_path, f"p{number}", commits=number) for number in range(9)]
    assert select(few, allow_unknown=False) == (few, [])
    equal = [make(tmp_path, f"q{number}") for number in range(30)]
    assert select(equal, allow_unknown=False) == (equal, [])


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**4), st.none() | st.integers(0, 10**6)), max_size=8))
def test_a_score_lies_between_0_and_1_and_more_commits_never_lower_it(
    counts: list[tuple[int, int, int | None]],
) -> None:
    projects = [Project("p", Path(), "MIT", *each) for each in counts]
    found = scores(projects)
    assert all(0 <= each <= 1 + 1e-9 for each in found)
    for one, score in zip(projects, found, strict=True):
        for other, other_score in zip(projects, found, strict=True):
            if one.commits >= other.commits and (one.tests, one.stars) == (other.tests, other.stars):
                assert score >= other_score

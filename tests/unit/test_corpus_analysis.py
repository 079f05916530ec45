"""Static analysis of the corpus: ruff for Python, commands of the user's for other languages, rules as data."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from aix_lsp.training.corpus.analysis import Analyser, Finding
from aix_lsp.training.corpus.analysis_rules import AnalysisError, load_rules
from aix_lsp.training.corpus.records import SourceFile


def python(path: str, text: str) -> SourceFile:
    return SourceFile("project", path, "python", text)


@pytest.fixture(scope="module")
def analyser() -> Analyser:
    return Analyser()


GOOD = '"""A module."""\n\nimport os\n\n\ndef f(x=None):\n    assert x\n    return zip(x, os.listdir())\n'
BAD = {
    "E999": "def f(:\n    pass\n",
    "F821": "def f():\n    return undefined_thing\n",
    "F811": "def f(): ...\n\n\ndef f(): ...\n",
    "F632": "def f(x):\n    return x is 'a'\n",
    "F507": "x = '%s %s' % (1,)\n",
    "F706": "return 1\n",
    "F601": "x = {'a': 1, 'a': 2}\n",
    "B006": "def f(x=[]):\n    return x\n",
    "B023": "fs = []\nfor i in range(3):\n    fs.append(lambda: i)\n",
    "S102": "exec('x = 1')\n",
    "S307": "def f(x):\n    return eval(x)\n",
    "S324": "import hashlib\n\nx = hashlib.md5(b'').digest()\n",
    "S501": "import requests\n\nx = requests.get('https://a.b', verify=False, timeout=1)\n",
    "S602": "import subprocess\n\ndef f(x):\n    subprocess.run('ls ' + x, shell=True)\n",
    "S608": "def f(db, x):\n    return db.execute('SELECT a FROM b WHERE c = ' + x)\n",
}


def test_files_with_high_risk_patterns_go_and_good_ones_stay(analyser: Analyser) -> None:
    files = [python(f"{rule}.py", text) for rule, text in BAD.items()] + [python("good.py", GOOD)]
    found = analyser.check(files)
    assert analyser.reason(found["good.py"], GOOD.count("\n")) is None
    reasons = {rule: analyser.reason(found[f"{rule}.py"], text.count("\n")) for rule, text in BAD.items()}
    assert {rule: (reason or "").split(":")[0] for rule, reason in reasons.items()} == {rule: rule for rule in BAD}
    assert reasons["F821"] == "F821: undefined name"


def test_many_lighter_findings_drop_a_short_file_but_not_a_long_one(analyser: Analyser) -> None:
    text = "def f():\n" + "".join(f"    x{number} = {number}\n" for number in range(6))
    findings = analyser.check([python("a.py", text)])["a.py"]
    assert {finding.rule for finding in findings} == {"F841"}
    assert analyser.reason(findings, 7) == "too many lighter findings"
    assert analyser.reason(findings, 1000) is None
    assert analyser.reason(findings[:4], 7) is None


def test_findings_are_in_order_with_their_lines(analyser: Analyser) -> None:
    text = "def f():\n    y = 1\n    return eval('1')\n"
    assert analyser.check([python("a.py", text)])["a.py"] == [
        Finding("F841", 2, "light"),
        Finding("S307", 3, "drop", "eval"),
    ]


@pytest.mark.parametrize(
    "path", ["build/a.py", "venv/b.py", "ä ö.py", "../up.py", "-x.py", "a/__init__.py", "new\nline.py"]
)
def test_every_file_is_checked_whatever_its_path(analyser: Analyser, path: str) -> None:
    assert analyser.reason(analyser.check([python(path, BAD["S102"])])[path], 1) == "S102: exec"


def test_noqa_counts_as_looked_at_and_new_syntax_is_no_error(analyser: Analyser) -> None:
    found = analyser.check(
        [python("a.py", "exec('1')  # noqa: S102\n"), python("b.py", "type A[T] = list[T]\nx = t'{1}'\n")]
    )
    assert found == {"a.py": [], "b.py": []}


def test_other_languages_pass_and_nothing_is_run_for_them(analyser: Analyser) -> None:
    assert analyser.languages == {"python"}
    assert analyser.check([SourceFile("project", "a.go", "go", "x")]) == {}
    assert analyser.check([]) == {}


def test_the_same_path_twice_is_told(analyser: Analyser) -> None:
    with pytest.raises(AnalysisError, match=r"a\.py: given twice"):
        analyser.check([python("a.py", ""), python("a.py", "")])


CHECKER = """\
import json, sys
from pathlib import Path
for path in sys.stdin.read().split("\\n"):
    for number, line in enumerate(Path(path).read_text().splitlines() if path else [], 1):
        for word in ("System.exit", "var ", "TAB"):
            if word in line:
                print(json.dumps({"path": path, "rule": word.strip(), "line": number}))
"""


def with_command(folder: Path, script: str, more: str = "") -> Analyser:
    program = folder / "checker.py"
    program.write_text(script, encoding="utf-8")
    rules = folder / "rules.toml"
    command = json.dumps([sys.executable, str(program)])
    rules.write_text(f"[languages.java]\ncommand = {command}\n{more}", encoding="utf-8")
    return Analyser(load_rules(rules))


def test_a_command_checks_another_language(tmp_path: Path) -> None:
    analyser = with_command(tmp_path, CHECKER, 'drop = {"System.exit" = "ends the process"}\nignore = ["TAB"]\n')
    files = [
        SourceFile("p", "x/Main.java", "java", "class Main {\n  void f() { System.exit(1); }\n}\n"),
        SourceFile("p", "y/Main.java", "java", "class Main { var x; TAB }\n"),
        python("a.py", BAD["S102"]),
    ]
    found = analyser.check(files)
    assert found["x/Main.java"] == [Finding("System.exit", 2, "drop", "ends the process")]
    assert found["y/Main.java"] == [Finding("var", 1, "light")]
    assert analyser.reason(found["x/Main.java"], 3) == "System.exit: ends the process"
    assert analyser.reason(found["a.py"], 1) == "S102: exec"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("print('hello')", r"the checker for java printed 'hello' instead of"),
        ('print(\'{"path": "zz", "rule": "a", "line": 1}\')', r"the checker for java printed"),
        ("print('[1]')", r"the checker for java printed"),
        ("import sys\nsys.exit('no licence')", r"the checker for java \(.*\) failed with 1: no licence"),
    ],
)
def test_a_command_that_does_not_keep_to_the_protocol_is_told_in_one_line(
    tmp_path: Path, script: str, message: str
) -> None:
    with pytest.raises(AnalysisError, match=message) as caught:
        with_command(tmp_path, script).check([SourceFile("p", "A.java", "java", "class A {}\n")])
    assert "\n" not in str(caught.value)


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[languages.java]\ncommand = ["no-such-checker-anywhere"]\n', encoding="utf-8")
    with pytest.raises(AnalysisError, match=r"the checker for java .* cannot be started: No such file"):
        Analyser(load_rules(rules)).check([SourceFile("p", "A.java", "java", "class A {}\n")])


def test_the_users_rules_go_over_the_packages(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(
        "[limits]\nlight_at_least = 0\n[languages.python]\n"
        'light = ["S102"]\nignore = ["S307"]\ndrop = { S101 = "assert", D100 = "no docstring" }\n',
        encoding="utf-8",
    )
    analyser = Analyser(load_rules(rules))
    found = analyser.check([python("a.py", "exec('1')\neval('1')\n"), python("b.py", '"""D."""\nassert f\n')])
    assert [(finding.rule, finding.severity) for finding in found["a.py"]] == [("D100", "drop"), ("S102", "light")]
    assert analyser.reason(found["a.py"][1:], 2) == "too many lighter findings"
    assert {finding.rule: finding.severity for finding in found["b.py"]} == {"S101": "drop", "F821": "drop"}
    assert load_rules().languages["python"].severity("S102") == "drop"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = ", "is not TOML"),
        ("[limit]\n", "the file has no 'limit'"),
        ("[limits]\nlight = 1\n", r"\[limits\] has no 'light'"),
        ("[limits]\nlight_at_least = 'a'\n", "limits.light_at_least must be a number"),
        ("[limits]\nlight_at_least = -1\n", "limits.light_at_least must be a number"),
        ("languages = 1\n", "'languages' must be a table"),
        ("[languages]\njava = 1\n", "'java' must be a table"),
        ("[languages.java]\ncommand = 'a b'\n", "languages.java.command must be a list of words"),
        ("[languages.java]\ncommand = []\n", "languages.java.command must be a list of words"),
        ("[languages.java]\ndrop = ['A']\n", "languages.java needs a command"),
        ("[languages.java]\ncomand = ['a']\n", "has no 'comand'"),
        ("[languages.python]\nfamilies = { F = 'bad' }\n", "languages.python.families.F must be"),
        ("[languages.python]\ndrop = { F821 = 1 }\n", "languages.python.drop must be a table"),
        ("[languages.python]\nlight = 'F821'\n", "languages.python.light must be a list"),
    ],
)
def test_bad_rules_are_told_in_one_line_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(text, encoding="utf-8")
    with pytest.raises(AnalysisError, match=message) as caught:
        load_rules(rules)
    assert str(caught.value).startswith(str(rules))
    assert "\n" not in str(caught.value)


def test_rules_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="cannot be read"):
        load_rules(tmp_path / "none.toml")


def test_a_rule_that_ruff_does_not_know_is_told(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[languages.python]\nlight = ['NOPE123']\n", encoding="utf-8")
    with pytest.raises(AnalysisError, match="NOPE123") as caught:
        Analyser(load_rules(rules)).check([python("a.py", "x = 1\n")])
    assert "\n" not in str(caught.value)

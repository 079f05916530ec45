"""What counts as a program that passes its tests."""

from __future__ import annotations

import pytest

from aix_lsp.evaluation import programs
from aix_lsp.evaluation.programs import human_eval_program, mbpp_program, python_passes, run_python
from aix_lsp.evaluation.sandbox import Sandbox, SandboxError

SANDBOX = Sandbox.find()
pytestmark = pytest.mark.skipif(SANDBOX is None, reason="nothing isolates programs here")

PROMPT = 'def double(number):\n    """Twice a number."""\n'
TEST = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(0) == 0\n"


def passes(completion: str) -> bool:
    assert SANDBOX is not None
    return python_passes(human_eval_program(PROMPT, completion, TEST, "double"), SANDBOX)


@pytest.mark.parametrize(
    ("completion", "right"),
    [
        ("    return number * 2\n", True),
        ("    print('PASSED')\n    return 2 * number\n", True),
        ("    return number + 2\n", False),
        ("    import sys\n    sys.exit(0)\n", False),
        ("    import os\n    os._exit(0)\n", False),
        ("    return number *\n", False),
        ("    return input()\n", False),
    ],
)
def test_a_program_passes_only_where_the_end_of_its_tests_was_reached(completion: str, right: bool) -> None:
    assert passes(completion) is right


def test_what_fails_says_why() -> None:
    assert SANDBOX is not None
    assert run_python("raise SystemExit(0)", SANDBOX).why == "it ended before its tests did"
    assert "AssertionError" in run_python("assert 1 == 2", SANDBOX).stderr


def test_a_program_that_was_not_started_is_not_one_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "python", lambda: "/usr/bin/no-such-python")
    assert SANDBOX is not None
    with pytest.raises(SandboxError, match="the program was not started: FileNotFoundError"):
        python_passes("", SANDBOX)


def test_an_mbpp_problem_has_its_setup_before_and_its_assertions_behind() -> None:
    assert SANDBOX is not None
    program = mbpp_program("def area(r): return math.pi * r * r", ["assert 3.1 < area(1) < 3.2"], "import math")
    assert python_passes(program, SANDBOX)


def test_classes_of_a_program_find_their_module() -> None:
    assert SANDBOX is not None
    program = "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: 'int'\nassert P(1).x == 1"
    assert python_passes(program, SANDBOX)

"""Programs out of what a model wrote and a problem's tests, and whether they pass.

A program passes when it ran to the end of its tests. Its exit status alone does not say so, as a model may write
`sys.exit()`: Python programs run below a few lines that write a word of their own when the end was reached. That is for
what models write; a program that was written to deceive finds the word, or has objects that are equal to everything.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from aix_lsp.evaluation.sandbox import Sandbox, SandboxResult, why_none
from aix_lsp.evaluation.sandbox_places import python

SECONDS: Final = 10.0
"""Processor time of one Python program, start included; the original harness gives 3 s of wall-clock time, which on a
loaded machine fails right programs."""

_MEMORY_MB: Final = 1024

_BELOW: Final = """
import os, sys, types
word = sys.stdin.readline()
answer, nothing = os.dup(1), os.open(os.devnull, os.O_RDWR)
os.dup2(nothing, 0)
os.dup2(nothing, 1)
with open("program.py", encoding="utf-8") as file:
    code = file.read()
# a module, since classes look for theirs; not the main one, since tests stand behind and not in it
module = types.ModuleType("program")
sys.modules["program"] = module
exec(compile(code, "program.py", "exec"), module.__dict__)
os.write(answer, word.encode())
# what threads still do is no part of the tests
os._exit(0)
"""


def not_run() -> str:
    """What a report says where programs cannot be run; "" where they can."""
    why = why_none()
    return f"functional tests: not run ({why}); --force runs them with limits of time and memory only" if why else ""


def human_eval_program(prompt: str, completion: str, test: str, entry_point: str) -> str:
    """A HumanEval problem with its tests: Chen et al. 2021, as its `execution.py` puts them together."""
    return f"{prompt}{completion}\n{test}\ncheck({entry_point})"


def mbpp_program(code: str, tests: Sequence[str], setup: str = "") -> str:
    """An MBPP problem with its assertions: Austin et al. 2021, Program Synthesis with Large Language Models."""
    return "\n".join([setup, code, *tests])


def python_passes(program: str, sandbox: Sandbox, *, seconds: float = SECONDS) -> bool:
    """Whether a Python program runs to the end of its tests without an exception. It has the standard library alone.
    Raises SandboxError where it could not be started."""
    return run_python(program, sandbox, seconds=seconds).passed


def run_python(program: str, sandbox: Sandbox, *, seconds: float = SECONDS) -> SandboxResult:
    """Run a Python program with its tests; `passed` only where their end was reached. What it prints on its standard
    output is dropped."""
    word = secrets.token_hex(16)
    result = sandbox.run(
        {"program.py": program, "below.py": _BELOW},
        [python(), "-s", "-S", "-P", "below.py"],
        seconds=seconds,
        memory_mb=_MEMORY_MB,
        stdin=word,
    )
    if result.status == "passed" and result.stdout != word:
        return SandboxResult("failed", "", result.stderr, "it ended before its tests did")
    return result

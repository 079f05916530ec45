"""Functions from their description, judged by their tests: HumanEval, MBPP and MultiPL-E, with pass@k.

| data | prompt | an answer ends before | from |
| --- | --- | --- | --- |
| HumanEval | the problem's: signature, docstring | a line with `class`, `def`, `#`, `if`, `print` | Chen et al. 2021 |
| MBPP | a docstring: task and first assertion | `class`, `assert`, a docstring, `print`, `if` | Austin et al. 2021 |
| MultiPL-E | the problem's, in another language | the problem's stop words | Cassano et al. 2022 |

The prompt of MBPP is InCoder's, for models that were not taught to follow instructions (Fried et al. 2022, section
4.4). Programs run in a sandbox, and nowhere else unless the user says so. One of another language than Python passes by
its exit status, as in MultiPL-E's own evaluation: there an answer that exits with 0 before the tests counts as right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .benchmark import DataError, Loaded, Metric, Output, Sample
from .data_lines import evenly, read_samples, text_of
from .data_sources import SOURCES, files_of
from .metrics.pass_at_k import pass_at_k
from .programs import human_eval_program, mbpp_program, python_passes
from .sandbox import Sandbox, why_none
from .stop_rules import HUMANEVAL_STOP, STOP_TOKENS
from .toolchains import SAME, TOOLCHAINS, run_program, why_not

MAX_NEW_TOKENS: Final = 512
TOP_P: Final = 0.95
"""Of drawn answers, as in Chen et al. 2021."""

MBPP_STOP: Final = ("\nclass", "\nassert", '\n"""', "\nprint", "\nif")

MBPP_TESTS: Final = range(11, 511)
"""The `task_id`s of the test split (Austin et al. 2021, section 2.1); the first ten are examples for prompts."""

_KS: Final = (1, 10, 100)
_PYTHON: Final = "py"


class Nl2Code:
    """The benchmark over some files of these formats. With `samples` above 1 so many answers are drawn for a problem at
    `temperature`; 0 is greedy. `force` runs programs without a sandbox where there is none.

    Raises DataError where answers are drawn greedily more than once.
    """

    def __init__(
        self, paths: Sequence[Path], *, samples: int = 1, temperature: float = 0.0, force: bool = False
    ) -> None:
        if samples > 1 and not temperature:
            raise DataError("several greedy answers are all the same; give a temperature")
        self._paths = paths
        self._samples = samples
        self._temperature = temperature
        self._force = force
        self._sandbox: Sandbox | None = None

    @property
    def name(self) -> str:
        """See `Benchmark.name`."""
        return "nl2code"

    @property
    def protocol(self) -> str:
        """See `Benchmark.protocol`."""
        drawn = (
            f"{self._samples} answers drawn at temperature {self._temperature:g} and top-p {TOP_P}"
            if self._temperature
            else "the greedy answer"
        )
        return (
            f"Functions from their description, left to right without examples: {drawn} of at most {MAX_NEW_TOKENS} "
            "tokens up to the problem's stop words, run with the problem's tests; pass@k is the unbiased estimate "
            "(Chen et al. 2021; Austin et al. 2021; Cassano et al. 2022)."
        )

    @property
    def metrics(self) -> Sequence[Metric]:
        """See `Benchmark.metrics`."""
        return tuple(Metric(f"pass_at_{k}", f"pass@{k}") for k in _KS if k <= self._samples)

    def load(self, limit: int, seed: int) -> Loaded:
        """See `Benchmark.load`. Raises DataError also where nothing can be run."""
        sandbox = Sandbox.find(force=self._force)
        if sandbox is None:
            raise DataError(
                f"{self.name}: not run: nothing isolates the programs that a model writes ({why_none()}); install "
                "bubblewrap, or run them with limits of time and memory only: --force"
            )
        self._sandbox = sandbox
        problems: list[str] = []
        samples: list[Sample] = []
        left_out = 0
        for path in files_of(self._paths, self.name):
            found = read_samples(path, self._sample, _fields(), problems)
            kept = [sample for sample in found if not _is_example(sample)]
            left_out += len(found) - len(kept)
            samples += kept
        notes = [f"programs: {sandbox.description}"]
        if left_out:
            notes.append(f"MBPP: tasks {MBPP_TESTS[0]} to {MBPP_TESTS[-1]}, the test split; {left_out} others not run")
        return Loaded(evenly(_runnable(samples, sandbox, notes), limit, seed), problems, notes)

    def score(self, sample: Sample, output: Output) -> Mapping[str, float | None]:
        """See `Benchmark.score`."""
        if self._sandbox is None:
            raise RuntimeError("load comes before score")
        # what was drawn twice is run once
        passed = {text: passes(sample, text, self._sandbox) for text in dict.fromkeys(output.texts)}
        correct = sum(passed[text] for text in output.texts)
        count = len(output.texts)
        return {f"pass_at_{k}": pass_at_k(count, correct, k) if k <= count else None for k in _KS if k <= self._samples}

    def _sample(self, row: Mapping[str, Any]) -> Sample:
        if "test_list" in row:
            return self._made(_mbpp(row))
        if "tests" in row:
            return self._made(_multipl_e(row))
        return self._made(_human_eval(row))

    def _made(self, options: dict[str, Any]) -> Sample:
        draws = {"draws": self._samples, "temperature": self._temperature, "top_p": TOP_P} if self._temperature else {}
        options["extra"] |= draws
        return Sample(after="", stop="function", max_new_tokens=MAX_NEW_TOKENS, format="l2r", **options)


def passes(sample: Sample, text: str, sandbox: Sandbox) -> bool:
    """Whether an answer passes its problem's tests. Raises SandboxError where they could not be started."""
    extra = sample.extra
    language = str(extra["runs"])
    if "entry_point" in extra:
        program = human_eval_program(sample.before, text, extra["test"], extra["entry_point"])
    elif "test_list" in extra:
        program = mbpp_program(text, extra["test_list"], extra["setup"])
    else:
        program = f"{sample.before}{text}\n{extra['tests']}"
    if language == _PYTHON:
        return python_passes(program, sandbox)
    return run_program(language, program, sandbox).passed


def _human_eval(row: Mapping[str, Any]) -> dict[str, Any]:
    if "suffix" in row:
        raise ValueError("it is of HumanEval-Infilling, for fim-lines")
    tests = {name: text_of(row, name) for name in ("test", "entry_point")}
    return {
        "id": text_of(row, "task_id"),
        "language": "python",
        "scenario": "HumanEval",
        "name": "test.py",
        "before": text_of(row, "prompt"),
        "wanted": _text_or_none(row, "canonical_solution"),
        "extra": {"runs": _PYTHON, STOP_TOKENS: list(HUMANEVAL_STOP), **tests},
    }


def _mbpp(row: Mapping[str, Any]) -> dict[str, Any]:
    """A problem of `mbpp.jsonl` (text, test_setup_code) or `sanitized-mbpp.json` (prompt, test_imports)."""
    number = row.get("task_id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError("task_id is no number")
    sanitized = "text" not in row
    task = text_of(row, "prompt" if sanitized else "text")
    tests, imports = row["test_list"], row.get("test_imports") or []
    for name, listed in (("test_list", tests), ("test_imports", imports)):
        if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
            raise ValueError(f"{name} is no list of texts")
    if not tests:
        raise ValueError("test_list is empty")
    return {
        "id": f"MBPP{'-sanitized' if sanitized else ''}/{number}",
        "language": "python",
        "scenario": "MBPP sanitized" if sanitized else "MBPP",
        "name": "test.py",
        "before": f'"""\n{task.strip()}\n{tests[0]}\n"""\n',
        "wanted": _text_or_none(row, "code"),
        "extra": {
            "runs": _PYTHON,
            STOP_TOKENS: list(MBPP_STOP),
            "test_list": tests,
            "setup": "\n".join([_text_or_none(row, "test_setup_code"), *imports]),
            "number": number,
        },
    }


def _multipl_e(row: Mapping[str, Any]) -> dict[str, Any]:
    name, language = text_of(row, "name"), text_of(row, "language")
    runs = SAME.get(language, language)
    toolchain = TOOLCHAINS.get(runs)
    stop = row.get("stop_tokens")
    if not isinstance(stop, list) or not stop or not all(isinstance(word, str) and word for word in stop):
        raise ValueError("stop_tokens is no list of texts")
    return {
        "id": f"{runs}/{name}",
        "language": "python" if runs == _PYTHON else toolchain.id if toolchain is not None else runs,
        "scenario": "MultiPL-E MBPP" if name.startswith("mbpp") else "MultiPL-E HumanEval",
        "name": toolchain.name if toolchain is not None else f"test.{runs}",
        "before": text_of(row, "prompt"),
        "wanted": "",
        "extra": {"runs": runs, STOP_TOKENS: stop, "tests": text_of(row, "tests")},
    }


def _text_or_none(row: Mapping[str, Any], name: str) -> str:
    """A field that need not be there. Raises ValueError when it is something else than a text."""
    return text_of(row, name) if row.get(name) is not None else ""


def _is_example(sample: Sample) -> bool:
    number = sample.extra.get("number")
    return number is not None and number not in MBPP_TESTS


def _runnable(samples: Sequence[Sample], sandbox: Sandbox, notes: list[str]) -> list[Sample]:
    """The samples whose language can be run here; what cannot is told in `notes`."""
    count: dict[str, int] = {}
    for sample in samples:
        count[sample.extra["runs"]] = count.get(sample.extra["runs"], 0) + 1
    reasons = {name: "" if name == _PYTHON else why_not(name, sandbox) for name in count}
    told = [f"{name}: not run ({why}): {count[name]} problems" for name, why in reasons.items() if why]
    kept = [sample for sample in samples if not reasons[sample.extra["runs"]]]
    if told and not kept:
        raise DataError("; ".join(told))
    notes += told
    return kept


def _fields() -> tuple[str, ...]:
    return (" or ".join(", ".join(source.fields) for source in SOURCES["nl2code"]),)

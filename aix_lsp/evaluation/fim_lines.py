"""Lines and spans to fill in: SantaCoder's single lines in three languages, and HumanEval-Infilling with its tests.

| kind | a hole is | from |
| --- | --- | --- |
| `santacoder` | a line of HumanEval's or MultiPL-E's solutions, in three languages | Ben Allal et al. 2023 |
| `single-line` | a line of a HumanEval solution | Fried et al. 2022; Bavarian et al. 2022 |
| `multi-line` | any run of lines of one | Bavarian et al. 2022, section 4.1.1 |
| `random-span`, `random-span-light` | anything between two places in one | the same |

A hole of lines has the indentation and the line end inside. An answer is its first line for the first two kinds, as in
Fried et al. (SantaCoder's authors compare all of 25 tokens at most), and all that the model writes for the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from .benchmark import DataError, Loaded, Metric, Output, Sample, StopRule
from .data_lines import evenly, read_samples, text_of
from .data_sources import SOURCES, files_of
from .metrics.text import edit_similarity, exact
from .programs import human_eval_program, not_run, python_passes
from .sandbox import Sandbox

Kind = Literal["santacoder", "single-line", "multi-line", "random-span", "random-span-light"]

_BY_TASK: Final[Mapping[str, Kind]] = {
    "SingleLineInfilling": "single-line",
    "MultiLineInfilling": "multi-line",
    "RandomSpanInfilling": "random-span",
    "RandomSpanInfillingLight": "random-span-light",
}
"""How HumanEval-Infilling's `task_id` begins, up to the first slash."""

_LANGUAGES: Final[Mapping[str, tuple[str, str]]] = {
    "py": ("python", "test.py"),
    "js": ("javascript", "test.js"),
    "java": ("java", "Test.java"),
}
"""The data's languages -> the editor's, and the name that the prompt's header shows."""


@dataclass(frozen=True, slots=True)
class _Protocol:
    stop: StopRule
    max_new_tokens: int


_PROTOCOLS: Final[Mapping[str, _Protocol]] = {
    "santacoder": _Protocol("line", 64),
    "single-line": _Protocol("line", 64),
    "multi-line": _Protocol("end", 512),
    "random-span": _Protocol("end", 512),
    "random-span-light": _Protocol("end", 512),
}

_EXACT: Final = Metric("exact", "Exact match")
_PASSED: Final = Metric("passed", "Tests passed (pass@1)")
_SIMILAR: Final = Metric("edit_similarity", "Edit similarity", unit="points")


class FimLines:
    """The benchmark over some files, of one kind or several. `kind` "auto" is told by each line. `force` runs tests
    without a sandbox where there is none. Raises DataError for a kind that nobody knows."""

    def __init__(self, paths: Sequence[Path], kind: str = "auto", *, force: bool = False) -> None:
        if kind != "auto" and kind not in get_args(Kind):
            raise DataError(f"--kind takes auto, {', '.join(get_args(Kind))}, not {kind!r}")
        self._paths = paths
        self._kind = kind
        self._force = force
        self._kinds: set[str] = set()
        self._sandbox: Sandbox | None = None

    @property
    def name(self) -> str:
        """See `Benchmark.name`."""
        return "fim-lines"

    @property
    def protocol(self) -> str:
        """See `Benchmark.protocol`. Whole once the data is read."""
        kinds = sorted(self._kinds)
        ends = []
        if any(_PROTOCOLS[kind].stop == "line" for kind in kinds) or not kinds:
            ends.append("its first line")
        if any(_PROTOCOLS[kind].stop == "end" for kind in kinds):
            ends.append("where holes are longer all that the model writes")
        return (
            f"{', '.join(kinds) or 'single lines and spans'}: what was taken out of a file is written "
            f"anew, greedily; an answer is {' or '.join(ends)}; exact match is but for white space "
            "around it; tests run what stands before, the answer, what stands behind and the problem's check "
            "(Ben Allal et al. 2023; Bavarian et al. 2022)."
        )

    @property
    def metrics(self) -> Sequence[Metric]:
        """See `Benchmark.metrics`. Tests are among them where they can be run."""
        return (_EXACT, *((_PASSED,) if self._sandbox is not None else ()), _SIMILAR)

    def load(self, limit: int, seed: int) -> Loaded:
        """See `Benchmark.load`."""
        problems: list[str] = []
        samples: list[Sample] = []
        for path in files_of(self._paths, self.name):
            samples += read_samples(path, self._sample, _expected(self._kind), problems)
        twice = _doubled(samples)
        if twice:
            raise DataError(f"{twice} is in two of the files; give each file once")
        samples = evenly(samples, limit, seed)
        self._kinds = {sample.scenario for sample in samples}
        return Loaded(samples, problems, self._notes(samples))

    def _notes(self, samples: Sequence[Sample]) -> list[str]:
        if not any("test" in sample.extra for sample in samples):
            return []
        self._sandbox = Sandbox.find(force=self._force)
        return [not_run() if self._sandbox is None else f"functional tests: {self._sandbox.description}"]

    def _sample(self, row: Mapping[str, Any]) -> Sample:
        kind = _kind_of(row)
        if self._kind not in ("auto", kind):
            raise ValueError(f"it is of {kind}, not of {self._kind}")
        before, after, wanted = (text_of(row, name) for name in ("prompt", "suffix", "canonical_solution"))
        protocol = _PROTOCOLS[kind]
        # a random span may be blank, and its tests tell whether an answer is; a line has something in it
        if protocol.stop == "line" and not wanted.strip():
            raise ValueError("there is nothing to fill in")
        if kind == "santacoder":
            language = text_of(row, "language")
            if language not in _LANGUAGES:
                raise ValueError(f"language {language!r} is none of {', '.join(_LANGUAGES)}")
            # the problem's name does not tell which of its lines it is
            line = before.count("\n")
            id_ = f"{language}/{text_of(row, 'name')}/L{line}"
            lsp, name = _LANGUAGES[language]
            extra = {}
        else:
            id_, (lsp, name) = text_of(row, "task_id"), _LANGUAGES["py"]
            extra = {"test": text_of(row, "test"), "entry_point": text_of(row, "entry_point")}
        return Sample(
            id=id_,
            language=lsp,
            scenario=kind,
            name=name,
            before=before,
            after=after,
            wanted=wanted,
            stop=protocol.stop,
            max_new_tokens=protocol.max_new_tokens,
            extra=extra,
        )

    def score(self, sample: Sample, output: Output) -> Mapping[str, float | None]:
        """See `Benchmark.score`."""
        scores: dict[str, float | None] = {
            "exact": exact(output.text, sample.wanted),
            "edit_similarity": edit_similarity(output.text, sample.wanted),
        }
        if self._sandbox is not None:
            tested = "test" in sample.extra
            scores["passed"] = float(python_passes(program_of(sample, output.text), self._sandbox)) if tested else None
        return scores


def program_of(sample: Sample, text: str) -> str:
    """The program that tests an answer, as openai/human-eval-infilling's `execution.py` puts it together: what stands
    before, the answer, what stands behind, the tests, and a call of their `check`.

    An answer that was cut to its line gets the line end back that was in the hole.
    """
    ending = "\n" if sample.stop == "line" and sample.wanted.endswith("\n") and not text.endswith("\n") else ""
    middle = f"{text}{ending}{sample.after}"
    return human_eval_program(sample.before, middle, sample.extra["test"], sample.extra["entry_point"])


def _kind_of(row: Mapping[str, Any]) -> Kind:
    task = row.get("task_id")
    if isinstance(task, str):
        kind = _BY_TASK.get(task.partition("/")[0])
        if kind is not None:
            return kind
        raise ValueError(f"task_id {task[:60]!r} begins with none of {', '.join(_BY_TASK)}")
    if isinstance(row.get("language"), str) and isinstance(row.get("name"), str):
        return "santacoder"
    raise ValueError("task_id is missing, or name and language")


def _expected(kind: str) -> tuple[str, ...]:
    infilling, santacoder = (source.fields for source in SOURCES["fim-lines"])
    if kind == "auto":
        between = f"{infilling[-1]} (HumanEval-Infilling) or {santacoder[0]}"
        return (*infilling[:-1], between, *santacoder[1:])
    return santacoder if kind == "santacoder" else infilling


def _doubled(samples: Sequence[Sample]) -> str:
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            return sample.id
        seen.add(sample.id)
    return ""

"""aiXcoder's thirteen scenarios in Java, C++, JavaScript and Python: their published holes, or those of any checkout.

The published files and `run_evaluate.py` of aixcoder-plugin/aiXcoder-FIM-Evaluation say what is measured: exact match,
BLEU-4, CodeBLEU and the lengths, of stripped texts; an answer is all that a model writes before its own end, 512 tokens
at most, in a context of 16K tokens. Holes of a checkout are cut by `aix_fim_holes.py`, drawn with a seed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from aix_lsp.languages import language_of
from aix_lsp.workspace.scanner import Scanner

from .aix_fim_holes import LANGUAGES, SCENARIOS, Scenario, scenario_holes
from .benchmark import DataError, Loaded, Metric, Output, Sample
from .data_lines import evenly, read_samples, text_of
from .data_sources import SOURCES, files_of
from .metrics.bleu import bleu4
from .metrics.codebleu import codebleu_parts
from .metrics.text import exact, length_ratio

MAX_NEW_TOKENS: Final = 512
PER_SCENARIO: Final = 100
"""Most holes that a checkout gives for each language and scenario."""

_LONGEST: Final = 2000
"""Characters of a hole of a checkout: about what 512 tokens of code are."""

_FILE_BYTES: Final = 256 * 1024

_NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "java": ("java", "test.java"),
    "cplus": ("cpp", "test.cpp"),
    "cpp": ("cpp", "test.cpp"),
    "javascript": ("javascript", "test.js"),
    "python": ("python", "test.py"),
}
"""What files and lines call a language -> the LSP identifier, and the name in the prompt's header as theirs has it."""

_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_TOLD_BY: Final[tuple[tuple[frozenset[str], Scenario], ...]] = (
    (frozenset(("signature", "sign")), "method signature"),
    (frozenset(("comment", "comments")), "body with comment"),
    (frozenset(("empty",)), "empty"),
    (frozenset(("top",)), "body top"),
    (frozenset(("mid", "middle")), "body mid"),
    (frozenset(("bottom",)), "body bottom"),
    (frozenset(("if",)), "if"),
    (frozenset(("for",)), "for"),
    (frozenset(("while",)), "while"),
    (frozenset(("try",)), "try"),
    (frozenset(("switch",)), "switch"),
    (frozenset(("body", "method")), "method body"),
    (frozenset(("line",)), "single line"),
)
"""Words of a `task_type` -> the scenario, the first that fits: files spell them as they like (`if_statement`)."""

_METRICS: Final = (
    Metric("exact", "Exact match"),
    Metric("bleu4", "BLEU-4", unit="points"),
    Metric("codebleu", "CodeBLEU", unit="points"),
    Metric("length_ratio", "Length (written / wanted)", unit="ratio", better=""),
)


class AixFim:
    """The benchmark over published files, or over checkouts; one of the two."""

    def __init__(self, data: Sequence[Path], repositories: Sequence[Path] = ()) -> None:
        self._data = data
        self._repositories = repositories

    @property
    def name(self) -> str:
        """See `Benchmark.name`."""
        return "aix-fim"

    @property
    def protocol(self) -> str:
        """See `Benchmark.protocol`."""
        holes = (
            f"holes cut from {', '.join(path.resolve().name for path in self._repositories)} with tree-sitter"
            if self._repositories
            else "the published holes"
        )
        return (
            f"thirteen scenarios, {holes}: greedily, at most {MAX_NEW_TOKENS} tokens; an answer is all that the model "
            "writes before its own end; exact match, BLEU-4 and CodeBLEU as aiXcoder-FIM-Evaluation takes them "
            "(Jiang et al. 2024)."
        )

    @property
    def metrics(self) -> Sequence[Metric]:
        """See `Benchmark.metrics`."""
        return _METRICS

    def load(self, limit: int, seed: int) -> Loaded:
        """See `Benchmark.load`."""
        if self._repositories:
            return self._from_checkouts(limit, seed)
        problems: list[str] = []
        samples: list[Sample] = []
        expected = SOURCES[self.name][0].fields
        for path in files_of(self._data, self.name):
            language = _language_of_file(path)
            samples += read_samples(path, partial(_published, language), expected, problems)
        ids = [sample.id for sample in samples]
        if len(set(ids)) < len(ids):
            raise DataError("two of the files have the same samples; give each file once")
        return Loaded(evenly(samples, limit, seed), problems)

    def _from_checkouts(self, limit: int, seed: int) -> Loaded:
        problems: list[str] = []
        samples: list[Sample] = []
        names = [path.resolve().name for path in self._repositories]
        if len(set(names)) < len(names):
            raise DataError("two of the folders have the same name; their samples could not be told apart")
        for path in self._repositories:
            if not path.is_dir():
                raise DataError(f"{path} is no folder; --repository takes a checkout")
            found = holes_of_checkout(path.resolve(), seed)
            if not found:
                problems.append(f"{path} has no function in {', '.join(LANGUAGES.values())}; passed over")
            samples += found
        if not samples:
            raise DataError(f"no holes: {problems[0].removesuffix('; passed over')}")
        drawn = evenly(samples, limit, seed)
        counts = ", ".join(f"{language} {count}" for language, count in _counted(drawn).items())
        return Loaded(drawn, problems, [f"holes of {', '.join(names)} ({counts}), seed {seed}; not the published ones"])

    def score(self, sample: Sample, output: Output) -> Mapping[str, float | None]:
        """See `Benchmark.score`."""
        text, wanted = output.text, sample.wanted
        return {
            "exact": exact(text, wanted),
            "bleu4": bleu4(text, wanted),
            "codebleu": _codebleu(text, wanted, sample.language),
            "length_ratio": length_ratio(text, wanted),
        }


def _codebleu(text: str, wanted: str, language: str) -> float | None:
    """CodeBLEU as their script has it (`CodeBleu.published_score`). Nothing beside nothing has 50 there, as it has no
    n-grams: their tables show 48.7 for 95.0 % of empty holes that were right, and 25 for each of the others."""
    if not text.strip() and not wanted.strip():
        return 50.0
    parts = codebleu_parts(text, wanted, language)
    return None if parts is None else parts.published_score


def scenario_of(task_type: str) -> str:
    """The scenario that a `task_type` names, however it is spelled; what names none stays as it is."""
    words = {word.lower() for word in _WORDS.findall(task_type)}
    return next((scenario for told, scenario in _TOLD_BY if told & words), task_type.strip())


def holes_of_checkout(folder: Path, seed: int, most: int = PER_SCENARIO) -> list[Sample]:
    """Up to `most` holes for each language and scenario from a folder's files, which are taken in turn; in the order of
    aiXcoder's tables. The same files and seed give the same holes."""
    files: dict[tuple[str, Scenario], dict[str, list[tuple[int, int]]]] = {}
    texts = dict(_sources(folder))
    for path, text in texts.items():
        grammar = language_of(path).grammar or ""
        for scenario, spans in scenario_holes(text, grammar).items():
            fitting = [span for span in spans if span[1] - span[0] <= _LONGEST]
            if fitting:
                files.setdefault((grammar, scenario), {})[path] = fitting
    samples = []
    for (grammar, scenario), spans_of in files.items():
        draw = random.Random(f"{seed} {grammar} {scenario}")
        for path, (start, end) in _in_turn(spans_of, draw, most):
            samples.append(_hole(folder.name, path, LANGUAGES[grammar], scenario, texts[path], start, end))
    order: dict[str, int] = {scenario: number for number, scenario in enumerate(SCENARIOS)}
    languages = list(LANGUAGES.values())
    # reports have their rows in the order of the samples
    return sorted(
        samples,
        key=lambda sample: (
            languages.index(sample.language),
            order[sample.scenario],
            sample.name,
            len(sample.before),
        ),
    )


def _in_turn(
    spans_of: Mapping[str, Sequence[tuple[int, int]]], draw: random.Random, most: int
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Spans of files in turn, so that a long file gives no more than others while those have any."""
    left = {path: draw.sample(spans, len(spans)) for path, spans in sorted(spans_of.items())}
    paths = draw.sample(list(left), len(left))
    given = 0
    while given < most and paths:
        for path in paths:
            if given < most:
                yield path, left[path].pop()
                given += 1
        paths = [path for path in paths if left[path]]


def _hole(group: str, path: str, language: str, scenario: Scenario, text: str, start: int, end: int) -> Sample:
    return Sample(
        id=f"{group}/{path}:{start}-{end} {scenario}",
        language=language,
        scenario=scenario,
        name=path,
        before=text[:start],
        after=text[end:],
        wanted=text[start:end],
        max_new_tokens=MAX_NEW_TOKENS,
    )


def _sources(folder: Path) -> Iterator[tuple[str, str]]:
    """The files of the four languages with their texts, as the product would read them: nothing that git ignores,
    nothing generated, nothing with secrets."""
    scanner = Scanner(
        folder, max_file_bytes=_FILE_BYTES, accepts=lambda path: (language_of(path).grammar or "") in LANGUAGES
    )
    for entry in sorted(scanner.scan().files, key=lambda entry: entry.path):
        text = scanner.read(entry.path)
        if text is not None:
            yield entry.path, text


def _published(language: str, row: Mapping[str, Any]) -> Sample:
    before, after, wanted = (text_of(row, name) for name in ("pre_mask_code", "post_mask_code", "canonical_solution"))
    told = row.get("language")
    language = language or (told.lower() if isinstance(told, str) else "")
    if language not in _NAMES:
        raise ValueError(f"neither the file's name nor a field language names one of {', '.join(_NAMES)}")
    task = row.get("task_id")
    if isinstance(task, bool) or not isinstance(task, str | int):
        raise ValueError("task_id is missing")
    lsp, name = _NAMES[language]
    return Sample(
        id=f"{lsp}/{task}",
        language=lsp,
        scenario=scenario_of(text_of(row, "task_type")),
        name=name,
        before=before,
        after=after,
        wanted=wanted,
        max_new_tokens=MAX_NEW_TOKENS,
    )


def _language_of_file(path: Path) -> str:
    """What a file's name says, as in `aiXcoder_extended_cplus.jsonl` and `java_test_8k_full.jsonl`; "" for nothing."""
    return next((word for word in re.findall(r"[a-z]+", path.name.lower()) if word in _NAMES), "")


def _counted(samples: Sequence[Sample]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for sample in samples:
        counts[sample.language] = counts.get(sample.language, 0) + 1
    return counts

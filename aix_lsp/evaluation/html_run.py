"""What a run's configuration says, in words: what was measured, by which model and how, and what was not run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from aix_lsp.evaluation.html_page import Html, counted, facts, note, plain, section, told
from aix_lsp.evaluation.run_folder import RunData

MODEL_ALONE: Final = (
    "the model alone, with the prompt and engine that serve completions: no retrieval but what the benchmark brings, "
    "no confidence gate and no post-processing"
)
"""What answered where a configuration says nothing else (`uses`)."""

_ENDINGS: Final[Mapping[str, str]] = {
    "end": "by the model itself",
    "stop": "cut where the protocol ends it",
    "length": "at the limit of tokens",
    "timeout": "at the limit of time",
    "error": "no answer: an error",
}

LINES: Final = 20
"""Of a list, before the rest is only counted."""

_MOST_IN_NAMES: Final = 3
_LONGEST_IN_NAMES: Final = 30

_NOT_ASKED: Final = frozenset(
    {
        *("benchmark", "protocol", "uses", "model", "model_asked", "label", "answered_by", "samples", "started"),
        *("notes", "problems", "metrics", "versions", "data", "weights", "languages"),
    }
)
"""What is in a configuration and is no setting that somebody chose, or is too long for a name."""

_TOLD: Final = frozenset(
    {
        *(
            "benchmark",
            "protocol",
            "uses",
            "model",
            "model_asked",
            "label",
            "engine",
            "format",
            "answered_by",
            "samples",
            "limit",
        ),
        *("seed", "started", "notes", "problems", "metrics", "versions", "data", "weights"),
    }
)


def name_of(config: Mapping[str, Any]) -> str:
    """What a run is called: its label, or its model."""
    return plain(config.get("label") or config.get("model") or "a model")


def names_of(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[str, str]:
    """What two runs are called, never the same: runs of one name by the settings that they were asked for and that
    differ, or else as the first and the second."""
    names = name_of(first), name_of(second)
    if names[0] != names[1]:
        return names
    differing = [key for key in dict.fromkeys((*first, *second)) if first.get(key) != second.get(key)]
    told = [key for key in differing if key not in _NOT_ASKED][:_MOST_IN_NAMES]
    if not told:
        return f"{names[0]} (first)", f"{names[1]} (second)"
    one, two = (
        ", ".join(f"{key.replace('_', ' ')} {_words(config.get(key, 'none'))[:_LONGEST_IN_NAMES]}" for key in told)
        for config in (first, second)
    )
    return f"{names[0]} ({one})", f"{names[1]} ({two})"


def uses_of(config: Mapping[str, Any]) -> str:
    """Whether the whole service answered or the model alone."""
    return plain(config.get("uses") or MODEL_ALONE)


def ending_of(finish: str) -> str:
    """How an answer ended, in words (`Output.finish`)."""
    return _ENDINGS.get(finish, finish) or "not told"


def version_of(config: Mapping[str, Any]) -> str:
    """The version of aix-lsp that ran."""
    versions = config.get("versions")
    return plain(versions.get("aix-lsp", "")) if isinstance(versions, Mapping) else ""


def engine_of(config: Mapping[str, Any]) -> str:
    """Where the model ran, in words."""
    by = config.get("answered_by") or {}
    at_once = by.get("at_once", 0)
    several = f", {at_once} samples at once" if at_once and at_once > 1 else ""
    if config.get("engine") == "remote":
        return f"a server elsewhere (remote){several}"
    device = ", ".join(plain(by[key]) for key in ("device", "dtype", "attention") if by.get(key))
    return f"{plain(config.get('engine', ''))}{f' ({device})' if device else ''}{several}"


def model_of(config: Mapping[str, Any]) -> str:
    """The model's name, size and the digest of its files."""
    by = config.get("answered_by") or {}
    parameters = by.get("parameters")
    size = f", {parameters / 1e6:,.1f} million parameters" if parameters else ""
    digest = f", files {plain(config['weights'])}" if config.get("weights") else ""
    return f"{plain(config.get('model', ''))}{size}{digest}"


def prompt_of(config: Mapping[str, Any]) -> str:
    """The order of the prompt's parts."""
    asked, by = config.get("format", ""), config.get("answered_by") or {}
    if asked == "auto" and by.get("format"):
        return f"the product's, in the sample's own order or else the model's ({plain(by['format'])})"
    return f"the product's, order {plain(asked)}" if asked else "the product's"


def about(run: RunData) -> Iterator[Html]:
    config = run.config
    answered = sum(not result.output.error for result in run.results)
    every = config.get("samples", len(run.results))
    limit = config.get("limit")
    asked = f"{answered:,} answered of {plain(every)} asked for" + (f" (--limit {plain(limit)})" if limit else "")
    pairs = [
        ("Measured", config.get("protocol", "")),
        ("What answered", uses_of(config)),
        ("Model", model_of(config)),
        ("Engine", engine_of(config)),
        ("Prompt", prompt_of(config)),
        ("Samples", asked),
        ("Seed", plain(config.get("seed", ""))),
        ("Date", plain(config.get("started") or "not recorded")),
        *((key.replace("_", " ").capitalize(), _words(config[key])) for key in config if key not in _TOLD),
        ("Data", f"digest {plain(config['data'])}" if config.get("data") else ""),
        ("Versions", ", ".join(f"{key} {plain(value)}" for key, value in (config.get("versions") or {}).items())),
    ]
    yield section("What was measured", facts((key, value) for key, value in pairs if value not in ("", "null")))


def _words(value: Any) -> str:
    """A setting's value as a person says it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(plain, value)) if isinstance(value, list) else plain(value)


def missing(run: RunData) -> Iterator[Html]:
    """What was not run, and what was wrong with the data. Said also where there is nothing to say."""
    notes = [plain(line) for line in run.config.get("notes") or ()]
    lines = []
    every = run.config.get("samples")
    unasked = every - len(run.results) if isinstance(every, int) else 0
    if unasked > 0:
        lines.append(f"{counted(unasked, 'sample')} not asked yet: the run is not finished")
    if not run.results:
        lines.append("no sample was answered, so there are no figures")
    failed = sum(bool(result.output.error) for result in run.results)
    if failed:
        lines.append(f"{counted(failed, 'sample')} without an answer; what went wrong stands below")
    lines += notes[:LINES]
    if len(notes) > LINES:
        lines.append(f"and {len(notes) - LINES:,} more, which run.json has")
    yield section(
        "Notes, and what was not run", told(lines) if lines else note("Everything that was asked for was run.")
    )
    problems = [plain(problem)[:300] for problem in run.config.get("problems") or ()]
    if problems:
        more = len(problems) - LINES
        rest = f"and {more:,} more" if more > 0 else ""
        yield section(
            "Problems with the data",
            note(f"{counted(len(problems), 'line')} passed over."),
            told(problems[:LINES]),
            note(rest),
        )


def seed_of(config: Mapping[str, Any]) -> int:
    seed = config.get("seed", 0)
    return seed if isinstance(seed, int) else 0

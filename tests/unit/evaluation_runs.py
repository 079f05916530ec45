"""Runs of evaluations for tests of reports: of several languages and scenarios, and hostile ones."""

from __future__ import annotations

import random
from typing import Any, Final

from aix_lsp.evaluation.benchmark import Metric, Output, Result, Sample
from aix_lsp.evaluation.run_folder import RunData
from aix_lsp.evaluation.summary import Summary, summarize

METRICS: Final = (
    Metric("exact", "Exact match"),
    Metric("similarity", "Edit similarity", "points"),
    Metric("prefix", "Correct characters", "characters"),
)
HOSTILE: Final = "</script></pre></title><img src=x onerror=alert(1)>\"' [bold]&amp; \x1b[31m \ud800 \u202e\u2066 \x00"
"""What a model may write or a file may be called, and no page or terminal may take for its own."""


def result(
    id_: str = "a/1", wanted: str = "b = 1\n", text: str = "b = 2", score: float | None = 0.0, **more: Any
) -> Result:
    """An answer to a place in a small file; `more` are fields of the sample or the output."""
    of_output = {
        key: more.pop(key) for key in ("finish", "milliseconds", "first_token_ms", "error", "texts") if key in more
    }
    place: dict[str, Any] = {
        "language": "python",
        "scenario": "line",
        "name": "shop/a.py",
        "before": "a = 0\n",
        "after": "c\n",
    }
    output = {"texts": (text,), "finish": "stop", "milliseconds": 120.0, "first_token_ms": 40.0}
    sample = Sample(id_, wanted=wanted, **{**place, **more})
    scores = {"exact": score, "similarity": None if score is None else 40 + 60 * score, "prefix": 4.0}
    return Result(sample, Output(**{**output, **of_output}), scores)


def run_of(*results: Result, **config: Any) -> RunData:
    """A run with these results, as its folder gives it back."""
    known: dict[str, Any] = {
        "benchmark": "aix-fim",
        "protocol": "What was taken out is written anew, greedily.",
        "model": "small",
        "weights": "0123456789abcdef",
        "engine": "local",
        "format": "auto",
        "seed": 0,
        "limit": 0,
        "data": "fedcba9876543210",
        "versions": {"aix-lsp": "0.1.0"},
        "metrics": [{"name": m.name, "title": m.title, "unit": m.unit, "better": m.better} for m in METRICS],
        "samples": len(results),
        "problems": [],
        "notes": [],
        "started": "2026-03-01 12:00+00:00",
        "answered_by": {"name": "small", "device": "cpu", "dtype": "float32", "parameters": 12_000_000, "at_once": 4},
    }
    return RunData({**known, **config}, list(results))


def summary_of(run: RunData) -> Summary:
    """The summary as the commands make it."""
    return summarize(run.results, METRICS)


def large(right: float = 0.4, seed: int = 0) -> RunData:
    """A run over three languages and six scenarios, 8 samples of each, with errors and answers of all lengths."""
    drawn = random.Random(seed)
    scenarios = ("method signature", "method body with comment", "single line", "if block", "for block", "try block")
    results = []
    for language in ("python", "java", "typescript"):
        for scenario in scenarios:
            for number in range(8):
                wanted = "".join(
                    f"    total += item.price * {drawn.randint(1, 9)}\n" for _ in range(drawn.randint(1, 4))
                )
                is_right = drawn.random() < right
                text = wanted if is_right else wanted.replace("price", "cost")[: drawn.randint(0, 200)] + "end()"
                results.append(
                    result(
                        f"{language}/{scenario}/{number}",
                        wanted,
                        text,
                        float(is_right),
                        language=language,
                        scenario=scenario,
                        before="def sum_up(items):\n    total = 0\n    for item in items:\n",
                        after="    return total\n",
                        milliseconds=drawn.lognormvariate(5, 0.6),
                        first_token_ms=drawn.lognormvariate(3.5, 0.4),
                        finish=drawn.choice(("stop", "stop", "stop", "length")),
                        error="the server was away" if drawn.random() < 0.02 else "",
                    )
                )
    notes = ["functional tests: not run (no sandbox)"]
    return run_of(*results, notes=notes, problems=["line 12 of data.jsonl is no JSON"], model=f"model-{seed}")


def again(run: RunData, changed: float, seed: int = 2) -> RunData:
    """Another run over the same samples: so many of the wrong answers became right, and few of the right ones wrong."""
    drawn = random.Random(seed)
    results = []
    for each in run.results:
        is_right = each.scores["exact"] == 1.0
        turned = drawn.random() < (changed / 8 if is_right else changed)
        now = is_right != turned
        text = each.sample.wanted if now else each.output.text if not is_right else "    pass"
        scores = {**each.scores, "exact": float(now), "similarity": 100.0 if now else 35.0}
        output = Output((text,), "stop", 3, 20, each.output.milliseconds * 1.5, each.output.first_token_ms)
        results.append(Result(each.sample, output, scores))
    return RunData({**run.config, "model": "small-tuned", "format": "psm"}, results)

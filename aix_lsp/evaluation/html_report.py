"""A run as one HTML file: what was measured and how, the figures with their intervals, and answers to look at.

It says first whether the whole service answered or the model alone, and what was not run: a reader of the figures must
not have to ask.
"""

from __future__ import annotations

from aix_lsp.evaluation.html_figures import by_groups, endings, headline, latency, lengths_of
from aix_lsp.evaluation.html_page import Html, element, page, plain
from aix_lsp.evaluation.html_run import about, missing, name_of, seed_of, uses_of, version_of
from aix_lsp.evaluation.html_samples import sample_sections
from aix_lsp.evaluation.run_folder import RunData
from aix_lsp.evaluation.summary import Summary


def report(run: RunData, summary: Summary) -> str:
    """The file's text. A run that is not finished is shown as far as it is."""
    config = run.config
    name, benchmark = name_of(config), plain(config.get("benchmark", "evaluation"))
    header = element(
        "header",
        element("p", "aix-lsp eval ", benchmark, class_="kind"),
        element("h1", f"{benchmark}: {name}"),
        element("p", f"What answered is {uses_of(config)}.", class_="lead"),
    )
    parts: list[Html] = [header, *about(run), *missing(run)]
    if run.results:
        parts += [
            headline(summary),
            *by_groups(summary),
            *lengths_of(summary),
            *latency(run, summary),
            endings(run, summary),
        ]
        parts += sample_sections(run.results, summary.metrics, seed_of(config))
    parts.append(element("footer", f"Written by aix-lsp {version_of(config)}. This file needs no other."))
    return page(f"{benchmark}: {name}", *parts)

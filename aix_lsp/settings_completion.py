"""Options of when completions are offered, how long they are, and what is kept back."""

from __future__ import annotations

from typing import Literal

from aix_lsp.settings_option import Section, option


class CompletionSettings(Section):
    """When completions are offered, and how long they are."""

    enabled: bool = option(True, "Offer completions at all.", scope="resource")
    disabled_languages: tuple[str, ...] = option(
        (), "Language identifiers in which nothing is offered, such as `markdown`.", scope="resource"
    )
    disabled_files: tuple[str, ...] = option(
        (),
        "Files in which nothing is offered, as patterns in the form of a .gitignore line (`*.min.js`, `docs/**`), "
        "matched against the path inside the workspace folder.",
        scope="resource",
    )
    not_in_strings: tuple[str, ...] = option(
        (),
        "Where nothing is offered by itself inside strings: language identifiers, or patterns with a `*`, a `.` or a "
        "`/` in the form of a .gitignore line; `*` means everywhere.",
        scope="resource",
    )
    not_in_comments: tuple[str, ...] = option((), "The same for comments.", scope="resource")
    other_languages: bool = option(
        False,
        "Offer by itself in languages that the model does not know, too.",
        scope="resource",
    )
    amount: Literal["auto", "line", "block"] = option(
        "auto",
        "How much to offer: the rest of the line, a block, or whichever fits the place of the cursor.",
        scope="resource",
    )
    max_tokens_line: int = option(64, "Most tokens generated for a single line.", scope="resource", ge=1, le=1024)
    max_tokens_block: int = option(160, "Most tokens generated for a block.", scope="resource", ge=1, le=4096)
    max_lines: int = option(24, "Most lines offered in a block.", scope="resource", ge=1, le=500)
    time_limit_ms: int = option(
        5000, "A generation is cut here, and what it has so far is used.", scope="resource", ge=50, le=120_000
    )
    debounce: Literal["auto", "fixed"] = option(
        "auto",
        "How long an automatic request waits for the next key before the model is asked: as fits your typing and the "
        "model's speed, or always `completion.debounce_ms`. What is known already and what is asked explicitly never "
        "waits, nor does the server where the editor itself waits.",
    )
    debounce_ms: int = option(25, "The fixed wait, in milliseconds.", ge=0, le=5000)
    candidates: int = option(
        3, "Most different completions that an explicit request gets to choose from.", scope="resource", ge=1, le=8
    )
    reuse: bool = option(
        True,
        "Answer from what was suggested before where what you typed agrees with it, or was worked out ahead.",
    )
    confidence: Literal["auto", "off"] = option(
        "auto",
        "Keep back, or shorten, what the model is unsure of: by the threshold measured for the model, or not at all. "
        "What is asked for explicitly is never kept back.",
        scope="resource",
    )
    min_confidence: float = option(
        0.0,
        "Above 0: the least calibrated probability of being right that an offer must have, in place of the model's "
        "own threshold.",
        scope="resource",
        ge=0,
        le=1,
    )
    temperature: float = option(0.0, "0 takes the likeliest token; above it, tokens are drawn.", ge=0, le=2)
    top_p: float = option(
        0.95, "With a temperature: draw from the likeliest tokens that make up this share.", gt=0, le=1
    )
    seed: int = option(0, "Seed for drawing, so that the same place gives the same answer.", ge=0)
    prepare_next: bool = option(
        True,
        "While an offer is shown and nothing else is asked, let the model work out what comes after it.",
    )
    fallback_completion: bool = option(
        False,
        "Answer `textDocument/completion` too, for clients that do not know inline completion.",
        restart=True,
    )

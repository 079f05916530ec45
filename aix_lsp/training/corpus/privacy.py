"""Secrets and personal data out of source text, so that a model does not learn them by heart.

Each rule gives spans with a placeholder of the same kind: an address for an address, a word inside quotes for the
value that stood there. Line breaks are never part of a span, so that lines and line endings stay. StarCoder's
authors chose the same categories (StarCoder: may the source be with you!, Li et al. 2023, section 4: names, e-mails,
keys, passwords, IP addresses); here rules decide, not a model, because they explain themselves and run on any machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Final

from .privacy_addresses import credentials_in_urls, emails, home_folders, ip_addresses
from .privacy_keys import passwords, private_keys, tokens
from .privacy_names import names
from .privacy_spans import Places, Span

KINDS: Final = ("email", "ip", "key", "password", "url", "path", "name")
_MOST_PASSES: Final = 8


@dataclass(frozen=True, slots=True)
class Redacted:
    """The text with placeholders, and how many were set by kind (one of `KINDS`; kinds that did not occur are left
    out)."""

    text: str
    counts: Mapping[str, int]


def redact(text: str, path: str = "") -> Redacted:
    """`text` without e-mail and IP addresses, keys, tokens, passwords, credentials in URLs, login names in home
    folders, and names of people where a rule can tell.

    `path` says the language, and with it what is comment, string and code; without it everything is taken for prose.
    Doing it again changes nothing: the rules run until they find no more, which is the second time for most files
    that held something, and at once for the others.
    """
    counts: Counter[str] = Counter()
    for _ in range(_MOST_PASSES):
        spans = _apart(_spans(text, path), text)
        if not spans:
            break
        counts.update(span.kind for span in spans)
        text = _replaced(text, spans)
    return Redacted(text, MappingProxyType(dict(counts)))


def _spans(text: str, path: str) -> list[Span]:
    places = Places(text, path)
    return list(
        chain(
            private_keys(text),
            credentials_in_urls(text),
            tokens(text),
            passwords(text),
            emails(text, places),
            ip_addresses(text, places),
            home_folders(text),
            names(text, places),
        )
    )


def _apart(spans: list[Span], text: str) -> list[Span]:
    """Spans in order that do not overlap and change something; of two the earlier, then the longer one stays."""
    kept: list[Span] = []
    end = 0
    for span in sorted(spans, key=lambda each: (each.start, -each.end)):
        if span.start >= end and text[span.start : span.end] != span.replacement:
            kept.append(span)
            end = span.end
    return kept


def _replaced(text: str, spans: list[Span]) -> str:
    parts: list[str] = []
    place = 0
    for span in spans:
        parts += (text[place : span.start], span.replacement)
        place = span.end
    parts.append(text[place:])
    return "".join(parts)

"""Random values that a name before them makes secrets: `api_key = "..."`, `password: ...`, `scheme://user:...@host`.

Names are looked for first. Most files have none, and are done in the time of eight searches for plain text.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

_WORDS: Final = ("passw", "passphrase", "pwd", "secret", "token", "credential", "key", "auth")

_BEFORE_KEY: Final = (
    *("api", "access", "private", "auth", "account", "encryption", "signing", "master", "shared", "service", "server"),
    *("client", "consumer", "app", "application", "storage", "admin", "deploy", "license", "session", "jwt", "hmac"),
)
"""What makes a secret of a `key`; one alone is a place in a dictionary."""

_VALUE: Final = r"[A-Za-z0-9+/_=.~!@#$%^&*-]{16,200}"
_REST_OF_NAME: Final = r"[\w.-]{0,64}"
_TYPE: Final = r"(?::\s{0,4}[\w.\[\]]{1,40}\s{0,4}(?==))?"

_QUOTED: Final = re.compile(
    rf"""{_REST_OF_NAME}["'`]?\s{{0,4}}\]?\s{{0,20}}{_TYPE}(=>|:=|:-|[:=,])\s{{0,20}}[rbfu]{{0,2}}["'`]"""
    rf"""({_VALUE})(?=["'`]|\s|\Z)""",
    re.ASCII | re.IGNORECASE,
)
_OTHER_TOKENS: Final = re.compile(r"i|\d")
"""Tokenizers, token2id."""

_CALLED: Final = re.compile(r"""(?:define|env|set|put|header)\w*\s*\(\s*["'][\w.-]*\Z""", re.IGNORECASE)
"""Before the name in `define('AUTH_KEY', '...')`; in other lists one item says nothing of the next."""

_BARE: Final = re.compile(
    rf"""{_REST_OF_NAME}["']?\s{{0,4}}(?:=>|:=|:-|[:=>]|[ \t])[ \t]{{0,20}}({_VALUE})(?=[\s,;<"'`}})]|\Z)""", re.ASCII
)
_AFTER_AUTH: Final = re.compile(
    rf"""(?:(?:orization)?["']?\s{{0,4}}\]?\s{{0,4}}[:=,]\s{{0,4}}["'`]?(?:bearer|basic|token|bot)\s{{1,4}}"""
    rf"""|["']?\s{{0,4}}[:=]\s{{0,4}}["'`]?)"""
    rf"""({_VALUE})(?=[\s,;"'`]|\Z)""",
    re.ASCII | re.IGNORECASE,
)
"""`Authorization: Basic ...`, and the `auth` of Docker and npm."""

_URL_PASSWORD: Final = re.compile(r"://[^\s:/@\"']{0,64}:([^\s:/@\"']{8,128})@")
_PLACEHOLDER: Final = re.compile(
    r"your|example|change|replace|placeholder|dummy|sample|xxxx|here|test|demo|fake|mock|foobar|redacted|insert|passw|secret"
    r"|12345|abcdef",
    re.IGNORECASE,
)
_HEX: Final = re.compile(r"[0-9a-fA-F-]{32,}")
_PLAIN: Final = re.compile(r"[A-Za-z0-9+/=~!@#%^&*-]+")

_MIN_DIGITS: Final = 2
_MIN_BITS_PER_CHARACTER: Final = 3.5
_MIN_BITS_OF_HEX: Final = 3.0
_MIN_CLASS_CHANGES: Final = 0.35
"""Of the characters of a value without quotes, the share that is of another class (capital, small, digit) than the one
before it: about 0.6 in random ones, and little in names of two or three words."""


def value_span(text: str) -> tuple[int, int] | None:
    """Where a random value stands that is called a secret, with its name; None without one."""
    if "://" in text:
        for match in _URL_PASSWORD.finditer(text):
            if looks_random(match[1]):
                return match.span()
    lower = text.lower()
    if len(lower) != len(text):  # a few letters of some languages become two
        lower = "".join(character.lower() if character.isascii() else character for character in text)
    for word in _WORDS:
        for start in _places(lower, word):
            name = _name_at(lower, start, word)
            found = None if name is None else _value_after(text, start, start + len(word), word)
            if name is not None and found is not None:
                return name, found
    return None


def _places(lower: str, word: str) -> Iterator[int]:
    at = lower.find(word)
    while at >= 0:
        yield at
        at = lower.find(word, at + len(word))


def _name_at(lower: str, start: int, word: str) -> int | None:
    """Where the name begins whose last word is at `start`; None where it is no name of a secret."""
    if word == "token" and _OTHER_TOKENS.match(lower, start + len(word)):
        return None
    if word != "key":
        return start
    end = start - (lower[start - 1 : start] in ("_", "-"))
    before = next((before for before in _BEFORE_KEY if lower.endswith(before, 0, end)), None)
    return None if before is None else end - len(before)


def _value_after(text: str, start: int, end: int, word: str) -> int | None:
    """The end of the random value that belongs to the word of a name at `start`."""
    if word == "auth":
        match = _AFTER_AUTH.match(text, end)
        return match.end() if match and looks_random(match[1]) and _mixed(match[1]) else None
    match = _QUOTED.match(text, end)
    if match:
        belongs = match[1] != "," or _CALLED.search(text, max(0, start - 60), start)
        closed = text[match.end() : match.end() + 1] in ("'", '"', "`")
        return match.end() + closed if belongs and looks_random(match[2]) else None
    match = _BARE.match(text, end)
    return match.end() if match and looks_random(match[1]) and _mixed(match[1]) else None


def looks_random(value: str) -> bool:
    """True for letters mixed with digits whose distribution is that of random characters (Shannon entropy)."""
    digits = sum(each.isdigit() for each in value)
    if digits < _MIN_DIGITS or not any(each.isalpha() for each in value) or _PLACEHOLDER.search(value):
        return False
    bits = -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values())
    least = _MIN_BITS_OF_HEX if _HEX.fullmatch(value) else _MIN_BITS_PER_CHARACTER
    return bits >= min(least, 0.85 * math.log2(len(value)))


def _mixed(value: str) -> bool:
    """Whether a value without quotes is no name, number or path of a program: hexadecimal digits, or classes of
    characters that change from one to the next as only random ones do."""
    if _HEX.fullmatch(value):
        return any(each.isalpha() for each in value)
    if not _PLAIN.fullmatch(value.replace("_", "").replace(".", "")):
        return False
    kinds = ["d" if each.isdigit() else "u" if each.isupper() else "l" if each.islower() else "x" for each in value]
    if kinds.count("d") < _MIN_DIGITS or kinds.count("x") > len(value) / 5:
        return False
    changes = sum(one != other for one, other in pairwise(kinds))
    return changes >= _MIN_CLASS_CHANGES * len(value)

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

_WORDS: Final = ("passw", "passphrase", "pwd", "pass", "secret", "token", "credential", "key", "auth")

_BEFORE_KEY: Final = (
    *("api", "access", "private", "auth", "account", "encryption", "signing", "master", "shared", "service", "server"),
    *("client", "consumer", "app", "application", "storage", "admin", "deploy", "license", "session", "jwt", "hmac"),
)
"""What makes a secret of a `key`; one alone is a place in a dictionary."""

_VALUE: Final = r"[A-Za-z0-9+/_=.~!@#$%^&*-]{16,200}"
_REST_OF_NAME: Final = r"[\w.-]{0,64}+"
_QUOTE: Final = r"""\\{0,3}["'`]"""
_TYPE: Final = r"(?::[\w.\[\]|&<>' ?]{1,40}+(?==))?"
"""`api_key: str | None = ...`, `const API_KEY: &str = ...`."""

_VALUE_OF: Final = r"""[\s,{]{0,24}+["']?(?:value|default)["']?\s{0,4}[:=]"""
"""Between a name and its value where both are values themselves: `name: DB_PASSWORD` above `value: ...`, in XML and
JSON too, and `variable "db_password" { default = ... }`."""

_CALL: Final = r"(?:[\w.:]{1,32}+\(\s{0,4}(?:default\s?=\s?)?)?"
"""What makes something of the value: `SecretStr("...")`, `Field(default="...")`."""

_OPENED: Final = re.compile(
    rf"""{_REST_OF_NAME}(?:{_QUOTE})?\s{{0,20}}+(?:\[\d{{0,6}}\]|[\])])?\s{{0,20}}+{_TYPE}"""
    rf"""({_VALUE_OF}|=>|:=|:-|\|\||\?\?|or\b|[:=,(]|(?<=[ \t]))\s{{0,20}}+"""
    rf"""({_CALL})[rbfu]{{0,2}}\\{{0,3}}(["'`])(?:base64:)?""",
    re.ASCII | re.IGNORECASE,
)
"""From the last word of a name up to the quote that opens its value. White space is not given back: many spaces behind
many names would take long."""

_GIVEN: Final = ("=>", ":=", ":-", ":", "=", ",")
"""Between a name and a value of no other kind of things; after anything else, more is asked of the value."""

_UP_TO_QUOTE: Final = re.compile(rf"""({_VALUE})(?=["'`\s\\]|\Z)""", re.ASCII)
_UP_TO_SAME_QUOTE: Final = {
    quote: re.compile(rf"([!-\[\]-~]{{16,200}}?)(?={quote})", re.ASCII) for quote in ('"', "'", "`")
}
"""A value of any characters, as Django and generators of passwords draw them, in whole quotes."""

_OTHER_TOKENS: Final = re.compile(r"i|\d")
"""Tokenizers, token2id."""

_CALLED: Final = re.compile(r"""(?:define|env|[sg]et|put|add|header)\w*\s*\(\s*["'][\w.-]*\Z""", re.IGNORECASE)
"""Before the name in `define('AUTH_KEY', '...')`; in other lists one item says nothing of the next."""

_BARE: Final = re.compile(
    rf"""{_REST_OF_NAME}["']?(\s{{0,4}}(?:=>|:=|:-|[:=>])|[ \t]|\s{{1,40}}+value:)[ \t]{{0,20}}(?:base64:)?"""
    rf"""({_VALUE})(?=[\s,;<"'`}})]|\Z)""",
    re.ASCII,
)
_AFTER_AUTH: Final = re.compile(
    rf"""(?:(?:orization)?["']?\s{{0,4}}\]?\s{{0,4}}[:=,]\s{{0,4}}[rbfu]{{0,2}}["'`]?(?:bearer|basic|token|bot)\s{{1,4}}"""
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

_WRITTEN: Final = re.compile(
    r"A-Z|a-z|0-9|://|\{\{|\{\w*\}|%\(\w+\)|\$\(\w+\)|<\w+>|[A-Za-z_]{3}\(\w*\)|[a-z]\([\d.,%*-]{3,}\)|\d\d:\d\d"
)
"""What tells patterns, templates, addresses, code, colours and times from random characters."""

_MIN_DIGITS: Final = 2
_MIN_BITS_PER_CHARACTER: Final = 3.5
_MIN_BITS_OF_HEX: Final = 3.0
_MIN_CLASS_CHANGES: Final = 0.35
"""Of the characters of a value without quotes, the share that is of another class (capital, small, digit) than the one
before it: about 0.6 in random ones, and little in names of two or three words."""

_MIN_CLASS_CHANGES_OF_ONE_DIGIT: Final = 0.45
_MIN_CLASS_CHANGES_OF_SHORT: Final = 0.5
_MIN_CLASS_CHANGES_OF_LONG: Final = 0.4
_LONG: Final = 32
"""Of values with any punctuation; the long ones may begin with words (`django-insecure-`)."""


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
            name = _name_at(text, lower, start, word)
            found = None if name is None else _value_after(text, start, start + len(word), word)
            if name is not None and found is not None:
                return name, found
    return None


def _places(lower: str, word: str) -> Iterator[int]:
    at = lower.find(word)
    while at >= 0:
        yield at
        at = lower.find(word, at + len(word))


def _name_at(text: str, lower: str, start: int, word: str) -> int | None:
    """Where the name begins whose last word is at `start`; None where it is no name of a secret."""
    if word == "token" and _OTHER_TOKENS.match(lower, start + len(word)):
        return None
    if word == "pass":  # as in db_pass and dbPass, not in bypass, passed or Passage
        begins = text[start] == "P" or not lower[start - 1 : start].isalnum()
        return start if begins and not lower[start + 4 : start + 5].isalnum() else None
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
    match = _OPENED.match(text, end)
    if match:
        return _quoted_after(text, start, match)
    match = _BARE.match(text, end)
    if match is None or (word == "pass" and match[1].isspace()):  # "it may pass Utf8ToUtf16Converter"
        return None
    return match.end() if looks_random(match[2]) and _mixed(match[2]) else None


def _quoted_after(text: str, start: int, opened: re.Match[str]) -> int | None:
    """The end of the random value behind the quote that ends `opened`."""
    between, call, quote = opened.groups()
    if between == "," and not _CALLED.search(text, max(0, start - 60), start):
        return None
    match = _UP_TO_QUOTE.match(text, opened.end())
    if match:
        closed = text[match.end() : match.end() + 1] in ("'", '"', "`")
        is_secret = looks_random(match[1]) and ((between in _GIVEN and not call) or _mixed(match[1]))
        return match.end() + closed if is_secret else None
    match = _UP_TO_SAME_QUOTE[quote].match(text, opened.end())
    return match.end() + 1 if match and looks_random(match[1]) and _drawn(match[1]) else None


def looks_random(value: str) -> bool:
    """True for letters mixed with digits whose distribution is that of random characters (Shannon entropy)."""
    if not _has_digits(_kinds(value)) or not any(each.isalpha() for each in value) or _PLACEHOLDER.search(value):
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
    kinds = _kinds(value)
    return kinds.count("x") <= len(value) / 5 and _changes(kinds) >= _MIN_CLASS_CHANGES * len(value)


def _drawn(value: str) -> bool:
    """Whether a value with any punctuation is neither a pattern, a template nor code, and changes its classes of
    characters as only random ones do."""
    least = _MIN_CLASS_CHANGES_OF_LONG if len(value) >= _LONG else _MIN_CLASS_CHANGES_OF_SHORT
    return _WRITTEN.search(value) is None and _changes(_kinds(value)) >= least * len(value)


def _has_digits(kinds: list[str]) -> bool:
    """Whether there are two digits, or one in what changes its classes so often that it is no word or two: every
    twelfth random value of 24 letters and digits has fewer than two."""
    digits = kinds.count("d")
    return digits >= _MIN_DIGITS or (
        digits == 1
        and "u" in kinds
        and "l" in kinds
        and _changes(kinds) >= _MIN_CLASS_CHANGES_OF_ONE_DIGIT * len(kinds)
    )


def _kinds(value: str) -> list[str]:
    return ["d" if each.isdigit() else "u" if each.isupper() else "l" if each.islower() else "x" for each in value]


def _changes(kinds: list[str]) -> int:
    return sum(one != other for one, other in pairwise(kinds))
